"""Tests of detected things: how they are counted, and when the classifier contradicts them."""

import numpy as np
import pytest
from numpy.typing import NDArray
from vision_node_describer.describers.local.boxes import Boxes, as_boxes, suppress_duplicates
from vision_node_describer.describers.local.classes import load_classes
from vision_node_describer.describers.local.object_classes import NAMES
from vision_node_describer.describers.local.objects import Object, check_faces, count_objects

NO_BOXES = as_boxes([])
LEFT, RIGHT, SMALL = (0, 0, 100, 200), (200, 0, 300, 200), (400, 0, 420, 20)

Place = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


def box(name: str, score: float, place: Place = LEFT) -> list[float]:
    return [*place, score, NAMES.index(name)]


def face(place: Place, score: float = 0.95) -> list[float]:
    return [*place, score, 0]


def probabilities(**shares: float) -> NDArray[np.float32]:
    result = np.zeros(1000, np.float32)
    for name, share in shares.items():
        result[load_classes().members(name.replace("_", " "))[0]] = share

    return result


def counted(
    *detected: list[float],
    others: tuple[list[float], ...] = (),
    faces: Boxes = NO_BOXES,
    **shares: float,
) -> list[tuple[str, int, bool]]:
    found: list[Object] = count_objects(
        as_boxes(detected), as_boxes([*detected, *others]), faces, probabilities(**shares)
    )
    return [(thing.name, thing.count, thing.is_at_least) for thing in found]


def test_things_are_counted_by_name_and_sorted_by_size() -> None:
    found = counted(box("cup", 0.7, SMALL), box("person", 0.8), box("person", 0.7, RIGHT))
    assert found == [("person", 2, False), ("cup", 1, False)]


def test_count_of_three_or_more_is_a_minimum() -> None:
    cars = [box("car", 0.6, (100 * n, 0, 100 * n + 90, 60)) for n in range(3)]
    assert counted(*cars) == [("car", 3, True)]


def test_uncertain_candidate_makes_a_count_of_two_a_minimum() -> None:
    cars = (box("car", 0.6), box("car", 0.6, RIGHT))
    other = (400, 0, 480, 150)
    assert counted(*cars, others=(box("car", 0.4, other),)) == [("car", 2, True)]
    assert counted(*cars, others=(box("car", 0.3, other),)) == [("car", 2, False)]


@pytest.mark.parametrize(
    ("detected", "shares", "is_counted"),
    [
        # The classifier agrees, or does not contradict a certain detection.
        (box("cat", 0.5), {"tabby_cat": 0.4}, True),
        (box("dog", 0.7), {}, True),
        (box("giraffe", 0.55), {}, True),
        # A macaque was detected as a dog, a rhinoceros as an elephant, a lion as a cat.
        (box("dog", 0.56), {"macaque": 0.6}, False),
        (box("elephant", 0.58), {"African_elephant": 0.1}, False),
        (box("dog", 0.6), {"beagle": 0.2, "red_fox": 0.6}, False),
        (box("cat", 0.7), {"lion": 0.75}, False),
        (box("bird", 0.5), {}, False),
        # Of all other things, only vehicles are checked.
        (box("car", 0.5), {"tabby_cat": 0.9}, True),
        (box("chair", 0.6), {"tabby_cat": 0.9}, True),
        (box("truck", 0.6), {"sports_car": 0.6}, False),
        (box("truck", 0.6), {"sports_car": 0.6, "pickup_truck": 0.3}, True),
        (box("car", 0.6), {"sports_car": 0.6}, True),
    ],
)
def test_animals_and_vehicles_must_not_contradict_the_classifier(
    detected: list[float],
    shares: dict[str, float],
    is_counted: bool,  # noqa: FBT001
) -> None:
    assert bool(counted(detected, **shares)) is is_counted


@pytest.mark.parametrize(
    ("score", "shares", "faces", "count"),
    [
        (0.56, {}, [], 1),
        (0.52, {}, [], 0),
        (0.52, {}, [face((20, 20, 60, 60))], 1),
        # A seal was detected as a person.
        (0.6, {"hammerhead": 0.6}, [], 0),
        (0.75, {"golden_retriever": 0.6}, [], 1),
    ],
)
def test_lone_person_needs_a_face_or_a_high_score(
    score: float, shares: dict[str, float], faces: list[list[float]], count: int
) -> None:
    found = counted(box("person", score), faces=as_boxes(faces), **shares)
    assert found == [("person", 1, False)] * count


def test_part_of_an_animal_is_not_counted_as_another_animal() -> None:
    bird, wing = box("bird", 0.7, (0, 0, 200, 100)), box("bird", 0.6, (0, 0, 100, 60))
    assert counted(bird, wing, kite=0.5) == [("bird", 1, False)]


@pytest.mark.parametrize(
    ("place", "is_another"),
    [
        (RIGHT, True),
        # Part of the person, and much smaller than the person.
        ((10, 10, 90, 190), False),
        (SMALL, False),
    ],
)
def test_uncertain_candidate_makes_a_count_of_one_a_minimum(
    place: Place,
    is_another: bool,  # noqa: FBT001
) -> None:
    found = counted(box("person", 0.8), others=(box("person", 0.4, place),))
    assert found == [("person", 1, is_another)]


def test_faces_without_a_body_are_people() -> None:
    faces = as_boxes([face((n, 0, n + 40, 40)) for n in (0, 150, 350)])
    assert counted(box("person", 0.7), faces=faces) == [("person", 3, True)]
    assert counted(faces=faces) == [("person", 3, True)]


def test_two_faces_in_one_box_are_two_people() -> None:
    faces = as_boxes([face((10, 10, 40, 40)), face((60, 10, 90, 40))])
    assert counted(box("person", 0.7), faces=faces) == [("person", 2, False)]


def test_person_keeps_the_box_of_the_body() -> None:
    faces = as_boxes([face((20, 20, 60, 60))])
    (person,) = count_objects(
        as_boxes([box("person", 0.7)]), NO_BOXES, faces, probabilities(tripod=0.5)
    )
    assert person.boxes[:, :4].tolist() == [list(LEFT)]


def test_face_of_an_animal_is_not_counted() -> None:
    faces = as_boxes([face((20, 20, 60, 60)), face((220, 20, 260, 60))])
    detected = as_boxes([box("dog", 0.7), box("person", 0.7, RIGHT)])
    checked = check_faces(faces, detected, probabilities(beagle=0.6))
    assert checked[:, 0].tolist() == [220]


def test_face_without_a_person_is_not_counted_beside_an_animal() -> None:
    faces = as_boxes([face((20, 20, 60, 60))])
    assert len(check_faces(faces, NO_BOXES, probabilities(Persian_cat=0.5))) == 0
    assert len(check_faces(faces, NO_BOXES, probabilities(tripod=0.5))) == 1


def test_only_the_best_of_overlapping_boxes_of_a_class_is_kept() -> None:
    boxes = as_boxes(
        [
            box("cat", 0.5),
            box("cat", 0.9, (2, 2, 100, 200)),
            box("dog", 0.4),
            box("cat", 0.3, RIGHT),
        ]
    )
    kept = suppress_duplicates(boxes, 0.6)
    assert [(NAMES[int(row[5])], round(float(row[4]), 1)) for row in kept] == [
        ("cat", 0.9),
        ("dog", 0.4),
        ("cat", 0.3),
    ]
