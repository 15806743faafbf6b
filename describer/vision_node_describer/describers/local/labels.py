"""Choose the labels of the classifier that are certain enough to be mentioned."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .classes import Label, load_classes

_MIN_CONFIDENCE = 0.38
"""Minimum confidence for reporting a label at all."""

SURE_CONFIDENCE = 0.6
_LIKELY_GROUP, _SURE_GROUP = 0.45, SURE_CONFIDENCE
_LIKELY_CLASS, _SURE_CLASS = 0.5, 0.85
"""Minimum confidence for mentioning a label as likely, and for mentioning it without "likely". A
single class is wrong more often than a group. For example, the model has no class for hedgehogs,
and mistakes one for a porcupine with a confidence of 0.82."""

_LIKELY_SHARE = 0.6
"""Minimum share of a certain parent's confidence at which a label is likely. For example, a dam
with 0.4 is likely if the confidence of all other buildings and structures is low."""

ANIMAL = "animal"

_MIN_DETECTED_ANIMAL = 0.45
"""Minimum confidence that a picture shows an animal if the detector found one, too. Together, they
are as certain as the classifier alone with _MIN_BY_NAME."""

_MIN_BY_NAME = {
    ANIMAL: 0.7,
    "clock or watch": 0.6,
    "electronic device": 0.65,
    "food": 0.6,
    "insect": 0.5,
    "piece of clothing": 0.75,
    "piece of furniture": 0.55,
    "rodent": 0.7,
    "vehicle": 0.6,
    "weapon": 0.7,
}
"""Minimum confidence of groups that are so broad that the noise of many classes adds up."""

NEVER_MENTIONED = frozenset(
    {
        *("binder", "book cover", "bubble", "comic", "crossword puzzle", "doormat", "envelope"),
        *("face powder", "hair clip", "handkerchief", "honeycomb", "hook", "jigsaw puzzle"),
        *("lampshade", "letter opener", "match", "maze", "menu", "monitor", "nematode"),
        *("packet", "prayer rug", "quilt", "ruler", "safety pin", "screen", "shower curtain"),
        *("spotlight", "theater curtain", "velvet", "wallet", "website"),
        *("window screen", "window shade", "wool", "tray", "pencil sharpener", "can opener"),
        *("spatula", "modem"),
        *("person", "towel", "plastic bag", "wig", "mask", "gown", "stole"),
    }
)
"""Classes that the model sees in plain surfaces, sheets of paper and textures."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The names of one thing, as in "a cat, likely an Egyptian cat" or "likely a tripod"."""

    sure: Label | None
    likely: Label | None
    """A narrower label than `sure`."""

    @property
    def label(self) -> Label:
        """The narrowest label."""
        label = self.likely or self.sure
        if label is None:
            raise ValueError("a choice without a label")
        return label


def find_labels(
    probabilities: NDArray[np.float32], *, is_animal_detected: bool = False
) -> list[Label]:
    """Return the labels that may be mentioned, most certain and narrowest first.

    Args:
        probabilities: The classifier's probability of each class.
        is_animal_detected: Whether the detector found an animal of any kind.
    """
    found = load_classes().labels(probabilities, _MIN_CONFIDENCE)
    known = {label.name: label for label in found if label.name not in NEVER_MENTIONED}
    animal = known.get(ANIMAL)
    if animal and is_animal_detected and animal.confidence >= _MIN_DETECTED_ANIMAL:
        known[ANIMAL] = replace(animal, confidence=max(animal.confidence, _MIN_BY_NAME[ANIMAL]))

    return sorted(
        (label for label in known.values() if _level(label, known) > 0),
        key=lambda label: (-round(label.confidence, 2), -len(label.parents)),
    )


def choose(labels: Iterable[Label]) -> Choice | None:
    """Return how to name the most certain thing in a picture; None if nothing is certain.

    The narrowest label is the one with the most parents. If there is a sure label, a likely label
    is mentioned only if it is a kind of the narrowest sure label.

    Args:
        labels: The return value of find_labels().
    """
    known = {label.name: label for label in labels}
    if not known:
        return None

    root = max(known.values(), key=lambda label: (label.confidence, -len(label.parents)))
    top = root.path[-1]
    levels = {label.name: _level(label, known) for label in known.values() if top in label.path}

    sure = _narrowest(known[name] for name, level in levels.items() if level == 2)
    likely = _narrowest(
        known[name]
        for name, level in levels.items()
        if level == 1 and (sure is None or sure.name in known[name].parents)
    )
    return Choice(sure, likely)


def _narrowest(labels: Iterable[Label]) -> Label | None:
    return max(
        labels,
        key=lambda label: (len(label.parents), not label.is_group, label.confidence),
        default=None,
    )


def _level(label: Label, known: Mapping[str, Label]) -> int:
    """Return 2 for a sure label, 1 for a likely one, 0 for one that is not mentioned."""
    if label.confidence < _MIN_BY_NAME.get(label.name, 0.0):
        return 0

    likely, sure = (_LIKELY_GROUP, _SURE_GROUP) if label.is_group else (_LIKELY_CLASS, _SURE_CLASS)
    if label.confidence >= sure:
        return 2

    return 1 if label.confidence >= likely or _is_likely_kind(label, known) else 0


def _is_likely_kind(label: Label, known: Mapping[str, Label]) -> bool:
    """Return whether a label accounts for most of a certain parent's probability."""
    parent = known.get(label.parents[0]) if label.parents else None
    return (
        parent is not None
        and _level(parent, known) == 2
        and label.confidence >= _LIKELY_SHARE * parent.confidence
    )
