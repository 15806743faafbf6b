"""Read the files of a tar stream while it is arriving.

Headers are parsed by the standard library, which can't read a stream piece by piece, and keeps
headers of any size in memory.
"""

import re
import tarfile
from collections.abc import Callable
from tarfile import BLOCKSIZE, TarInfo

from ...web.problems import Problem
from .file_collector import FileCollector
from .refusals import FileReason, FileRefusedError

MAX_EXTENSION_BYTES = 1 << 18
"""Maximum size of an extension header in bytes. It has a name, and perhaps extended attributes."""

_PAX_RECORD = re.compile(rb"([0-9]{1,7}) ([^=\n]+)=")
"""Start of a record `<length> <keyword>=<value>\n` (POSIX.1-2024, pax, "pax Extended Header")."""

_PAX_SPARSE = b"GNU.sparse."
"""What the keywords of sparse files begin with."""

_PAX_USED = frozenset({b"path", b"size", b"GNU.sparse.name"})
"""Keywords whose values are used. Others are dropped, because a stream may have any number of pax
headers before a member."""

_COMPRESSED = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)

_SPARSE_EXTENDED = 482
"""Offset of the byte in an old GNU header that says whether another block of its map follows."""

_MAP_EXTENDED = 504
"""Offset of the same byte in such a block."""


