"""Read the central directory of a zip file piece by piece (APPNOTE.TXT, section 4.3.12).

`zipfile` would read a directory of any size at once, and take about a gigabyte for a million
members.
"""

import stat
import struct
from dataclasses import dataclass

from .zip_end import Directory, broken

_ENTRY = struct.Struct("<4s2B3H4x3L5H2L")
_MAGIC = b"PK\1\2"

_FIELD = struct.Struct("<2H")
"""Kind and size of an extra field, which precede its content."""

_ZIP64_EXTRA = 1
_MAX_32 = 0xFFFFFFFF
"""Value of a field whose real value is in the zip64 extra field."""

_ENCRYPTED = 1
_UTF_8 = 1 << 11

_UNIX = frozenset({3, 19})
"""Systems (Unix, macOS) on which the external attributes begin with the mode of the file."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """What the central directory says of a member."""

    raw_name: bytes
    flags: int
    method: int
    crc32: int
    compressed_size: int
    size: int
    offset: int | None
    """Where its local header begins, in bytes; None if a zip64 field is missing."""
    mode: int
    """Mode of the file, as in Unix; 0 if it is unknown."""

    @property
    def name(self) -> str:
        """The name. Bytes that are not UTF-8, although they should be, are lone surrogates."""
        if self.flags & _UTF_8:
            return self.raw_name.decode(errors="surrogateescape")

        try:
            # Many programs for Linux and macOS write UTF-8 without saying so, and text in cp437
            # that is valid UTF-8 is rare.
            return self.raw_name.decode()
        except UnicodeDecodeError:
            return self.raw_name.decode("cp437")

    @property
    def is_encrypted(self) -> bool:
        """Whether a password is needed."""
        return bool(self.flags & _ENCRYPTED)

    @property
    def is_folder(self) -> bool:
        """Whether the member is a folder."""
        return self.raw_name.endswith((b"/", b"\\")) or stat.S_ISDIR(self.mode)

    @property
    def is_link_or_device(self) -> bool:
        """Whether the member is neither a file nor a folder."""
        return stat.S_IFMT(self.mode) not in {0, stat.S_IFREG, stat.S_IFDIR}


class DirectoryReader:
    """Splits a central directory into its entries."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._rest = b""
        """The beginning of an entry that has not arrived completely."""
        self.entries = 0
        """Number of entries so far."""

    def read(self, data: bytes) -> list[ZipEntry]:
        """Read the next bytes, and return the entries that are complete.

        Raises:
            Problem: 400 UploadBroken.
        """
        data, place, found = self._rest + data, 0, list[ZipEntry]()

        while len(data) - place >= _ENTRY.size:
            end = _end(data, place)
            if end > len(data):
                break
            found.append(_entry(data, place))
            place = end

        self._rest = data[place:]
        self.entries += len(found)
        return found

    def close(self) -> None:
        """Check that the directory is complete.

        Raises:
            Problem: 400 UploadBroken.
        """
        if self._rest or not self._directory.has(self.entries):
            raise broken(
                f"The central directory of the zip file is damaged after {self.entries} entries."
            )


def _end(data: bytes, place: int) -> int:
    """Return where the entry at this place ends."""
    fields = _ENTRY.unpack_from(data, place)
    if fields[0] != _MAGIC:
        raise broken("The central directory of the zip file is damaged.")

    name_bytes, extra_bytes, comment_bytes = fields[9:12]
    return place + _ENTRY.size + int(name_bytes) + int(extra_bytes) + int(comment_bytes)


def _entry(data: bytes, place: int) -> ZipEntry:
    fields = _ENTRY.unpack_from(data, place)
    system, flags, method = fields[2], fields[4], fields[5]
    crc32, compressed_size, size, name_bytes, extra_bytes = fields[6:11]
    attributes, offset = fields[-2:]

    name_start = place + _ENTRY.size
    extra_start = name_start + name_bytes
    extra = data[extra_start : extra_start + extra_bytes]
    sizes = _with_zip64(extra, [size, compressed_size, offset])

    return ZipEntry(
        raw_name=data[name_start:extra_start],
        flags=flags,
        method=method,
        crc32=crc32,
        size=sizes[0] if sizes else size,
        compressed_size=sizes[1] if sizes else compressed_size,
        offset=sizes[2] if sizes else None,
        mode=attributes >> 16 if system in _UNIX else 0,
    )


def _with_zip64(extra: bytes, values: list[int]) -> list[int] | None:
    """Replace the values that are in the zip64 extra field; return None if it lacks one."""
    if _MAX_32 not in values:
        return values

    rest, found = _zip64_extra(extra), list[int]()
    for value in values:
        if value != _MAX_32:
            found.append(value)
        elif len(rest) < 8:
            return None
        else:
            found.append(int.from_bytes(rest[:8], "little"))
            rest = rest[8:]

    return found


def _zip64_extra(extra: bytes) -> bytes:
    """Return the content of the zip64 extra field; empty if there is none."""
    place = 0
    # Nothing is copied, because 64 KiB may have 16,000 empty fields.
    while place + _FIELD.size <= len(extra):
        kind, size = _FIELD.unpack_from(extra, place)
        place += _FIELD.size
        if kind == _ZIP64_EXTRA:
            return extra[place : place + size]
        place += size

    return b""
