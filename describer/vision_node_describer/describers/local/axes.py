"""Find the axes of a chart, whose labels are evenly spaced numbers that change in equal steps."""

import re
from collections.abc import Sequence
from itertools import groupby
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from ..ocr.text import Line

_NUMBER = re.compile(r"[-−+]?[$€£]?\d[\d,. ]*(?:\.\d+)?\s?[%kKMB°]?")
"""A label of an axis, such as 20, 1,000, −0.5, $5, 40 % or 3k."""

_MIN_LABELS = 4
"""Minimum number of labels of an axis. Three numbers may be aligned by chance, such as three of
the hours on a clock face."""

_MIN_LABELS_OF_TWO_AXES = 3
"""Minimum number of labels of a vertical axis if there is a horizontal one, too."""

_MAX_DEVIATION = 0.15
"""Maximum relative deviation of a step from the mean step. Boxes around digits are inaccurate by a
few pixels."""

_MAX_OFFSET = 0.8
"""Maximum distance between labels perpendicular to their axis, in heights of their text."""


def has_axis(lines: Sequence[Line]) -> bool:
    """Return whether some of the recognized lines are the labels of a chart's vertical axis.

    The numbers on a vertical axis increase upward. Those of a numbered list increase downward. A
    horizontal axis alone does not make a chart, because page numbers and the days of a calendar's
    week look the same.
    """
    labels = [(value, line) for line in lines if (value := _value(line.text)) is not None]
    least = _MIN_LABELS
    if any(_is_axis(row, _MIN_LABELS, vertical=False) for row in _aligned(labels, vertical=False)):
        least = _MIN_LABELS_OF_TWO_AXES

    return any(_is_axis(column, least, vertical=True) for column in _aligned(labels, vertical=True))


def _value(text: str) -> float | None:
    if not _NUMBER.fullmatch(text.strip()):
        return None

    digits = re.sub(r"[^\d.\-]", "", text.replace("−", "-").replace(",", ""))
    try:
        value = float(digits)
    except ValueError:
        return None

    return value if isfinite(value) else None


def _center(line: Line, *, vertical: bool) -> float:
    """Return the position along the axis."""
    left, top, width, height = line.box
    return top + height / 2 if vertical else left + width / 2


def _across(line: Line, *, vertical: bool) -> float:
    """Return the position perpendicular to the axis. A vertical axis has right-aligned labels."""
    left, top, width, height = line.box
    return left + width if vertical else top + height / 2


def _aligned(labels: list[tuple[float, Line]], *, vertical: bool) -> list[list[tuple[float, Line]]]:
    """Return groups of labels that are aligned along an axis."""
    ordered = sorted(labels, key=lambda label: _across(label[1], vertical=vertical))
    group, previous = 0, None

    def group_of(label: tuple[float, Line]) -> int:
        nonlocal group, previous
        position = _across(label[1], vertical=vertical)
        if previous is not None and position - previous > _MAX_OFFSET * label[1].box[3]:
            group += 1
        previous = position
        return group

    return [list(members) for _, members in groupby(ordered, key=group_of)]


def _is_axis(labels: list[tuple[float, Line]], least: int, *, vertical: bool) -> bool:
    """Return whether both values and positions change in equal steps, in the expected direction."""
    if len(labels) < least:
        return False

    sign = -1.0 if vertical else 1.0
    points = sorted((_center(line, vertical=vertical), sign * value) for value, line in labels)
    positions, values = np.diff(np.array(points), axis=0).T

    return bool(values.min() > 0 and _is_even(values) and _is_even(positions))


def _is_even(steps: NDArray[np.float64]) -> bool:
    return bool(np.abs(steps - steps.mean()).max() <= _MAX_DEVIATION * abs(steps.mean()))