class TarFiles:
    """Gives each file of a tar stream to a collector. Everything else but folders is refused.

    Raises:
        Problem: While the stream is arriving: 400 UploadBroken; 415 ArchiveUnsupported if it is
            compressed, or another kind of archive.
    """

    def __init__(self, collector: FileCollector) -> None:
        self.fields: dict[str, str] = {}
        """Options by name; a tar stream has none."""
        self._collector = collector
        self._block = bytearray()
        self._wanted = BLOCKSIZE
        """Number of bytes until the next call of `_on_block`."""
        self._on_block: Callable[[bytes], None] = self._read_header
        self._data_left = 0
        """Number of bytes of the current file that have not arrived."""
        self._skip_left = 0
        """Number of bytes to ignore."""
        self._sparse_size = 0
        """Number of bytes of a sparse file's data, which follows its map."""
        self._started = False
        self._zero_blocks = 0

        self._path: str | None = None
        """Path of the next member, from an extension header."""
        self._pax: dict[bytes, bytes] = {}
        """Values of _PAX_USED for the next member."""
        self._is_sparse = False
        """Whether a pax header says that the next member is sparse."""

    @property
    def kept_bytes(self) -> int:
        """Number of bytes in memory."""
        return self._collector.kept_bytes + len(self._block)

    def write(self, chunk: bytes) -> None:
        """Read the next bytes."""
        rest = memoryview(chunk)
        while rest and not self._has_ended:
            rest = rest[self._consume(rest) :]

    def close(self) -> None:
        """Check that the stream is complete."""
        if self._has_ended:
            return

        if not self._started:
            self._require_tar(bytes(self._block))
        raise _broken("The tar stream ends without its end-of-archive entry: it was cut off.")

    @property
    def _has_ended(self) -> bool:
        """Whether two blocks of zeros marked the end. The rest is padding."""
        return self._zero_blocks == 2

    def _consume(self, data: memoryview) -> int:
        """Read some of the bytes, and return how many."""
        if self._data_left:
            count = min(self._data_left, len(data))
            self._collector.write(data[:count])
            self._data_left -= count
            if not self._data_left:
                self._collector.end()
        elif self._skip_left:
            count = min(self._skip_left, len(data))
            self._skip_left -= count
        else:
            count = min(self._wanted - len(self._block), len(data))
            self._block += data[:count]
            if len(self._block) == self._wanted:
                block = bytes(self._block)
                self._block.clear()
                self._on_block(block)

        return count

    def _read_header(self, block: bytes) -> None:
        if not any(block):
            self._started = True
            self._zero_blocks += 1
            return

        info = self._parse(block)
        match info.type:
            case tarfile.GNUTYPE_LONGNAME:
                self._collect(info.size, self._read_long_name)
            case tarfile.XHDTYPE | tarfile.SOLARIS_XHDTYPE:
                self._collect(info.size, self._read_pax)
            case tarfile.GNUTYPE_LONGLINK | tarfile.XGLTYPE:
                self._skip_left = _padded(info.size)
            case _:
                self._begin_member(info, block)

    def _parse(self, block: bytes) -> TarInfo:
        if not self._started:
            self._require_tar(block)
        if self._zero_blocks:
            raise _broken("The tar stream has a block of zeros in the middle.")

        try:
            info = TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise _broken(f"The tar stream has an invalid header ({error}).") from error

        if info.size < 0:
            raise _broken("The tar stream has a member with a negative size.")
        return info

    def _require_tar(self, start: bytes) -> None:
        """Refuse what begins like another kind of file."""
        self._started = True
        if kind := next((it for magic, it in _COMPRESSED if start.startswith(magic)), None):
            raise compressed(kind)

        if start.startswith(b"PK\3\4"):
            detail = "The body is a zip file. Send it with Content-Type: application/zip."
            raise Problem(415, "ArchiveUnsupported", detail)

    def _collect(self, size: int, read: Callable[[bytes], None]) -> None:
        """Call `read` with the content of an extension header as soon as it is complete."""
        if size > MAX_EXTENSION_BYTES:
            raise _broken(
                f"The tar stream has a header of {size} bytes; the limit is {MAX_EXTENSION_BYTES}."
            )

        def finish(content: bytes) -> None:
            self._wanted, self._on_block = BLOCKSIZE, self._read_header
            read(content[:size])

        if size:
            self._wanted, self._on_block = _padded(size), finish

    def _read_long_name(self, content: bytes) -> None:
        self._path = _text(content.partition(b"\0")[0])

    def _read_pax(self, content: bytes) -> None:
        place = 0
        while place < len(content):
            found = _PAX_RECORD.match(content, place)
            end = place + int(found[1]) if found else 0
            if found is None or end <= found.end() or content[end - 1 : end] != b"\n":
                raise _broken("The tar stream has an invalid pax header.")

            self._is_sparse |= found[2].startswith(_PAX_SPARSE)
            if found[2] in _PAX_USED:
                self._pax[found[2]] = content[found.end() : end - 1]
            place = end

    def _begin_member(self, info: TarInfo, block: bytes) -> None:
        pax, self._pax = self._pax, {}
        path, self._path = self._path, None
        is_sparse = info.type == tarfile.GNUTYPE_SPARSE or self._is_sparse
        self._is_sparse = False
        size = _size(pax.get(b"size"), info.size)
        named = pax.get(b"GNU.sparse.name") or pax.get(b"path")
        path = _text(named) if named is not None else path or info.name

        if info.isreg() and not is_sparse:
            self._begin_file(path, size)
            return

        if not info.isdir():
            self._collector.refuse(path, _not_a_file())
        # Links and devices have no data, whatever their size says.
        if info.isreg() or info.type not in tarfile.SUPPORTED_TYPES:
            self._skip_left = _padded(size)
        if info.type == tarfile.GNUTYPE_SPARSE and block[_SPARSE_EXTENDED]:
            self._on_block = self._skip_map
            self._sparse_size, self._skip_left = self._skip_left, 0

    def _begin_file(self, path: str, size: int) -> None:
        self._collector.begin(path)
        self._data_left = size
        self._skip_left = _padded(size) - size
        if not size:
            self._collector.end()

    def _skip_map(self, block: bytes) -> None:
        """Skip a block with more of the map of a sparse file, which is before its data."""
        if not block[_MAP_EXTENDED]:
            self._on_block = self._read_header
            self._skip_left = self._sparse_size


def compressed(kind: str) -> Problem:
    """Return the problem for a tar stream that is compressed."""
    detail = (
        f"The body is compressed ({kind}), which is not supported: images hardly get smaller. Send "
        "the tar stream as it is (tar -cf - folder | curl -T - -H 'Content-Type: "
        "application/x-tar'), or a zip file."
    )
    return Problem(415, "ArchiveUnsupported", detail)


def _padded(size: int) -> int:
    """Return the size in whole blocks."""
    return -(-size // BLOCKSIZE) * BLOCKSIZE


def _size(pax: bytes | None, size: int) -> int:
    """Return a member's size: that of the pax header, if there is one."""
    if pax is None:
        return size
    if not re.fullmatch(rb"[0-9]{1,18}", pax):
        raise _broken("The tar stream has a pax header with an invalid size.")

    return int(pax)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _not_a_file() -> FileRefusedError:
    message = "The file is a link, a device or sparse. Pack the image itself (tar -h)."
    return FileRefusedError(FileReason.NOT_A_FILE, message)


def _broken(what: str) -> Problem:
    return Problem(400, "UploadBroken", f"{what} Send it again.")
