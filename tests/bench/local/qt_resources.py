"""Read Qt's resource files (`.rcc`), in which some programs store their pictures."""

import struct
from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError

_MAGIC = b"qres"
_FOLDER, _COMPRESSED = 0x02, 0x05
"""Flags of an entry. Compressed entries (zlib: 1, Zstandard: 4) are ignored, because pictures are
not compressed."""

_ENTRY_BYTES, _ENTRY_BYTES_1 = 22, 14
"""Length of an entry in bytes since version 2, which added a time, and in version 1."""


def read(file: Path, path: str) -> bytes:
    """Return the content of the entry `path`.

    Raises:
        BenchError: There is no such entry.
    """
    content = file.read_bytes()
    for name, start, length in _entries(content):
        if name == path:
            return content[start : start + length]

    raise BenchError(f"{file.name} does not contain {path}")


def names(file: Path) -> list[str]:
    """Return the paths of all entries that can be read."""
    return [name for name, _, _ in _entries(file.read_bytes())]


def _entries(content: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield the path, start and length of each entry."""
    if not content.startswith(_MAGIC):
        raise BenchError("the file is not a Qt resource file")

    version, tree, data, texts = struct.unpack_from(">4I", content, 4)
    entry_bytes = _ENTRY_BYTES_1 if version == 1 else _ENTRY_BYTES

    def below(index: int, parent: str) -> Iterator[tuple[str, int, int]]:
        at = tree + index * entry_bytes
        text_at, flags = struct.unpack_from(">IH", content, at)
        name = _text(content, texts + text_at) if index else ""
        path = f"{parent}/{name}" if parent else name

        if flags & _FOLDER:
            count, first = struct.unpack_from(">2I", content, at + 6)
            for child in range(first, first + count):
                yield from below(child, path)
        elif not flags & _COMPRESSED:
            start = data + struct.unpack_from(">I", content, at + 10)[0]
            yield path, start + 4, struct.unpack_from(">I", content, start)[0]

    yield from below(0, "")


def _text(content: bytes, at: int) -> str:
    length = struct.unpack_from(">H", content, at)[0]
    # A hash of the name is between its length and its characters.
    return content[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
