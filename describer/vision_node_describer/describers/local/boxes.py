"""Bounding boxes of recognized things, as rows of an array, and the overlap of boxes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""One row for each box: left, top, right, bottom, score from 0 to 1, class."""

SCORE, CLASS = 4, 5
"""Columns of Boxes."""

_MAX_BOXES = 300
"""Maximum number of boxes to compare. Boxes with lower scores are left out."""


def no_boxes() -> Boxes:
    """Return an empty array of boxes."""
    return np.zeros((0, 6), np.float32)


def as_boxes(rows: Any) -> Boxes:
    """Convert a sequence of rows, which may be empty, to Boxes."""
    return np.asarray(rows, np.float32).reshape(-1, 6)


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """Return the area of each box."""
    result: NDArray[np.float32] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return result


def overlaps(box: NDArray[np.float32], boxes: Boxes) -> NDArray[np.float32]:
    """Return the intersection over union of one box with each of the others, from 0 to 1."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    common = np.clip(width, 0, None) * np.clip(height, 0, None)
    area = (box[2] - box[0]) * (box[3] - box[1])

    result: NDArray[np.float32] = common / (area + areas(boxes) - common + 1e-6)
    return result


def share_inside(inner: NDArray[np.float32], outer: NDArray[np.float32]) -> float:
    """Return the share of a box's area that lies in another box, from 0 to 1."""
    width = min(inner[2], outer[2]) - max(inner[0], outer[0])
    height = min(inner[3], outer[3]) - max(inner[1], outer[1])
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    return float(max(width, 0.0) * max(height, 0.0) / (area + 1e-6))


def contains_center(outer: NDArray[np.float32], inner: NDArray[np.float32]) -> bool:
    """Return whether the center of a box lies in another box."""
    x, y = (inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2
    return bool(outer[0] <= x <= outer[2] and outer[1] <= y <= outer[3])


def by_score(boxes: Boxes) -> Boxes:
    """Return the boxes sorted by decreasing score."""
    return boxes[boxes[:, SCORE].argsort()[::-1]]


def suppress_duplicates(boxes: Boxes, max_overlap: float) -> Boxes:
    """Remove boxes that overlap a better box of the same class by more than `max_overlap`.

    This is non-maximum suppression.
    """
    rest, kept = by_score(boxes)[:_MAX_BOXES], []
    while len(rest):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        rest = rest[(overlaps(best, rest) < max_overlap) | (rest[:, CLASS] != best[CLASS])]

    return as_boxes(kept)
