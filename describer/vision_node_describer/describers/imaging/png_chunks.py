"""Remove chunks that are unneeded (such as text), damaged or too large from a PNG file.

Pillow reads all chunks and rejects the whole file if one is too large or has a wrong checksum.
"""

import struct
import zlib
from collections.abc import Iterator

from vision_node_contract.images.header import PNG_SIGNATURE

from .animation import BrokenFileError
from .color_profile import MAX_PROFILE_BYTES

MAX_CHUNKS = 100_000
"""Maximum number of chunks. It limits memory, because each chunk takes 200 bytes. Encoders write
chunks of at least 8 KiB, so a file of 20 MiB has at most about 2,500."""

_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_WANTED = frozenset({b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
"""Ancillary chunks that change the picture, its colors, its orientation or its frames."""

_ANIMATION = frozenset({b"fcTL", b"fdAT"})
"""Chunks of an animation. A truncated chunk ends the animation, but the picture is kept."""

_MAX_BYTES = {b"eXIf": 1 << 16, b"tRNS": 1 << 10, b"acTL": 8}

_MIN_BYTES = {b"tRNS": 1, b"acTL": 8}


def strip_ancillary_chunks(image: bytes) -> bytes:
    """Return the file with only its picture, color profile, EXIF and animation.

    If the file has no other chunks, as is usual, return the file itself, because copying it would
    take a fifth as long as decoding it. A truncated last chunk is kept if it belongs to the picture
    or its animation.

    Raises:
        BrokenFileError: A chunk that the picture needs has a wrong checksum.
    """
    kept, dropped = [memoryview(PNG_SIGNATURE)], False
    for name, chunk in _chunks(memoryview(image)):
        if name in _CRITICAL:
            _check_checksum(name, chunk)
            kept.append(chunk)
        elif name in _WANTED and _is_valid(name, chunk):
            kept.append(chunk)
        else:
            dropped = True

        if name == b"IEND":
            break

    return b"".join(kept) if dropped else image


def _chunks(image: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each chunk's name, and its bytes with length and checksum (PNG third edition, 5.3)."""
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(image):
            return

        length, name = struct.unpack_from(">L4s", image, at)
        yield name, image[at : at + 12 + length]
        at += 12 + length

    raise BrokenFileError(f"it has more than {MAX_CHUNKS} chunks")


def _is_truncated(chunk: memoryview) -> bool:
    return len(chunk) < 12 + int.from_bytes(chunk[:4], "big")


def _has_valid_checksum(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _check_checksum(name: bytes, chunk: memoryview) -> None:
    if not _is_truncated(chunk) and not _has_valid_checksum(chunk):
        raise BrokenFileError(f"the checksum of its {name.decode()} chunk is wrong")


def _is_valid(name: bytes, chunk: memoryview) -> bool:
    if _is_truncated(chunk):
        return name in _ANIMATION

    length = len(chunk) - 12
    fits = _MIN_BYTES.get(name, 0) <= length <= _MAX_BYTES.get(name, length)
    return (
        fits
        and _has_valid_checksum(chunk)
        and (name != b"iCCP" or _is_valid_profile(bytes(chunk[8:-4])))
    )


def _is_valid_profile(data: bytes) -> bool:
    """Return whether an iCCP chunk (11.3.2.3) contains a profile of at most MAX_PROFILE_BYTES."""
    name, _, rest = data.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return False

    return 0 < len(name) < 80 and 0 < len(profile) <= MAX_PROFILE_BYTES and inflater.eof
