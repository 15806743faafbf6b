"""Determine an animation's number of frames and duration without decoding a frame."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from vision_node_contract.images.formats import AVIF, GIF, PNG, WEBP, Format
from vision_node_contract.images.gif import walk

MAX_FRAMES = 10_000
"""Maximum number of frames to count, which is more than five minutes at 30 frames per second. A GIF
frame can be as small as twenty bytes, so a small file can have millions of frames."""


@dataclass(frozen=True, slots=True)
class Animation:
    """The frames of a picture and their duration."""

    frames: int = 1
    """Number of frames; MAX_FRAMES means MAX_FRAMES or more."""
    seconds: float = 0.0
    """Duration of these frames in seconds; 0 if the file does not state it."""

    truncated: bool = False
    """Whether a GIF, PNG or WebP file ends before its end mark. `frames` then counts the frames
    before that point."""


STILL = Animation()


class BrokenFileError(Exception):
    """A part of the file that the picture needs is damaged; the message says which."""


class _TruncatedError(Exception):
    """The file ends before its end mark."""


def count_frames(image: bytes, kind: Format, max_frames: int = MAX_FRAMES) -> Animation:
    """Return the number and the duration of the frames in a file with a valid header.

    If a GIF, PNG or WebP file is truncated, only the frames before its end are counted.

    Args:
        image: The file.
        kind: The file's format.
        max_frames: Number of frames after which counting stops.
    """
    if kind is AVIF:
        return _avif(image)
    if kind not in _DELAYS:
        return STILL

    delays: list[float] = []
    truncated = False
    try:
        delays.extend(islice(_DELAYS[kind](image), max_frames))
    except (_TruncatedError, IndexError, struct.error):
        truncated = True

    if len(delays) > 1:
        return Animation(len(delays), round(sum(delays), 2), truncated)

    return Animation(truncated=truncated)


_GIF_GRAPHIC_CONTROL = b"!\xf9"


def _gif_delays(image: bytes) -> Iterator[float]:
    """Yield each frame's duration in seconds, converted from 1/100 s (GIF89a, section 23)."""
    delay = 0.0
    for kind, at in walk(image):
        if kind == b",":
            yield delay
            delay = 0.0
        elif image.startswith(_GIF_GRAPHIC_CONTROL, at):
            delay = int.from_bytes(image[at + 4 : at + 6], "little") / 100


def _png_delays(image: bytes) -> Iterator[float]:
    """Yield each complete frame's duration in seconds (PNG third edition, 11.3.6).

    A frame's pixels extend from its fcTL chunk to the next fcTL chunk or the end.
    """
    at, delay = 8, None
    while at + 8 <= len(image):
        length, name = struct.unpack_from(">L4s", image, at)
        if at + 12 + length > len(image):
            raise _TruncatedError

        if name in (b"fcTL", b"IEND") and delay is not None:
            yield delay
        if name == b"IEND":
            return

        if name == b"fcTL":
            numerator, denominator = struct.unpack_from(">HH", image, at + 28)
            delay = numerator / (denominator or 100)
        at += 12 + length

    raise _TruncatedError


def _webp_delays(image: bytes) -> Iterator[float]:
    """Yield each frame's duration in seconds, converted from ms (RFC 9649, section 2.7.1)."""
    at, end = 12, 8 + int.from_bytes(image[4:8], "little")
    while at + 8 <= min(end, len(image)):
        name, length = struct.unpack_from("<4sL", image, at)
        if at + 8 + length > len(image):
            raise _TruncatedError

        if name == b"ANMF":
            yield int.from_bytes(image[at + 20 : at + 23], "little") / 1000
        at += 8 + length + length % 2

    if end > len(image):
        raise _TruncatedError


_DELAYS: dict[Format, Callable[[bytes], Iterator[float]]] = {
    GIF: _gif_delays,
    PNG: _png_delays,
    WEBP: _webp_delays,
}


_BOX_HEADER_BYTES = 8
_MDHD_BYTES = 24
"""Length in bytes of an mdhd box of version 0. If the first byte indicates version 1, the box is
longer (36 bytes)."""


def _avif(image: bytes) -> Animation:
    """Read the first track's frame count and duration (ISO/IEC 14496-12: stsz and mdhd)."""
    media = _box(_box(_box(memoryview(image), b"moov"), b"trak"), b"mdia")
    header = _box(media, b"mdhd")
    sizes = _box(_box(_box(media, b"minf"), b"stbl"), b"stsz")

    frames = int.from_bytes(sizes[8:12], "big")
    if frames <= 1 or len(header) < _MDHD_BYTES:
        return STILL

    form, at = (">LQ", 20) if header[0] == 1 else (">LL", 12)
    scale, length = struct.unpack_from(form, header, at)
    return Animation(min(frames, MAX_FRAMES), round(length / scale, 2) if scale else 0.0)


def _box(boxes: memoryview, name: bytes) -> memoryview:
    """Return the content of the first box with this name; empty if there is none."""
    at = 0
    while at + _BOX_HEADER_BYTES <= len(boxes):
        length = int.from_bytes(boxes[at : at + 4], "big")
        if boxes[at + 4 : at + 8] == name:
            return boxes[at + 8 : at + length] if length else boxes[at + 8 :]
        if length < _BOX_HEADER_BYTES:  # no `moov` follows a last, 64-bit or invalid box
            break

        at += length

    return boxes[:0]
