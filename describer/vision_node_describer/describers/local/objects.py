"""Check the detected things against the classifier's opinion, and count them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .boxes import CLASS, SCORE, Boxes, as_boxes, contains_center
from .classes import load_classes, probability_of
from .object_classes import ANIMALS, NAMES

PERSON = "person"

_MIN_SUPPORT = 0.25
"""Minimum probability that the classifier gives to a detected animal's kind."""

_SURE_SCORE = 0.65
_MAX_CONFLICT = 0.4
"""A detected animal without the classifier's support needs this score, and the classifier must not
give another kind of animal more than this probability."""

_SUPPORTING = {
    "bird": ("bird",),
    "cat": ("cat",),
    "dog": ("dog",),
    "horse": ("horse",),
    "sheep": ("sheep",),
    "cow": ("cattle",),
    "elephant": ("elephant",),
    "bear": ("bear",),
    "zebra": ("zebra",),
    "giraffe": (),
}
"""The classifier's groups for each animal that the detector knows. It has no giraffe."""

_GIRAFFE_SCORE = 0.5

_MIN_PERSON = 0.5
_MIN_LONE_PERSON = 0.55
_MIN_PERSON_BESIDE_ANIMAL = 0.7
"""Minimum scores of a person without a face: if there are others, if there are none, and if the
picture shows an animal, which may have been taken for the person."""

_MIN_ANIMAL = 0.5
"""Probability from which the classifier's opinion counts: the picture shows an animal."""

_MIN_CANDIDATE = 0.35
"""Minimum score of a candidate for which a count becomes "at least"."""

LIKELY_SCORE = 0.55
"""Score below which a thing is only likely."""


@dataclass(frozen=True, slots=True)
class Object:
    """One or more things of the same name."""

    name: str
    count: int
    is_at_least: bool
    """Whether there may be more."""
    confidence: float
    """Score of the most certain one, from 0 to 1."""
    boxes: Boxes


def check_faces(faces: Boxes, detected: Boxes, probabilities: NDArray[np.float32]) -> Boxes:
    """Return the faces of people only: a cat's or dog's face is similar to a person's."""
    animals = [box for box in detected if NAMES[int(box[CLASS])] in ANIMALS]
    people = _named(detected, PERSON)
    if not len(people) and probability_of(["animal"], probabilities) >= _MIN_SUPPORT:
        return as_boxes([])

    return as_boxes(
        [face for face in faces if not any(contains_center(box, face) for box in animals)]
    )


def count_objects(
    detected: Boxes, candidates: Boxes, faces: Boxes, probabilities: NDArray[np.float32]
) -> list[Object]:
    """Return the things in a picture, the largest first.

    Args:
        detected: The things that the detector is certain of.
        candidates: Also the less certain ones; if there are more of them, a count is "at least".
        faces: Faces of people.
        probabilities: The classifier's, one for each class.
    """
    found: list[Object] = []
    for name in dict.fromkeys(NAMES[int(box[CLASS])] for box in detected):
        boxes = _named(detected, name)
        if name == PERSON:
            boxes = _people(boxes, faces, probabilities)
        elif name in ANIMALS and not _is_supported(name, boxes, probabilities):
            continue
        if len(boxes):
            others = _named(candidates, name)
            more = int((others[:, SCORE] >= _MIN_CANDIDATE).sum()) > len(boxes)
            found.append(_object(name, boxes, is_at_least=more))

    people = next((thing for thing in found if thing.name == PERSON), None)
    if len(faces) > (people.count if people else 0):
        found = [thing for thing in found if thing.name != PERSON]
        found.append(_object(PERSON, faces, is_at_least=len(faces) > 1))

    return sorted(found, key=lambda thing: -_largest_area(thing.boxes))


def _object(name: str, boxes: Boxes, *, is_at_least: bool) -> Object:
    return Object(
        name=name,
        count=len(boxes),
        is_at_least=len(boxes) > 1 and (is_at_least or len(boxes) > 2),
        confidence=float(boxes[:, SCORE].max()),
        boxes=boxes,
    )


def _named(boxes: Boxes, name: str) -> Boxes:
    return as_boxes([box for box in boxes if NAMES[int(box[CLASS])] == name])


def _people(boxes: Boxes, faces: Boxes, probabilities: NDArray[np.float32]) -> Boxes:
    minimum = _MIN_PERSON if len(boxes) > 1 else _MIN_LONE_PERSON
    if probability_of(["animal"], probabilities) >= _MIN_ANIMAL:
        minimum = _MIN_PERSON_BESIDE_ANIMAL

    return as_boxes(
        [
            box
            for box in boxes
            if box[SCORE] >= minimum or any(contains_center(box, face) for face in faces)
        ]
    )


def _is_supported(name: str, boxes: Boxes, probabilities: NDArray[np.float32]) -> bool:
    score = float(boxes[:, SCORE].max())
    groups = _SUPPORTING[name]
    support = probability_of(groups, probabilities) if groups else 0.0
    if support >= _MIN_SUPPORT:
        return True

    conflict = _strongest_other_animal(groups, probabilities)
    enough = score >= _SURE_SCORE or (name == "giraffe" and score >= _GIRAFFE_SCORE)
    return enough and conflict < _MAX_CONFLICT


def _strongest_other_animal(groups: Sequence[str], probabilities: NDArray[np.float32]) -> float:
    return max(
        (
            label.confidence
            for label in load_classes().labels(probabilities, _MIN_SUPPORT)
            if label.parents[-1:] == ("animal",) and not set(groups) & set(label.path)
        ),
        default=0.0,
    )


def _largest_area(boxes: Boxes) -> float:
    return float(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).max())
