"""Choose which of the classifier's labels are certain enough to be mentioned."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .classes import Label, load_classes

_MIN_CONFIDENCE = 0.45
"""Minimum confidence of a label that is reported at all."""

_LIKELY_GROUP, _SURE_GROUP = 0.5, 0.6
_LIKELY_CLASS, _SURE_CLASS = 0.6, 0.85
"""Confidence from which a label is mentioned as likely, and from which without "likely". A single
class is wrong more often than a group: the model has no hedgehog, and takes one for a porcupine
with 0.82."""

_MIN_BY_NAME = {
    "animal": 0.7,
    "electronic device": 0.65,
    "food": 0.6,
    "insect": 0.5,
    "piece of clothing": 0.75,
    "piece of furniture": 0.55,
    "rodent": 0.7,
    "vehicle": 0.6,
    "weapon": 0.7,
}
"""Minimum confidence of groups so broad that much noise adds up."""

_NOISE = frozenset(
    {
        *("binder", "book cover", "bubble", "comic", "crossword puzzle", "doormat", "envelope"),
        *("face powder", "hair clip", "handkerchief", "honeycomb", "hook", "jigsaw puzzle"),
        *("lampshade", "letter opener", "match", "maze", "menu", "monitor", "nematode"),
        *("packet", "prayer rug", "quilt", "ruler", "safety pin", "screen", "shower curtain"),
        *("spotlight", "theater curtain", "velvet", "wallet", "web site", "website"),
        *("window screen", "window shade", "wool", "tray", "pencil sharpener", "can opener"),
        *("person", "bath towel", "towel", "plastic bag", "wig", "mask", "gown", "stole"),
    }
)
"""Classes that the model sees in plain surfaces, sheets of paper and textures."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is said of one thing: "a cat, likely an Egyptian cat", or "likely a tripod"."""

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


def find_labels(probabilities: NDArray[np.float32]) -> list[Label]:
    """Return the labels that may be mentioned, the most certain and narrowest first."""
    found = load_classes().labels(probabilities, _MIN_CONFIDENCE)
    return sorted(
        (label for label in found if _level(label) > 0),
        key=lambda label: (-round(label.confidence, 2), -len(label.parents)),
    )


def choose(labels: Iterable[Label]) -> Choice | None:
    """Return what to say of the most certain thing in a picture; None if nothing is certain.

    The label with the most parents is the narrowest. It is mentioned after the narrowest one that
    is sure, and only if it is a kind of that.
    """
    candidates = [label for label in labels if _level(label) > 0]
    if not candidates:
        return None

    root = max(candidates, key=lambda label: (label.confidence, -len(label.parents)))
    top = root.path[-1]
    family = [label for label in candidates if top in label.path]

    sure = _narrowest(label for label in family if _level(label) == 2)
    likely = _narrowest(
        label
        for label in family
        if _level(label) == 1 and (sure is None or sure.name in label.parents)
    )
    return Choice(sure, likely)


def _narrowest(labels: Iterable[Label]) -> Label | None:
    return max(
        labels,
        key=lambda label: (len(label.parents), not label.is_group, label.confidence),
        default=None,
    )


def _level(label: Label) -> int:
    """Return 2 for a sure label, 1 for a likely one, 0 for one that is not mentioned."""
    if label.name in _NOISE or label.confidence < _MIN_BY_NAME.get(label.name, 0.0):
        return 0

    likely, sure = (_LIKELY_GROUP, _SURE_GROUP) if label.is_group else (_LIKELY_CLASS, _SURE_CLASS)
    return 2 if label.confidence >= sure else 1 if label.confidence >= likely else 0
