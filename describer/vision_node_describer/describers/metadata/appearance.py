"""Measure how a picture looks as a whole: colors, brightness, transparency and kind."""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from PIL import Image, ImageFilter

from .colors import Color, dominant_colors

Kind = Literal["photograph", "graphic"]

_VISIBLE = 128
"""Minimum alpha (0-255) of a pixel whose color and brightness count."""

_CURVATURE = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
"""The discrete Laplacian: 128 (flat) where the brightness is constant or changes evenly."""

# Thresholds that separate the kinds. They were measured with scikit-image's and scikit-learn's
# photographs and with drawn charts, screens, maps, logos and gradients, each as PNG and as JPEG at
# quality 85 and 50. A sensor's noise makes the calm parts of a photograph nearly flat, but seldom
# exactly flat. In photographs in which at least 15 % of the pixels were exactly flat, these made up
# at most 54 % of the nearly flat pixels. In drawings, they made up at least 62 %. The pictures
# still misjudged are gray photographs of objects on white, slides with a gradient behind the text,
# and tiny JPEG icons.
_MIN_FLAT = 0.15
_MIN_EXACTLY_FLAT = 0.6
_NEARLY_FLAT_LEVELS = 2  # gray levels of 255
# A photograph of an object on white has many flat pixels, too, but few other pixels share a color.
_MAX_COLORS_PER_PIXEL = 0.5
# In gradients, nearly all pixels are calm. In the calmest photograph, a blurred clock, 96 % were.
_MIN_CALM = 0.97
_CALM_LEVELS = 8  # gray levels of 255


@dataclass(frozen=True, slots=True)
class Appearance:
    """The appearance of a picture, measured in a small copy."""

    colors: list[Color]
    brightness: float | None
    """Mean luma of the visible pixels, 0 (black) to 1 (white); None if nothing is visible."""
    contrast: float | None
    """Standard deviation of luma, 0 (uniform) to 1 (half black and half white)."""
    kind: Kind
    transparent_share: float
    """Mean transparency, 0 (opaque) to 1 (invisible)."""


def measure_appearance(small: Image.Image) -> Appearance:
    """Measure the appearance of a small RGBA picture."""
    alpha = small.getchannel("A")
    opacity = alpha.histogram()
    seen = small.convert("RGB")

    if opacity[255] < sum(opacity):
        visible = alpha.point([0] * _VISIBLE + [255] * (256 - _VISIBLE))
        seen = Image.composite(seen, Image.new("RGB", small.size, "white"), visible)
        small = Image.merge("RGBA", (*seen.split(), visible))
        alpha = visible

    luma = seen.convert("L")
    brightness, contrast = _brightness_and_contrast(luma.histogram(alpha))

    return Appearance(
        colors=dominant_colors(small),
        brightness=brightness,
        contrast=contrast,
        kind=_kind(luma, seen),
        transparent_share=1 - _mean(opacity) / 255,
    )


def _mean(histogram: list[int]) -> float:
    return sum(value * count for value, count in enumerate(histogram)) / sum(histogram)


def _brightness_and_contrast(histogram: list[int]) -> tuple[float, float] | tuple[None, None]:
    """Return the brightness and contrast in a luma histogram; None for both if it is empty."""
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
    flat = _share_within(curvature, 0)
    nearly_flat = _share_within(curvature, _NEARLY_FLAT_LEVELS)
    if _share_within(curvature, _CALM_LEVELS) >= _MIN_CALM:
        return "graphic"
    if flat < _MIN_FLAT or flat < _MIN_EXACTLY_FLAT * nearly_flat:
        return "photograph"

    max_colors = int(_MAX_COLORS_PER_PIXEL * (1 - flat) * width * height) + 1
    has_more_colors = seen.getcolors(max_colors) is None
    return "photograph" if has_more_colors else "graphic"


def _share_within(curvature: list[int], levels: int) -> float:
    """Return the share of pixels whose curvature is at most `levels` gray levels."""
    return sum(curvature[128 - levels : 129 + levels]) / sum(curvature)
