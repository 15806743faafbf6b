"""Check the detected things against the classifier's opinion, and count them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .boxes import CLASS, SCORE, Boxes, areas, as_boxes, contains_center, share_inside
from .classes import load_classes, probability_of
from .object_classes import ANIMALS, NAMES

PERSON = "person"

_MIN_SUPPORT = 0.15
"""Minimum probability of a detected animal's kind at which the classifier supports the
detection."""

_SURE_SCORE = 0.65
_MAX_CONFLICT = 0.4
"""Minimum score of a detected animal without the classifier's support, and limit of the
classifier's probability of another kind of animal."""

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
"""The classifier's groups for each animal that the detector knows. The classifier has no class for
giraffes."""

_GIRAFFE_SCORE = 0.5

_VEHICLES = {
    "bicycle": ("bicycle",),
    "car": ("car", "van"),
    "motorcycle": ("motorcycle or scooter",),
    "airplane": ("aircraft",),
    "bus": ("bus", "van"),
    "train": ("train", "streetcar"),
    "truck": ("truck", "van"),
    "boat": ("boat or ship",),
}
"""The classifier's groups for each vehicle that the detector knows."""

_MAX_PART = 0.7
"""Share of a box within a larger box above which the smaller box shows only a part, such as a
bird's wing."""

_MIN_PERSON = 0.5
_MIN_LONE_PERSON = 0.55
_MIN_PERSON_BESIDE_ANIMAL = 0.7
"""Minimum scores of a person without a face: beside other people, alone, and in a picture of an
animal, which may have been mistaken for a person."""

_MIN_ANIMAL = 0.5
"""Minimum probability at which the classifier's opinion that the picture shows an animal counts."""

_MIN_CANDIDATE = 0.35
_MIN_CANDIDATE_AREA = 0.2
"""Minimum score of a candidate that turns a count into "at least", and its minimum area relative to
that of the smallest counted box."""

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
    """Return only people's faces. The detector may also have found the faces of cats and dogs."""
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
    """Return the things in a picture, largest first.

    Args:
        detected: Things of which the detector is certain.
        candidates: All things found, including uncertain ones, which turn counts into "at least".
        faces: Faces of people. Their class is that of a person.
        probabilities: The classifier's probability of each class.
    """
    found: list[Object] = []
    for name in dict.fromkeys(NAMES[int(box[CLASS])] for box in (*detected, *faces)):
        boxes = _named(detected, name)
        if name == PERSON:
            boxes = _people(boxes, faces, probabilities)
            boxes = as_boxes([*boxes, *_faces_without_a_body(faces, boxes)])
        elif name in ANIMALS:
            boxes = _whole_animals(boxes)
            if not _is_supported(name, boxes, probabilities):
                continue
        elif name in _VEHICLES and _is_another_vehicle(name, probabilities):
            continue

        if len(boxes):
            others = _named(candidates, name)
            found.append(_object(name, boxes, is_at_least=_are_more(others, boxes)))

    return sorted(found, key=lambda thing: -_largest_area(thing.boxes))


def _are_more(candidates: Boxes, counted: Boxes) -> bool:
    """Return whether there is a candidate that is neither counted nor a part of a counted thing.

    A candidate that is much smaller than the counted things is probably something else.
    """
    min_area = _MIN_CANDIDATE_AREA * float(areas(counted).min())
    return any(
        candidate[SCORE] >= _MIN_CANDIDATE
        and area >= min_area
        and all(share_inside(candidate, box) < _MAX_PART for box in counted)
        for candidate, area in zip(candidates, areas(candidates), strict=True)
    )


def _object(name: str, boxes: Boxes, *, is_at_least: bool) -> Object:
    return Object(
        name=name,
        count=len(boxes),
        is_at_least=is_at_least or len(boxes) > 2,
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


def _faces_without_a_body(faces: Boxes, people: Boxes) -> Boxes:
    """Return the faces in no person's box, or in one that another face is in."""
    bodies, alone = list(people), []
    for face in faces:
        body = next((n for n, box in enumerate(bodies) if contains_center(box, face)), None)
        if body is None:
            alone.append(face)
        else:
            del bodies[body]

    return as_boxes(alone)


def _whole_animals(boxes: Boxes) -> Boxes:
    """Return the boxes that are not parts of larger ones."""
    sized = list(zip(boxes, areas(boxes), strict=True))
    return as_boxes(
        [
            box
            for box, area in sized
            if not any(
                other_area > area and share_inside(box, other) >= _MAX_PART
                for other, other_area in sized
            )
        ]
    )


def _is_supported(name: str, boxes: Boxes, probabilities: NDArray[np.float32]) -> bool:
    """Return whether a detected animal is plausible, given the classifier's probabilities."""
    score = float(boxes[:, SCORE].max())
    groups = _SUPPORTING[name]
    support = probability_of(groups, probabilities) if groups else 0.0
    conflict = _strongest_other("animal", groups, probabilities)
    if support >= _MIN_SUPPORT and support > conflict - _MIN_SUPPORT:
        return True

    enough = score >= _SURE_SCORE or (name == "giraffe" and score >= _GIRAFFE_SCORE)
    return enough and conflict < _MAX_CONFLICT


def _is_another_vehicle(name: str, probabilities: NDArray[np.float32]) -> bool:
    """Return whether the classifier considers a detected vehicle a different kind of vehicle."""
    groups = _VEHICLES[name]
    support = probability_of(groups, probabilities)
    conflict = _strongest_other("vehicle", groups, probabilities)
    return conflict >= _MAX_CONFLICT and support < _MIN_SUPPORT


def _strongest_other(
    family: str, groups: Sequence[str], probabilities: NDArray[np.float32]
) -> float:
    """Return the highest probability of a member of the family that is in none of the groups."""
    return max(
        (
            label.confidence
            for label in load_classes().labels(probabilities, _MIN_SUPPORT)
            if label.parents[-1:] == (family,) and not set(groups) & set(label.path)
        ),
        default=0.0,
    )


def _largest_area(boxes: Boxes) -> float:
    return float(areas(boxes).max())
