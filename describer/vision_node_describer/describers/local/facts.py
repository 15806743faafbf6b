"""Convert recognized things to JSON for a description's `facts`."""

from collections.abc import Sequence

from pydantic import JsonValue

from .boxes import Boxes
from .classes import Label
from .objects import Object

_MAX_BOXES = 50
"""Maximum number of boxes for each name, so that a crowd does not fill the result."""

_MAX_LABELS = 10


def objects_to_json(objects: Sequence[Object], size: tuple[int, int]) -> list[JsonValue]:
    """Return the things as JSON, largest first.

    Args:
        objects: The things.
        size: Width and height of the picture in which they were found.
    """
    return [
        {
            "name": thing.name,
            "count": thing.count,
            "confidence": round(thing.confidence, 2),
            "boxes": boxes_to_json(thing.boxes, size),
        }
        for thing in objects
    ]


def boxes_to_json(boxes: Boxes, size: tuple[int, int]) -> list[JsonValue]:
    """Return left, top, width and height of each box as shares of the picture's sides."""
    width, height = size
    return [
        [
            round(float(left) / width, 3),
            round(float(top) / height, 3),
            round(float(right - left) / width, 3),
            round(float(bottom - top) / height, 3),
        ]
        for left, top, right, bottom in boxes[:_MAX_BOXES, :4]
    ]


def labels_to_json(labels: Sequence[Label]) -> list[JsonValue]:
    """Return the labels as JSON, most certain first."""
    return [
        {
            "name": label.name,
            "confidence": round(label.confidence, 2),
            "parents": list(label.parents),
        }
        for label in labels[:_MAX_LABELS]
    ]
