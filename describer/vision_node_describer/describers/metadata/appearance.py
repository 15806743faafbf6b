"""How a picture looks as a whole: light and dark, see-through, photograph or drawn."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from PIL import Image, ImageFilter

from .colors import Color, dominant_colors

Kind = Literal["photograph", "graphic"]

_VISIBLE = 128
"""Alpha from which a pixel counts for colours and brightness."""

_CURVATURE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
"""The discrete Laplacian, 128 where a surface is flat or an even slope."""

# How the kinds differ, over scikit-image's and scikit-learn's photographs and over drawn charts,
# screens, maps, logos and gradients, each as PNG and as JPEG of quality 85 and 50. A sensor's noise
# makes a photograph's calm parts nearly flat, seldom exactly so: where 0.15 or more of a photograph
# were exactly flat, these were at most 0.54 of the nearly flat pixels; in drawings at least 0.62.
# It errs on grey photographs cut out on white, slides with a gradient behind, and tiny JPEG icons.
_LEAST_FLAT = 0.15
_LEAST_EXACTLY_FLAT = 0.6
_NEARLY = 2  # grey levels of 255
# A photograph cut out on white is flat, too, but beyond the flat part hardly two pixels agree.
_MOST_COLORS_PER_PIXEL = 0.5
# Gradients are calm everywhere; the calmest photograph, a blurred clock, had 0.96 calm pixels.
_LEAST_CALM = 0.97
_CALM = 8  # grey levels of 255


@dataclass(frozen=True, slots=True)
class Looks:
    """What the small copy of a picture shows."""

    colors: list[Color]
    brightness: float | None
    """Mean luma of the visible pixels, 0 black to 1 white; None if nothing is visible."""
    contrast: float | None
    """Standard deviation of luma: 0 uniform, 1 half black and half white."""
    kind: Kind
    transparent_share: float
    """Mean transparency, 0 opaque to 1 invisible."""


def look_at(small: Image.Image) -> Looks:
    """Measure a small RGBA picture."""
    alpha = small.getchannel("A")
    opacity = alpha.histogram()
    seen = small.convert("RGB")

    if opacity[255] < sum(opacity):
        visible = alpha.point([0] * _VISIBLE + [255] * (256 - _VISIBLE))
        seen = Image.composite(seen, Image.new("RGB", small.size, "white"), visible)
        small = Image.merge("RGBA", (*seen.split(), visible))
        alpha = visible

    luma = seen.convert("L")
    brightness, contrast = _light(luma.histogram(alpha))
    return Looks(
        colors=dominant_colors(small),
        brightness=brightness,
        contrast=contrast,
        kind=_kind(luma, seen),
        transparent_share=1 - _mean(opacity) / 255,
    )


def _mean(histogram: list[int]) -> float:
    return sum(value * count for value, count in enumerate(histogram)) / sum(histogram)


def _light(histogram: list[int]) -> tuple[float, float] | tuple[None, None]:
    """Return brightness and contrast of a luma histogram."""
    count = sum(histogram)
    if not count:
        return None, None
    mean = _mean(histogram)
    variance = sum((value - mean) ** 2 * times for value, times in enumerate(histogram)) / count
    return round(mean / 255, 2), round(sqrt(variance) / 127.5, 2)


def _kind(luma: Image.Image, seen: Image.Image) -> Kind:
    width, height = luma.size
    if min(width, height) < 3:
        return "graphic"

    curvature = luma.filter(_CURVATURE).crop((1, 1, width - 1, height - 1)).histogram()
    flat, nearly, calm = (_within(curvature, levels) for levels in (0, _NEARLY, _CALM))
    if calm >= _LEAST_CALM:
        return "graphic"
    if flat < _LEAST_FLAT or flat < _LEAST_EXACTLY_FLAT * nearly:
        return "photograph"

    few = int(_MOST_COLORS_PER_PIXEL * (1 - flat) * width * height) + 1
    return "photograph" if seen.getcolors(few) is None else "graphic"


def _within(curvature: list[int], levels: int) -> float:
    """Return the share of pixels whose surface bends by at most so many grey levels."""
    return sum(curvature[128 - levels : 129 + levels]) / sum(curvature)
