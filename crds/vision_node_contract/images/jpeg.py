"""Read the segments of a JPEG file (ITU-T T.81, annex B) without decoding their content."""

import re
from dataclasses import dataclass

MAX_SEGMENTS = 20_000
"""Maximum number of segments before the pixels. A color profile or metadata of 16 MiB takes about
300 segments of 64 KiB each. Without a limit, a file with millions of tiny segments would take
minutes to read."""

_START_OF_SCAN = 0xDA
_START_OF_IMAGE = 0xD8
_END_OF_IMAGE = 0xD9
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Start-of-frame markers of all coding processes. The three excluded markers are reserved or define
tables."""

_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_FILL = re.compile(rb"\xff+")

_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
"""Temporary and restart markers. They can occur in a header, and no length follows them."""


class JpegError(ValueError):
    """The segments are invalid. The message explains why, for `header.damaged`."""


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Information from the segments before the pixels."""

    width: int
    """Width in pixels, as stored."""
    height: int
    progressive: bool
    samples_per_pixel: float
    """Number of samples of all components for each pixel: 1.5 with 4:2:0 subsampling, 3 without,
    4 for CMYK."""
    is_in_one_scan: bool
    """Whether one scan has all components of a sequential image. A decoder must keep the
    coefficients of any other image in memory (A.4)."""
    scan_at: int | None
    """Offset of the first scan's marker; None if the file ends before it."""


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    progressive: bool
    components: int
    samples_per_pixel: float


def read_jpeg_header(image: bytes) -> JpegHeader:
    """Return the information from the segments before the first scan.

    Raises:
        JpegError: the frame header is missing, a segment has no length, or there are too many
            segments.
    """
    frame: _Frame | None = None
    at = 2

    for _ in range(MAX_SEGMENTS):
        at = image.find(b"\xff", at)
        at = _after_fill(image, at) if at >= 0 else len(image)
        if at >= len(image) or image[at] == _END_OF_IMAGE:
            return _header(frame, image, None)

        marker = image[at]
        if marker == _START_OF_SCAN:
            return _header(frame, image, at - 1)
        if marker in _WITHOUT_LENGTH or marker in (0, _START_OF_IMAGE):
            at += 1
            continue

        length = int.from_bytes(image[at + 1 : at + 3], "big")
        if length < 2:
            raise JpegError("a segment of its header has no length")

        if marker in _FRAMES and len(image) >= at + 8:
            frame = _read_frame(image, at)

        at += 1 + length

    raise JpegError(f"its header has more than {MAX_SEGMENTS} segments")


def _after_fill(image: bytes, at: int) -> int:
    """Return the offset of a marker's second byte, which follows one or more FF bytes (B.1.1.2)."""
    run = _FILL.match(image, at)
    return run.end() if run else at


def _read_frame(image: bytes, at: int) -> _Frame:
    """Read a frame header, given the offset of its marker's second byte (B.2.2)."""
    height, width = (int.from_bytes(image[at + o : at + o + 2], "big") for o in (4, 6))
    components = image[at + 8 : at + 9]
    count = components[0] if components else 1
    factors = [divmod(pair, 16) for pair in image[at + 10 : at + 9 + 3 * count : 3]]
    most = max((h for h, _ in factors), default=0) * max((v for _, v in factors), default=0)
    samples = sum(h * v for h, v in factors) / most if most else float(count)

    return _Frame(width, height, image[at] in _PROGRESSIVE, count, samples)


def _header(frame: _Frame | None, image: bytes, scan_at: int | None) -> JpegHeader:
    if frame is None:
        raise JpegError("it has no frame header")

    # The number of components in a scan follows its marker and length (B.2.3).
    in_scan = image[scan_at + 4 : scan_at + 5] if scan_at is not None else b""
    is_in_one_scan = not frame.progressive and in_scan == bytes([frame.components])

    return JpegHeader(
        width=frame.width,
        height=frame.height,
        progressive=frame.progressive,
        samples_per_pixel=frame.samples_per_pixel,
        is_in_one_scan=is_in_one_scan,
        scan_at=scan_at,
    )
