"""Limits for decoding pictures, because a small file may declare a huge picture."""

import warnings

from PIL import Image
from vision_node_contract.images.jpeg import read_jpeg_header
from vision_node_contract.models.reasons import DescribeError, Reason

from .animation import BrokenFileError

DEFAULT_MAX_PIXELS = 100_000_000
"""Default maximum number of pixels of an image. The largest cameras on sale take pictures of 100
megapixels. Decoding takes about four bytes of memory per pixel. It takes nine for AVIF and sixteen
for WebP, because their decoders keep copies (measured: 430, 890 and 1,570 MB)."""

MAX_SIDE = 100_000
"""Maximum width and height in pixels. JPEG, WebP and GIF allow at most 65,535. If a longer strip
were scaled down, nothing in it could be recognized."""

_AVIF_MAX_PIXELS, _AVIF_MAX_SIDE = 16_384 * 16_384, 32_768
"""Limits of libavif (avif.h: AVIF_DEFAULT_IMAGE_SIZE_LIMIT, AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT),
which Pillow can't change. Other formats have lower limits, or their decoders have no limit."""

MAX_SCANS = 200
"""Maximum number of scans of a progressive JPEG. Encoders write about ten. Each scan, even one of a
few bytes, costs a pass over the whole picture, so a small file with many scans would block a worker
for hours."""


def limit_pixels(max_pixels: int) -> None:
    """Set the maximum number of pixels (width × height) of an image for the whole process.

    This sets Pillow's own limit, so that no second limit is needed. If a picture exceeds the limit,
    Pillow issues a warning, which the filter below turns into an error. If a picture exceeds twice
    the limit, Pillow itself raises an error.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels


# This is done once, when the module is imported, because Pillow's settings apply to the whole
# process and catching warnings is not thread-safe.
limit_pixels(DEFAULT_MAX_PIXELS)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def too_large(what: str) -> DescribeError:
    """Return the error for a picture with too many pixels; its message includes the limit."""
    limit = f"an image may have at most {_format_pixels(_max_pixels())}"
    return DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; {limit}: submit a smaller version")


def check_size(width: int, height: int) -> None:
    """Refuse a picture that has no pixels or too many.

    Raises:
        BrokenFileError: The width or height is zero.
        DescribeError: ImageTooLarge.
    """
    if not width * height:
        raise BrokenFileError("its width or height is zero")

    if width * height > _max_pixels():
        raise too_large(f"the image has {width}x{height} pixels")

    if max(width, height) > MAX_SIDE:
        what = f"the image has {width}x{height} pixels, but a side may have at most {MAX_SIDE}"
        raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}: submit a part of the image")


def check_avif_size(width: int, height: int) -> None:
    """Refuse an AVIF file that is too large for libavif, which would report it as damaged.

    Raises:
        DescribeError: ImageTooLarge.
    """
    if width * height <= _AVIF_MAX_PIXELS and max(width, height) <= _AVIF_MAX_SIDE:
        return

    limits = f"{_AVIF_MAX_PIXELS:,} pixels in total and {_AVIF_MAX_SIDE:,} pixels per side"
    what = f"the image has {width}x{height} pixels; the limits for AVIF are {limits}"
    advice = "save it in another format, or submit a smaller version"
    raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; {advice}")


def check_scans(image: bytes) -> None:
    """Refuse a JPEG with too many scans.

    Raises:
        DescribeError: ImageTooLarge.
    """
    # Searching for FF DA is nearly exact, because only 00 or a restart marker can follow FF in
    # entropy-coded data. Bytes after the picture's end are not searched; they may be a video.
    start = read_jpeg_header(image).scan_at or 0
    end = image.find(b"\xff\xd9", start)
    scans = image.count(b"\xff\xda", start, end if end >= 0 else len(image))

    if scans > MAX_SCANS:
        what = f"the JPEG file has {scans} scans, more than {MAX_SCANS}"
        advice = "save it again with fewer scans, and submit the new file"
        raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{what}; {advice}")


def _max_pixels() -> int:
    return Image.MAX_IMAGE_PIXELS or DEFAULT_MAX_PIXELS


def _format_pixels(pixels: int) -> str:
    """Format a number of pixels, in megapixels if they are an exact multiple of 0.1 megapixels."""
    return (
        f"{pixels:,} pixels"
        if pixels < 1_000_000 or pixels % 100_000
        else f"{pixels / 1e6:g} megapixels"
    )
