"""Counts frames and seconds by walking a file's blocks: no frame but the first is ever decoded."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from vision_node_contract.images.formats import AVIF, GIF, PNG, WEBP, Format
from vision_node_contract.images.gif import walk

MAX_FRAMES = 10_000
"""Counting stops here: five minutes at 30 frames a second. Twenty bytes make a GIF frame, so a
small file can hold millions of them."""


@dataclass(frozen=True, slots=True)
class Animation:
    """How long a picture moves."""

    frames: int = 1
    """At most MAX_FRAMES, which then stands for "so many or more"."""
    seconds: float = 0.0
    """One pass of those frames; 0 if the file doesn't tell."""

    cut: bool = False
    """Whether a GIF, PNG or WebP file ends before its end mark; the frames are then those before."""


STILL = Animation()


class BrokenFileError(Exception):
    """A part of the file that its picture needs is damaged; the message says which."""


class _CutError(Exception):
    """The file ends before its end mark."""


def count_frames(image: bytes, kind: Format, most: int = MAX_FRAMES) -> Animation:
    """Return the animation of a file whose start is sound, as far as the file goes.

    Args:
        image: The file.
        kind: Its format.
        most: Frames after which counting stops.
    """
    if kind is AVIF:
        return _avif(image)
    if kind not in _DELAYS:
        return STILL

    delays: list[float] = []
    cut = False
    try:
        delays.extend(islice(_DELAYS[kind](image), most))
    except (_CutError, IndexError, struct.error):
        cut = True

    if len(delays) > 1:
        return Animation(len(delays), round(sum(delays), 2), cut)

    return Animation(cut=cut)


_GIF_GRAPHIC_CONTROL = b"!\xf9"


def _gif_delays(image: bytes) -> Iterator[float]:
    """Yield each frame's seconds (GIF89a specification, section 23; delays are in 1/100 s)."""
    delay = 0.0
    for kind, at in walk(image):
        if kind == b",":
            yield delay
            delay = 0.0
        elif image.startswith(_GIF_GRAPHIC_CONTROL, at):
            delay = int.from_bytes(image[at + 4 : at + 6], "little") / 100


def _png_delays(image: bytes) -> Iterator[float]:
    """Yield the seconds of each animation frame that is whole (PNG third edition, 11.3.6).

    A frame's pixels follow its fcTL chunk, up to the next one or the end.
    """
    at, delay = 8, None
    while at + 8 <= len(image):
        length, name = struct.unpack_from(">L4s", image, at)
        if at + 12 + length > len(image):
            raise _CutError
        if name in (b"fcTL", b"IEND") and delay is not None:
            yield delay
        if name == b"IEND":
            return
        if name == b"fcTL":
            numerator, denominator = struct.unpack_from(">HH", image, at + 28)
            delay = numerator / (denominator or 100)
        at += 12 + length

    raise _CutError


def _webp_delays(image: bytes) -> Iterator[float]:
    """Yield each frame's seconds (RFC 9649, section 2.7.1: ANMF holds them in milliseconds)."""
    at, end = 12, 8 + int.from_bytes(image[4:8], "little")
    while at + 8 <= min(end, len(image)):
        name, length = struct.unpack_from("<4sL", image, at)
        if at + 8 + length > len(image):
            raise _CutError
        if name == b"ANMF":
            yield int.from_bytes(image[at + 20 : at + 23], "little") / 1000
        at += 8 + length + length % 2

    if end > len(image):
        raise _CutError


_DELAYS: dict[Format, Callable[[bytes], Iterator[float]]] = {
    GIF: _gif_delays,
    PNG: _png_delays,
    WEBP: _webp_delays,
}


_BOX_HEADER_BYTES = 8
_MDHD_BYTES = 24
"""Of version 0, the shorter one; version 1 is told by its first byte and has 36."""


def _avif(image: bytes) -> Animation:
    """Read the first track's frame count and length (ISO/IEC 14496-12: stsz and mdhd)."""
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
    """Return the content of the first box of that name, or nothing."""
    at = 0
    while at + _BOX_HEADER_BYTES <= len(boxes):
        length = int.from_bytes(boxes[at : at + 4], "big")
        if boxes[at + 4 : at + 8] == name:
            return boxes[at + 8 : at + length] if length else boxes[at + 8 :]
        if length < _BOX_HEADER_BYTES:  # the last, of 64 bits or nonsense: no `moov` lies behind
            break
        at += length

    return boxes[:0]
