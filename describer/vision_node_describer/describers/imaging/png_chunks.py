"""Takes from a PNG file what its picture needs: notes of any size, damaged or hostile, are left out.

Pillow reads all of them, and refuses the whole file for one that is too large or has a wrong
checksum.
"""

import struct
import zlib
from collections.abc import Iterator

from vision_node_contract.images.header import PNG_SIGNATURE

from .animation import BrokenFileError
from .color_profile import MAX_PROFILE_BYTES

MAX_CHUNKS = 100_000
"""Encoders write chunks of 8 KiB and more: some 2,500 in 20 MiB. Each costs 200 bytes of memory."""

_CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_WANTED = frozenset({b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT"})
"""Of the others: what changes the picture, its colors, its orientation or its frames."""

_MOVING = frozenset({b"fcTL", b"fdAT"})
"""Damaged ones end the animation, not the picture."""

_MAX_BYTES = {b"eXIf": 1 << 16, b"tRNS": 1 << 10, b"acTL": 8}

_SMALLEST = {b"tRNS": 1, b"acTL": 8}


def without_notes(image: bytes) -> bytes:
    """Return the file with its picture, color profile, EXIF and animation, and nothing else.

    The file itself if there is nothing else: most have nothing, and a copy of each would cost a
    fifth of its decoding. A last chunk that the file ends in stays as far as it goes.

    Raises:
        BrokenFileError: the checksum of a chunk that the picture needs is wrong.
    """
    kept, dropped = [memoryview(PNG_SIGNATURE)], False
    for name, chunk in _chunks(memoryview(image)):
        if name in _CRITICAL:
            _check(name, chunk)
            kept.append(chunk)
        elif name in _WANTED and _is_sound(name, chunk):
            kept.append(chunk)
        else:
            dropped = True

        if name == b"IEND":
            break

    return b"".join(kept) if dropped else image


def _chunks(image: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each chunk's name and bytes, length and checksum included (PNG third edition, 5.3)."""
    at = len(PNG_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(image):
            return
        length, name = struct.unpack_from(">L4s", image, at)
        yield name, image[at : at + 12 + length]
        at += 12 + length

    raise BrokenFileError(f"it has more than {MAX_CHUNKS} chunks")


def _is_cut(chunk: memoryview) -> bool:
    return len(chunk) < 12 + int.from_bytes(chunk[:4], "big")


def _has_right_checksum(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _check(name: bytes, chunk: memoryview) -> None:
    if not _is_cut(chunk) and not _has_right_checksum(chunk):
        raise BrokenFileError(f"the checksum of its {name.decode()} chunk is wrong")


def _is_sound(name: bytes, chunk: memoryview) -> bool:
    if _is_cut(chunk):
        return name in _MOVING

    length = len(chunk) - 12
    fits = _SMALLEST.get(name, 0) <= length <= _MAX_BYTES.get(name, length)
    return (
        fits and _has_right_checksum(chunk) and (name != b"iCCP" or _is_profile(bytes(chunk[8:-4])))
    )


def _is_profile(data: bytes) -> bool:
    """Return whether an iCCP chunk's data inflates to a profile of bearable size (11.3.2.3)."""
    name, _, rest = data.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return False
    return 0 < len(name) < 80 and 0 < len(profile) <= MAX_PROFILE_BYTES and inflater.eof
