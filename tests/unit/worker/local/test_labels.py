"""Tests of labels: which of the classifier's classes and groups are mentioned, and how."""

import numpy as np
import pytest
from numpy.typing import NDArray
from vision_node_describer.describers.local.classes import load_classes, probability_of
from vision_node_describer.describers.local.labels import NEVER_MENTIONED, choose, find_labels

CLASSES = load_classes()


def probabilities(**shares: float) -> NDArray[np.float32]:
    """Return probabilities, given those of some classes. Underscores in names stand for spaces."""
    result = np.zeros(1000, np.float32)
    for name, share in shares.items():
        result[CLASSES.members(name.replace("_", " "))[0]] = share

    return result


def said(**shares: float) -> tuple[str | None, str | None] | None:
    """Return the names of the sure and the likely label; None if nothing is mentioned."""
    choice = choose(find_labels(probabilities(**shares)))
    if choice is None:
        return None

    sure, likely = choice.sure, choice.likely
    return sure.name if sure else None, likely.name if likely else None


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"Egyptian_cat": 0.69, "tabby_cat": 0.16}, ("cat", "Egyptian cat")),
        ({"Egyptian_cat": 0.3, "tabby_cat": 0.3, "Persian_cat": 0.3}, ("cat", None)),
        ({"Egyptian_cat": 0.25, "tabby_cat": 0.25}, (None, "cat")),
        ({"Egyptian_cat": 0.4}, None),
        ({"cheetah": 0.9}, ("cheetah", None)),
        ({"espresso": 0.9}, ("espresso", None)),
        ({"tripod": 0.69}, (None, "tripod")),
        ({"tripod": 0.45}, None),
        # A class with most of the probability of a certain group is likely.
        ({"dam": 0.45, "pier": 0.1, "lighthouse": 0.1}, ("building or structure", "dam")),
        ({"dam": 0.3, "pier": 0.3, "lighthouse": 0.1}, ("building or structure", None)),
        ({"koala": 0.68, "beaver": 0.1}, ("animal", "koala")),
        # Two kinds of animals: only their group is certain.
        ({"beagle": 0.4, "Persian_cat": 0.4}, ("animal", None)),
        # Broad groups need a higher confidence.
        ({"koala": 0.3, "beaver": 0.3}, None),
        # Sheets of paper look like envelopes and websites.
        ({"envelope": 0.95}, None),
        ({"website": 0.95}, None),
        ({}, None),
    ],
)
def test_narrowest_certain_label_is_mentioned(
    shares: dict[str, float], expected: tuple[str | None, str | None] | None
) -> None:
    assert said(**shares) == expected


def test_detected_animal_makes_the_group_of_animals_certain() -> None:
    shares = probabilities(koala=0.3, beaver=0.2)
    assert find_labels(shares) == []
    assert [label.name for label in find_labels(shares, is_animal_detected=True)] == ["animal"]


def test_labels_are_sorted_by_confidence_and_narrowest_first() -> None:
    names = [label.name for label in find_labels(probabilities(Egyptian_cat=0.9))]
    assert names == ["Egyptian cat", "cat", "animal"]


def test_parents_are_the_groups_of_a_class() -> None:
    (label, *_) = find_labels(probabilities(Egyptian_cat=0.9))
    assert label.parents == ("cat", "animal")
    assert label.path == ("Egyptian cat", "cat", "animal")


def test_confidence_of_a_group_is_the_sum_of_its_classes() -> None:
    shares = probabilities(Egyptian_cat=0.3, tabby_cat=0.25, beagle=0.2)
    assert probability_of(["cat"], shares) == pytest.approx(0.55)
    assert probability_of(["animal"], shares) == pytest.approx(0.75)
    assert probability_of(["cat", "animal"], shares) == pytest.approx(0.75)


def test_classifier_names_no_person() -> None:
    shares = probabilities(scuba_diver=0.95)
    names = {label.name for label in find_labels(shares)}
    assert "person" not in names


def test_each_group_has_the_same_parents_in_all_its_classes() -> None:
    """If the parents differed, the group's path would be arbitrary."""
    parents: dict[str, tuple[str, ...]] = {}
    for path in CLASSES.paths:
        for level, name in enumerate(path):
            above = path[level + 1 :]
            assert parents.setdefault(name, above) == above, name


def test_labels_that_are_never_mentioned_exist() -> None:
    assert set(CLASSES.names) >= NEVER_MENTIONED
