"""Zip files that `zipfile` does not make: each field of a header can have any value."""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s2B5H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")

MAX_32 = 0xFFFFFFFF
UNIX = 3
SYMLINK_MODE = 0o120777
UTF_8 = 1 << 11


@dataclass
class Member:
    """A member of a zip file, with what the central directory says of it."""

    name: bytes
    data: bytes = b"image"
    """The image, not compressed."""
    method: int = 0
    flags: int = 0
    system: int = UNIX
    mode: int = 0o100644
    size: int | None = None
    compressed_size: int | None = None
    offset: int | None = None
    extra: bytes = b""

    @property
    def packed(self) -> bytes:
        """The data as the zip file has it."""
        if self.method != 8:
            return self.data
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(self.data) + deflate.flush()


@dataclass
class ZipFile:
    """A zip file that is being made."""

    members: list[Member]
    comment: bytes = b""
    before: bytes = b""
    """Bytes before the first member, which no offset counts."""
    zip64: bool = False
    end: dict[str, Any] = field(default_factory=dict)
    """Values of the end record instead of the right ones."""

    def to_bytes(self) -> bytes:
        """Return the zip file."""
        body, directory = bytearray(), bytearray()
        for member in self.members:
            directory += _central(member, len(body))
            body += _local(member) + member.packed

        right = {
            "disk": 0,
            "directory_disk": 0,
            "disk_entries": len(self.members),
            "entries": len(self.members),
            "size": len(directory),
            "offset": len(body),
        }
        end = right | self.end
        content = self.before + bytes(body) + bytes(directory)
        if not self.zip64:
            return content + END.pack(b"PK\5\6", *end.values(), len(self.comment)) + self.comment

        end64 = END64.pack(b"PK\6\6", 44, 45, 45, *end.values())
        locator = LOCATOR.pack(b"PK\6\7", 0, len(content), 1)
        full = END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, MAX_32, MAX_32, len(self.comment))
        return content + end64 + locator + full + self.comment


def zip64_extra(*values: int) -> bytes:
    """Return a zip64 extra field with these values."""
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def _local(member: Member) -> bytes:
    packed = member.packed
    header = LOCAL.pack(
        b"PK\3\4",
        20,
        member.flags,
        member.method,
        0,
        0,
        zlib.crc32(member.data),
        len(packed),
        len(member.data),
        len(member.name),
        0,
    )
    return header + member.name


def _central(member: Member, offset: int) -> bytes:
    size, compressed = member.size, member.compressed_size
    header = CENTRAL.pack(
        b"PK\1\2",
        20,
        member.system,
        20,
        member.flags,
        member.method,
        0,
        0,
        zlib.crc32(member.data),
        len(member.packed) if compressed is None else compressed,
        len(member.data) if size is None else size,
        len(member.name),
        len(member.extra),
        0,
        0,
        0,
        member.mode << 16,
        offset if member.offset is None else member.offset,
    )
    return header + member.name + member.extra
