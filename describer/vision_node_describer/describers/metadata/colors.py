"""Name colors, and find the dominant colors of a picture."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache

from PIL import Image

MAX_COLORS = 5
"""Maximum number of dominant colors. A longer list would not help to describe the picture."""

MIN_SHARE = 3
"""Minimum share of a dominant color, in percent. Viewers hardly notice a color with a smaller
share."""

_EXACT_COLORS = 1024
"""Maximum number of distinct colors that are counted exactly, as in charts and logos. If a picture
has more, its colors are first rounded to 5 bits per channel, which saves most of the time."""

_LINEAR_BELOW = 0.04045
"""Value below which sRGB's transfer curve is a straight line."""

_LIGHTNESS_WEIGHT = 0.6
"""Weight of lightness in color distances. It is below 1, so that dark green still counts as
green."""

Lab = tuple[float, float, float]
"""The OKLab axes: lightness, green to red, and blue to yellow."""

_FIVE_BITS = [value >> 3 << 3 | value >> 5 for value in range(256)] * 3

# A name that covers many shades is listed with several of them, so that every color is close to a
# shade with its usual name.
_SHADES = {
    "black": ("000000", "141414", "0a0a14", "140c08"),
    "gray": ("2e2e2e", "484848", "666666", "808080", "999999", "b3b3b3", "cccccc"),
    "white": ("ffffff", "f2f2f2", "e6e6e6"),
    "red": ("ff0000", "d01010", "b22222", "8b0000", "e04040"),
    "orange": ("ff8c00", "ff7518", "e67e22", "ffa040"),
    "brown": ("5c3a1e", "8b4513", "7a5230", "3d2616", "a0703c", "8c6e63"),
    "yellow": ("ffff00", "ffd700", "f2e24b", "e6c419", "fff176"),
    "olive": ("808000", "6b6b2f", "55552b"),
    "green": ("00a000", "00ff00", "228b22", "006400", "5da130", "7fc97f", "90ee90", "1f3d1f"),
    "teal": ("008080", "2f8f8f", "20b2aa", "0b5351", "07322b"),
    "cyan": ("00ffff", "40e0d0", "7fe5f0"),
    "light blue": ("add8e6", "87ceeb", "8fb8de", "c5dff0"),
    "blue": ("0000ff", "1a73e8", "1f77b4", "4169e1", "4682b4", "3a5f8a", "5b9bd5"),
    "navy": ("000080", "0b1f4b", "1b2a49"),
    "purple": ("800080", "6a0dad", "9467bd", "4b0082", "8a6fae", "b19cd9"),
    "magenta": ("ff00ff", "d81b9a", "c71585"),
    "pink": ("ffc0cb", "ff69b4", "f4a6b7", "f8d0d8", "e78ea0"),
    "beige": ("f5f5dc", "e8d8b8", "d2b48c", "c8b49a", "f0e0c8"),
}


@dataclass(frozen=True, slots=True)
class Color:
    """A dominant color of a picture."""

    name: str
    hex: str
    """Mean color of the pixels with this name, as `#rrggbb` (sRGB)."""
    share: int
    """Share of the visible pixels in percent, rounded down so that the sum is at most 100."""


def dominant_colors(picture: Image.Image) -> list[Color]:
    """Return up to MAX_COLORS colors, sorted by decreasing share.

    Args:
        picture: A small RGBA picture. The alpha of each pixel is 0 (not counted) or 255.
    """
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for count, (red, green, blue, alpha) in _count_colors(picture):
        if alpha:
            total = sums[_name_of(red >> 3, green >> 3, blue >> 3)]
            total[0] += count
            total[1] += count * red
            total[2] += count * green
            total[3] += count * blue

    visible = sum(total[0] for total in sums.values())
    largest = sorted(sums.items(), key=lambda item: item[1][0], reverse=True)[:MAX_COLORS]
    colors = [Color(name, _mean_hex(total), 100 * total[0] // visible) for name, total in largest]
    return [color for color in colors if color.share >= MIN_SHARE]


def _count_colors(picture: Image.Image) -> list[tuple[int, tuple[int, int, int, int]]]:
    exact = picture.getcolors(_EXACT_COLORS)
    if exact is None:
        rounded = picture.point(_FIVE_BITS + list(range(256)))
        exact = rounded.getcolors(picture.width * picture.height)
    return exact or []  # type: ignore[return-value] # RGBA: four values per color


def _mean_hex(total: list[int]) -> str:
    count, *channels = total
    return "#" + "".join(f"{(channel + count // 2) // count:02x}" for channel in channels)


@cache
def _name_of(red: int, green: int, blue: int) -> str:
    """Return the name of a color with 5 bits per channel. At most 32,768 names are cached."""
    color = _oklab(*(value << 3 | value >> 2 for value in (red, green, blue)))
    return min(_ANCHORS, key=lambda anchor: _distance(anchor[1], color))[0]


def _distance(one: Lab, other: Lab) -> float:
    """Return the squared distance between two colors. Lightness counts less than the other axes."""
    return (
        (_LIGHTNESS_WEIGHT * (one[0] - other[0])) ** 2
        + (one[1] - other[1]) ** 2
        + (one[2] - other[2]) ** 2
    )


def _oklab(red: int, green: int, blue: int) -> Lab:
    """Convert sRGB (0-255) to OKLab, in which distances correspond to perceived differences.

    Constants: Björn Ottosson, https://bottosson.github.io/posts/oklab/.
    """
    r, g, b = (_linear(value / 255) for value in (red, green, blue))
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)

    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear(value: float) -> float:
    """Undo sRGB's transfer curve (IEC 61966-2-1)."""
    return value / 12.92 if value <= _LINEAR_BELOW else ((value + 0.055) / 1.055) ** 2.4


_ANCHORS = [
    (name, _oklab(*bytes.fromhex(shade))) for name, shades in _SHADES.items() for shade in shades
]
