"""Measure how a picture is laid out: as a pattern, as text, or otherwise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_PATTERN_SIDE = 256
_PATTERN_TILES = 4
"""A pattern is measured on a copy of at most this many pixels a side, in this many tiles a side."""

_MIN_PATTERN_CONTRAST = 3.0
"""Minimum standard deviation of the gray levels of a pattern. Below, the picture is plain."""

_MAX_PATTERN_CHANGE = 0.13
"""Maximum change between the tiles of a pattern, in their mean (relative to the standard deviation
of all pixels) and in their own standard deviation (relative to its mean). Photographs of brick,
grass and gravel have at most 0.11, and those of a lawn and of the stars at least 0.2."""

_COLOR_SIDE = 64
_COLOR_QUANTILE = 0.98
_MAX_GRAY_CHROMA = 12
"""A picture is colorless if, on a copy of this many pixels a side, this share of the pixels has
red, green and blue within this number of levels (of 255). JPEG adds a few levels."""

_TEXT_TILE = 64
"""Side in pixels of the tiles in which text is sought."""

_STROKE_PIXELS = 12
"""Radius in pixels of the surroundings with which a stroke is compared."""

_MIN_STROKE_CONTRAST = 8.0
_MIN_STROKE_SKEWNESS = 1.0
_MIN_LINE_CHANGE = 0.4
"""A tile looks like text if it has few dark pixels among many light ones, or the reverse (skewness
of the gray levels), in rows with very different numbers of edges: lines of text and gaps."""

_MIN_TEXT_SHARE = 0.35
_MAX_TEXT_SATURATION = 60.0
"""Minimum share of tiles that look alike like text, and maximum mean saturation (0-255), in a
photograph of text. Of 400 photographs without text, 10 reach both."""


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
    """Measure an RGB picture of some hundred pixels a side."""
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
