"""Take an image out of a part of a zip file, within known bounds of memory.

The file comes from a user, and the part from a list that was made from the file's own statements.
None of them is trusted: no more than the stated number of bytes is ever unpacked.
"""

import asyncio
import zlib
from collections.abc import Iterator

from .batch_objects import ZipMember

PIECE_BYTES = 256 << 10
"""Maximum number of bytes to unpack at a time, which takes about a millisecond. Other tasks, such
as those that show that the worker is alive, run in between."""

HEADER_BYTES = 30
"""Length of a local file header without the name and the extra field (APPNOTE.TXT, 4.3.7)."""

MAX_OVERHEAD_BYTES = 256 << 10
"""Maximum number of bytes by which a member is longer than its image: the header, of up to 131,100
bytes, and what deflating adds to data that can't be compressed, which is less than 0.1 %."""

_SIGNATURE = b"PK\x03\x04"
_DEFLATED = 8


class MemberDamagedError(Exception):
    """A member of a zip file is not as stated. The error's text says what differs."""


async def unpack(data: bytes, member: ZipMember, size: int) -> bytes:
    """Return the image of `size` bytes from a local file header and the data that follow it.

    At most `size` bytes are in memory besides `data`, and twice that many without it, if the
    caller keeps no reference to it.

    Raises:
        MemberDamagedError: The data are not those of an image of this size and CRC-32.
    """
    image = bytearray(size)
    await _fill(image, data, member)
    del data  # before the next copy is made
    return bytes(image)


async def _fill(image: bytearray, data: bytes, member: ZipMember) -> None:
    end = crc = 0
    for piece in _pieces(_stored(data, member), member.method):
        first, end = end, end + len(piece)
        if end > len(image):
            raise MemberDamagedError(f"it has more than the stated {len(image)} bytes")

        image[first:end] = piece
        crc = zlib.crc32(piece, crc)
        await asyncio.sleep(0)

    if end < len(image):
        raise MemberDamagedError(f"it has {end} instead of {len(image)} bytes")
    if crc != member.crc32:
        raise MemberDamagedError("its CRC-32 differs")


def _stored(data: bytes, member: ZipMember) -> memoryview:
    """Return the data after the local file header."""
    if len(data) < HEADER_BYTES or not data.startswith(_SIGNATURE):
        raise MemberDamagedError("it does not begin with a local file header")

    name, extra = (int.from_bytes(data[it : it + 2], "little") for it in (26, 28))
    first = HEADER_BYTES + name + extra
    stored = memoryview(data)[first : first + member.compressed_size]
    if len(stored) < member.compressed_size:
        raise MemberDamagedError("its data end too early")

    return stored


def _pieces(stored: memoryview, method: int) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the image, at most PIECE_BYTES at a time."""
    pieces = (stored[it : it + PIECE_BYTES] for it in range(0, len(stored), PIECE_BYTES))
    return _inflated(pieces) if method == _DEFLATED else pieces


def _inflated(pieces: Iterator[memoryview]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in pieces:
            rest: bytes | memoryview = piece
            while not inflater.eof:
                inflated = inflater.decompress(rest, PIECE_BYTES)
                yield inflated
                rest = inflater.unconsumed_tail
                if not rest and len(inflated) < PIECE_BYTES:
                    break
    except zlib.error as error:
        raise MemberDamagedError("its data can't be inflated") from error

    if not inflater.eof:
        raise MemberDamagedError("its data end too early")
