"""Distinguish photographs from screenshots, charts, documents, drawings and patterns."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..metadata.facts import Facts
from ..ocr.text import Line
from .axes import has_axis
from .classes import probability_of
from .layout import Layout

PictureKind = Literal[
    "photograph", "screenshot", "chart", "document", "drawing", "pattern", "graphic"
]

_ON_SCREEN = ("website",)
_DRAWN = ("comic", "book cover", "jigsaw puzzle")
"""Classes whose pictures are often drawn or painted."""

_MAYBE_ON_SCREEN = ("website", "screen", "monitor", "menu")

_MIN_ON_SCREEN = 0.5
_MIN_MAYBE_ON_SCREEN = 0.4
_MIN_DRAWN = 0.25
"""Minimum probabilities. The probability of a drawing is at most 0.08 for each of 270 photographs.
It is above 0.25 for a third of 24 paintings with strong outlines by Van Gogh and others."""

_SCREENS = frozenset(
    {
        *((1024, 768), (1280, 720), (1280, 800), (1366, 768), (1440, 900), (1536, 864)),
        *((1600, 900), (1680, 1050), (1920, 1080), (1920, 1200), (2560, 1080), (2560, 1440)),
        *((2560, 1600), (2880, 1800), (3024, 1964), (3440, 1440), (3456, 2234), (3840, 2160)),
        *((1334, 750), (1792, 828), (1920, 1080), (2340, 1080), (2400, 1080), (2436, 1125)),
        *((2532, 1170), (2556, 1179), (2688, 1242), (2778, 1284), (2796, 1290), (3120, 1440)),
        *((2048, 1536), (2160, 1620), (2360, 1640), (2388, 1668), (2732, 2048)),
    }
)
"""Widths and heights in pixels of common computer, phone and tablet screens, longer side first."""

_MIN_SCREEN_LINES = 3
"""Minimum number of lines of text in a screenshot that is recognized only by its size or by a weak
resemblance. Wallpapers have the same sizes."""

_PAPER_RATIOS = (1.2, 1.6)
"""Minimum and maximum ratio of height to width of a sheet of paper. It is 1.29 for letter and 1.41
for A4."""

_MIN_DOCUMENT_LINES = 5
_MIN_DOCUMENT_CHARACTERS = 100
_MIN_DOCUMENT_BRIGHTNESS = 0.6
"""Minimum numbers of lines and characters, and minimum mean luma (0-1), of a page of text."""


def kind_by_sight(facts: Facts, layout: Layout, probabilities: NDArray[np.float32]) -> PictureKind:
    """Return the kind of a picture whose text has not been read.

    Args:
        facts: The picture's facts. If EXIF names a camera, the picture is a photograph.
        layout: The picture's layout.
        probabilities: The classifier's probability of each class.
    """
    if facts.picture.exif.camera:
        return "photograph"
    if layout.is_pattern:
        return "pattern"
    if probability_of(_ON_SCREEN, probabilities) >= _MIN_ON_SCREEN:
        return "screenshot"
    if facts.kind == "graphic":
        return "graphic"

    drawn = probability_of(_DRAWN, probabilities) >= _MIN_DRAWN
    return "drawing" if drawn else "photograph"


def kind_by_text(
    kind: PictureKind,
    facts: Facts,
    layout: Layout,
    probabilities: NDArray[np.float32],
    lines: Sequence[Line],
) -> PictureKind:
    """Return the kind of a picture whose text has been read."""
    if not (layout.looks_like_text or kind in ("graphic", "screenshot")):
        is_scan = kind != "drawing" and layout.is_colorless and _is_page(facts, lines)
        return "document" if is_scan and not facts.picture.exif.camera else kind

    if has_axis(lines):
        return "chart"

    longer, shorter = max(facts.width, facts.height), min(facts.width, facts.height)
    has_lines = len(lines) >= _MIN_SCREEN_LINES
    if kind == "graphic" and has_lines and (longer, shorter) in _SCREENS:
        return "screenshot"
    if (kind != "screenshot" or _has_shape_of_paper(facts, layout)) and _is_page(facts, lines):
        return "document"

    on_screen = probability_of(_MAYBE_ON_SCREEN, probabilities) >= _MIN_MAYBE_ON_SCREEN
    return "screenshot" if kind == "graphic" and has_lines and on_screen else kind


def _has_shape_of_paper(facts: Facts, layout: Layout) -> bool:
    low, high = _PAPER_RATIOS
    return layout.is_colorless and low <= facts.height / facts.width <= high


def _is_page(facts: Facts, lines: Sequence[Line]) -> bool:
    characters = sum(len(line.text) for line in lines)
    return (
        len(lines) >= _MIN_DOCUMENT_LINES
        and characters >= _MIN_DOCUMENT_CHARACTERS
        and (facts.appearance.brightness or 0) >= _MIN_DOCUMENT_BRIGHTNESS
    )
