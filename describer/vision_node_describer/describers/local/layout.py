"""Measure how a picture is laid out: as a pattern, as text, or otherwise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_PATTERN_SIDE = 256
_PATTERN_TILES = 4
"""Maximum side in pixels of the copy on which a pattern is measured, and number of tiles per
side."""

_MIN_PATTERN_CONTRAST = 3.0
"""Minimum standard deviation of a pattern's gray levels. If it is lower, the picture is plain."""

_MAX_PATTERN_CHANGE = 0.13
"""Maximum variation between the tiles of a pattern. It applies to their means (relative to the
standard deviation of all pixels) and to their standard deviations (relative to the average one). In
photographs of brick, grass and gravel, the variation is at most 0.11. In photographs of a lawn and
of stars, it is at least 0.2."""

_COLOR_SIDE = 64
_COLOR_QUANTILE = 0.98
_MAX_GRAY_CHROMA = 12
"""Maximum side in pixels of the copy on which colors are measured, minimum share of gray pixels in
a colorless picture, and maximum difference between the channels (0-255) of a gray pixel. JPEG
changes channels by a few levels."""

_TEXT_TILE = 64
"""Side in pixels of the tiles in which text is sought."""

_STROKE_PIXELS = 12
"""Radius in pixels of the surroundings with which a stroke is compared."""

_MIN_STROKE_CONTRAST = 8.0
_MIN_STROKE_SKEWNESS = 1.0
_MIN_LINE_CHANGE = 0.4
"""Minimum values for a tile that looks like text. Such a tile has a few dark pixels among many
light ones, or the reverse (skewness of the gray levels). The number of edges varies between its
rows, because lines of text alternate with gaps."""

_MIN_TEXT_SHARE = 0.35
_MAX_TEXT_SATURATION = 60.0
"""Minimum share of tiles that look like text (all dark on light, or all light on dark), and maximum
mean saturation (0-255), of a photograph of text. Of 400 photographs without text, 10 meet both
conditions."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a picture."""

    is_pattern: bool
    """Whether it looks the same everywhere, as a texture does."""
    looks_like_text: bool
    """Whether most of it consists of thin strokes on an even background."""
    is_colorless: bool
    """Whether it has only shades of gray."""


def measure_layout(picture: Image.Image) -> Layout:
    """Measure an RGB picture whose sides are a few hundred pixels long."""
    return Layout(
        is_pattern=_is_pattern(picture),
        looks_like_text=_looks_like_text(picture),
        is_colorless=_is_colorless(picture),
    )


def _is_colorless(picture: Image.Image) -> bool:
    small = np.asarray(picture.resize((_COLOR_SIDE, _COLOR_SIDE)), np.int16)
    chroma = small.max(2) - small.min(2)
    return bool(np.quantile(chroma, _COLOR_QUANTILE) <= _MAX_GRAY_CHROMA)


def _is_pattern(picture: Image.Image) -> bool:
    gray = picture.convert("L")
    gray.thumbnail((_PATTERN_SIDE, _PATTERN_SIDE))
    levels = np.asarray(gray, np.float32)
    contrast = float(levels.std())
    side = min(levels.shape) // _PATTERN_TILES
    if contrast < _MIN_PATTERN_CONTRAST or side < 2:
        return False

    height, width = (length // _PATTERN_TILES for length in levels.shape)
    tiles = (
        levels[: height * _PATTERN_TILES, : width * _PATTERN_TILES]
        .reshape(_PATTERN_TILES, height, _PATTERN_TILES, width)
        .swapaxes(1, 2)
        .reshape(_PATTERN_TILES**2, -1)
    )
    means, deviations = tiles.mean(1), tiles.std(1)
    change = max(means.std() / contrast, deviations.std() / max(float(deviations.mean()), 1e-6))

    return bool(change <= _MAX_PATTERN_CHANGE)


def _looks_like_text(picture: Image.Image) -> bool:
    saturation = np.asarray(picture.convert("HSV").getchannel("S"), np.float32).mean()
    if saturation > _MAX_TEXT_SATURATION:
        return False

    gray = picture.convert("L")
    surroundings = gray.filter(ImageFilter.BoxBlur(_STROKE_PIXELS))
    strokes = np.asarray(gray, np.float32) - np.asarray(surroundings, np.float32)
    signs = [
        _stroke_sign(strokes[top : top + _TEXT_TILE, left : left + _TEXT_TILE])
        for top in range(0, strokes.shape[0] - _TEXT_TILE + 1, _TEXT_TILE)
        for left in range(0, strokes.shape[1] - _TEXT_TILE + 1, _TEXT_TILE)
    ]

    most = max(signs.count(-1), signs.count(1))
    return most > 0 and most >= _MIN_TEXT_SHARE * len(signs)


def _stroke_sign(tile: NDArray[np.float32]) -> int:
    """Return -1 for dark strokes, 1 for light ones, 0 if the tile does not look like text."""
    deviation = float(tile.std())
    if deviation < _MIN_STROKE_CONTRAST:
        return 0

    skewness = float(((tile - tile.mean()) ** 3).mean()) / deviation**3
    edges = np.abs(np.diff(tile, axis=1)).mean(1)
    line_change = float(edges.std()) / (float(edges.mean()) + 1e-6)
    if abs(skewness) < _MIN_STROKE_SKEWNESS or line_change < _MIN_LINE_CHANGE:
        return 0

    return -1 if skewness < 0 else 1
