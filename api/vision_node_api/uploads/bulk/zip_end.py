"""Find the central directory of a zip file by the records at its end (APPNOTE.TXT, section 4.3).

Only the end of the file is read. A file must begin with its first member and end with its end
record, so that all tools find the same members in it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...web.problems import Problem

_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\5\6"
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MAGIC = b"PK\6\7"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_MAGIC = b"PK\6\6"

_MAX_COMMENT_BYTES = 0xFFFF

TAIL_BYTES = _END64.size + _LOCATOR.size + _END.size + _MAX_COMMENT_BYTES
"""Number of bytes at the end of a zip file that contain its end records."""

MAX_DIRECTORY_BYTES = 64 << 20
"""Maximum size of a central directory in bytes: a million members with short names."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where the central directory of a zip file is."""

    offset: int
    """Where it begins in the file, in bytes."""
    size: int
    entries: int
    """Number of its entries."""
    is_zip64: bool
    """Whether `entries` is exact. Otherwise, it has only 16 bits, and some programs, such as older
    versions of the macOS Finder, write the lower bits of a larger number."""

    def has(self, entries: int) -> bool:
        """Return whether this number of entries is the right one."""
        return (entries if self.is_zip64 else entries & 0xFFFF) == self.entries


def find_directory(tail: bytes, size: int) -> Directory:
    """Return the place of the central directory.

    Args:
        tail: The last TAIL_BYTES of the zip file, or the whole file if it is shorter.
        size: Size of the zip file in bytes.

    Raises:
        Problem: 400 UploadBroken if there is no end record, or it does not fit the file; 413
            DirectoryTooLarge; 415 ArchiveUnsupported for a part of a split archive.
    """
    problem: Problem | None = None

    # A comment may contain what looks like an end record. It does not fit the file, unless someone
    # made it to do so.
    for place in _candidates(tail):
        try:
            return _directory(tail, place, size - len(tail))
        except Problem as error:
            problem = problem or error

    raise problem or broken("The zip file has no end record: it was cut off, or is no zip file.")


def broken(what: str) -> Problem:
    """Return the problem for a zip file that is damaged."""
    return Problem(400, "UploadBroken", f"{what} Check the file, and send it again.")


def _candidates(tail: bytes) -> Iterator[int]:
    """Yield the places of possible end records whose comment ends with the file, last one first."""
    place = tail.rfind(_END_MAGIC)
    while place >= 0:
        end = place + _END.size
        if end <= len(tail):
            comment_bytes = _END.unpack_from(tail, place)[-1]
            if end + comment_bytes == len(tail):
                yield place

        place = tail.rfind(_END_MAGIC, 0, place)


def _directory(tail: bytes, place: int, tail_offset: int) -> Directory:
    """Return what the end record at this place in the tail says."""
    _, disk, first_disk, disk_entries, entries, size, offset, _ = _END.unpack_from(tail, place)
    end = tail_offset + place

    is_zip64 = _is_locator(tail, place - _LOCATOR.size)
    if is_zip64:
        record = _zip64_record(tail, place - _LOCATOR.size, tail_offset)
        disk, first_disk, disk_entries, entries, size, offset = _END64.unpack_from(tail, record)[4:]
        end = tail_offset + record

    if disk or first_disk or disk_entries != entries:
        raise _split()
    if offset + size != end:
        raise broken(
            "The end record of the zip file does not fit its size: a part of the file is missing, "
            "something was put before it, or it has more than 4 GiB without zip64 records."
        )
    if size > MAX_DIRECTORY_BYTES:
        detail = (
            f"The central directory of the zip file has {size} bytes; the limit is "
            f"{MAX_DIRECTORY_BYTES}. Send several smaller zip files, each as a batch."
        )
        raise Problem(413, "DirectoryTooLarge", detail)

    return Directory(offset, size, entries, is_zip64)


def _is_locator(tail: bytes, place: int) -> bool:
    return place >= 0 and tail.startswith(_LOCATOR_MAGIC, place)


def _zip64_record(tail: bytes, locator: int, tail_offset: int) -> int:
    """Return the place of the zip64 end record in the tail."""
    _, disk, offset, disks = _LOCATOR.unpack_from(tail, locator)
    if disk or disks > 1:
        raise _split()

    record: int = offset - tail_offset
    fits = 0 <= record <= locator - _END64.size and tail.startswith(_END64_MAGIC, record)
    if not fits:
        raise broken("The zip file has no zip64 end record where it should be.")

    return record


def _split() -> Problem:
    detail = (
        "The file is a part of a split zip file (.z01, .z02, …), which is not supported. Join the "
        "parts (zip -s 0 split.zip --out whole.zip), and send the whole file."
    )
    return Problem(415, "ArchiveUnsupported", detail)
