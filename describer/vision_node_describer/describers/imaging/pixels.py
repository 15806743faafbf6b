"""Scale down decoded pictures, turn them upright, and convert them to 8-bit sRGB (RGBA)."""

import math
from collections.abc import Iterator

from PIL import Image

from .color_profile import lab_to_rgb, to_srgb

SMALL_SIDE = 128
"""Maximum width and height in pixels of a small copy. Such a copy shows the colors and kind of a
picture, and takes little time to measure."""

_MAX_16_BITS = 65535.0

_SAMPLE_SIDE = 256
"""Maximum width and height in pixels of the sample from which a 32-bit picture's range of values is
determined."""

_NO_VALUE = 2.0**31 - 1
"""Minimum absolute value of a number that stands for a missing value, such as -2147483648 or
-3.4e38."""

_OUTLIERS = 500
"""At each end of the range of values, one value in this many is ignored as an outlier."""

_TILE_PIXELS = 1_000_000
"""Approximate number of pixels to convert at a time. Converting all pixels at the same time would
take twice as much memory."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that turns a stored picture upright, by EXIF orientation (CIPA DC-008, 4.6.4)."""


def turned_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the picture turned upright, given its EXIF orientation."""
    turn = _TURNS.get(orientation)
    if turn is None:  # not "if not turn": FLIP_LEFT_RIGHT is 0
        return picture

    return picture.transpose(turn)


def shrink(picture: Image.Image) -> Image.Image:
    """Return a small RGBA copy of a decoded picture, with averaged pixels."""
    return reduced(picture, -(-max(picture.size) // SMALL_SIDE))


def reduced(picture: Image.Image, factor: int) -> Image.Image:
    """Return a decoded picture in RGBA (sRGB), scaled down by a factor.

    Each pixel is the average of a square of `factor` by `factor` pixels.
    """
    profile = picture.info.get("icc_profile")
    if picture.mode in ("I", "F"):
        picture = _scale_to_8_bits(picture)

    width, height = picture.size
    if factor == 1:
        return to_srgb(_to_8_bits(picture), profile).convert("RGBA")

    small = Image.new("RGBA", (-(-width // factor), -(-height // factor)))
    for box in _tiles(width, height, factor):
        tile = _to_8_bits(picture.crop(box))
        # Averages are weighted by alpha, so that invisible pixels don't affect the color.
        averaged = to_srgb(tile.reduce(factor), profile)
        small.paste(averaged.convert("RGBA"), (box[0] // factor, box[1] // factor))

    return small


def _tiles(width: int, height: int, factor: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that cover a picture. They don't split squares of `factor` by `factor` pixels."""
    rows = factor * max(1, _TILE_PIXELS // (factor * width))
    columns = factor * max(1, _TILE_PIXELS // (factor * min(rows, height)))
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield left, top, min(left + columns, width), min(top + rows, height)


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Return the picture in an 8-bit mode that can be averaged."""
    if picture.mode != "I;16" and picture.mode.startswith("I;16"):
        picture = picture.convert("I")  # Pillow can calculate with only one byte order

    if picture.mode in ("I;16", "I"):
        return picture.point(lambda value: value / 257).convert("L")
    if picture.has_transparency_data and picture.mode not in ("LA", "RGBA"):
        return picture.convert("RGBA")
    if picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return picture
    if picture.mode == "LAB":
        return lab_to_rgb(picture)

    return picture.convert("L" if picture.mode == "1" else "RGB")


def _scale_to_8_bits(picture: Image.Image) -> Image.Image:
    """Convert a 32-bit picture to 8-bit gray levels.

    Its values are scaled to fill the range of gray levels, unless all of them are 16-bit integers.
    """
    low, high = _value_range(picture)
    if picture.mode == "I" and low >= 0 and high <= _MAX_16_BITS:
        low, high = 0.0, _MAX_16_BITS

    scale = 255 / (high - low) if high > low else 1.0
    return picture.point(lambda value: value * scale - low * scale).convert("L")


def _value_range(picture: Image.Image) -> tuple[float, float]:
    """Return the smallest and the largest value, ignoring outliers and missing values.

    Maps and measurements mark missing values with NaN, infinity or the smallest number of the type.
    Even a few of these would turn all other pixels black or white.
    """
    size = (min(picture.width, _SAMPLE_SIDE), min(picture.height, _SAMPLE_SIDE))
    sample = picture.resize(size, Image.Resampling.NEAREST)

    numbers = (float(value) for value in sample.get_flattened_data())  # type: ignore[arg-type]
    values = sorted(value for value in numbers if math.isfinite(value) and abs(value) < _NO_VALUE)
    if not values:
        return 0.0, 0.0

    outliers = len(values) // _OUTLIERS
    return values[outliers], values[-1 - outliers]
