"""The classes of ImageNet under plain names, and what they are kinds of: a tabby cat is a cat."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vision_node_local_models import CLASSES


@dataclass(frozen=True, slots=True)
class Label:
    """A class or a group of classes, and how likely the picture shows it."""

    name: str
    confidence: float
    """Sum of the probabilities of all classes that it includes, from 0 to 1."""
    parents: tuple[str, ...]
    """Groups that include it, from the narrowest to the broadest."""
    is_group: bool
    """Whether it consists of several classes."""

    @property
    def path(self) -> tuple[str, ...]:
        """Its name and those of the groups that include it."""
        return (self.name, *self.parents)


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    parents: tuple[str, ...]
    classes: list[int]


class Classes:
    """The tree of classes."""

    def __init__(self, file: Path) -> None:
        """Read a file with a line for each class: its name, a tab, and its parents."""
        self._groups: dict[str, _Group] = {}
        for index, line in enumerate(file.read_text("utf-8").splitlines()):
            name, _, rest = line.partition("\t")
            path = (name, *(parent for parent in rest.split(", ") if parent))
            for level, member in enumerate(path):
                group = self._groups.setdefault(member, _Group(member, path[level + 1 :], []))
                group.classes.append(index)

    def probability(self, names: Iterable[str], probabilities: NDArray[np.float32]) -> float:
        """Return the sum of the probabilities of all classes in any of these groups."""
        members = {index for name in names for index in self._groups[name].classes}
        return float(probabilities[sorted(members)].sum())

    def labels(self, probabilities: NDArray[np.float32], min_confidence: float) -> Iterator[Label]:
        """Yield the classes and groups that are likely enough.

        Args:
            probabilities: One for each class.
            min_confidence: Minimum sum of the probabilities.
        """
        for group in self._groups.values():
            confidence = float(probabilities[group.classes].sum())
            if confidence >= min_confidence:
                is_group = len(group.classes) > 1
                yield Label(group.name, min(confidence, 1.0), group.parents, is_group)


@cache
def load_classes() -> Classes:
    """Return the tree of the classifier's classes."""
    return Classes(CLASSES)


def probability_of(names: Iterable[str], probabilities: NDArray[np.float32]) -> float:
    """Return the probability that a picture shows any of these classes or groups."""
    return load_classes().probability(names, probabilities)
