"""The classes of ImageNet with plain names and parents. For example, a tabby cat is a cat."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from vision_node_local_models import CLASSES


@dataclass(frozen=True, slots=True)
class Label:
    """A class or a group of classes, and the probability that the picture shows it."""

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


class Classes:
    """The tree of classes."""

    def __init__(self, file: Path) -> None:
        """Read a file with a line for each class: its name, a tab, and its parents.

        Classes with the same name are one group.
        """
        self.paths = [_path(line) for line in file.read_text("utf-8").splitlines()]
        """Name of each class, followed by its parents from the narrowest to the broadest."""

        self._parents: dict[str, tuple[str, ...]] = {}
        members: dict[str, list[int]] = {}
        for index, path in enumerate(self.paths):
            for level, name in enumerate(path):
                self._parents[name] = path[level + 1 :]
                members.setdefault(name, []).append(index)

        self._members = members
        # One row for each name, one column for each class: 1 if the name includes the class.
        self._matrix = np.zeros((len(members), len(self.paths)), np.float32)
        for row, classes in enumerate(members.values()):
            self._matrix[row, classes] = 1

    @property
    def names(self) -> Iterable[str]:
        """The names of all classes and groups."""
        return self._members.keys()

    def members(self, name: str) -> list[int]:
        """Return the indices of the classes in a group.

        Raises:
            KeyError: There is no such group.
        """
        return self._members[name]

    def probability(self, names: Iterable[str], probabilities: NDArray[np.float32]) -> float:
        """Return the sum of the probabilities of all classes in any of these groups."""
        classes = {index for name in names for index in self._members[name]}
        return float(probabilities[sorted(classes)].sum())

    def labels(self, probabilities: NDArray[np.float32], min_confidence: float) -> Iterator[Label]:
        """Yield the classes and groups whose confidence is high enough.

        Args:
            probabilities: The probability of each class.
            min_confidence: Minimum confidence of a class or group.
        """
        sums = (self._matrix @ probabilities).tolist()
        for (name, classes), confidence in zip(self._members.items(), sums, strict=True):
            if confidence >= min_confidence:
                yield Label(name, min(confidence, 1.0), self._parents[name], len(classes) > 1)


def _path(line: str) -> tuple[str, ...]:
    name, _, parents = line.partition("\t")
    return (name, *(parent for parent in parents.split(", ") if parent))


@cache
def load_classes() -> Classes:
    """Return the tree of the classifier's classes."""
    return Classes(CLASSES)


def probability_of(names: Iterable[str], probabilities: NDArray[np.float32]) -> float:
    """Return the probability that a picture shows any of these classes or groups."""
    return load_classes().probability(names, probabilities)
