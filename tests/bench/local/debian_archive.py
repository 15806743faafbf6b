"""Read Debian packages (`ar` archives) without dpkg."""

import contextlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
"""Length of the header before each member. See deb(5) and ar(5)."""


@contextlib.contextmanager
def open_data(package: Path) -> Iterator[tarfile.TarFile]:
    """Open the archive of the files that the package would install."""
    content = package.read_bytes()
    data = next((body for name, body in members(content) if name.startswith("data.tar")), None)
    if data is None:
        raise BenchError(f"{package.name} is not a Debian package: it has no data.tar")

    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        yield archive


def members(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each member of an `ar` archive."""
    if not content.startswith(_MAGIC):
        raise BenchError("the file is not an ar archive")

    at = len(_MAGIC)
    while at < len(content):
        header = content[at : at + _HEADER_BYTES]
        name, size = header[:16].decode().rstrip(" /"), int(header[48:58])
        at += _HEADER_BYTES
        yield name, content[at : at + size]
        # Members begin at even offsets.
        at += size + size % 2
