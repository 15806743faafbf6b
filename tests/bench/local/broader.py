"""Broader names, such as "animal" for a cat. They are right wherever the narrower name is right."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bench.local.judge import Broader

OTHERS = {
    "animal": (
        *("bird", "cat", "cow", "dog", "dolphin", "elephant", "giraffe", "horse", "kangaroo"),
        *("meerkat", "quokka", "sheep", "bear", "zebra", "cattle", "chicken", "insect"),
    ),
    "vehicle": ("airplane", "bicycle", "boat", "bus", "car", "motorcycle", "rocket", "truck"),
    "boat or ship": ("boat", "ship"),
    "motorcycle or scooter": ("motorcycle",),
    "building or structure": (
        *("building", "house", "tower", "bridge", "windmill", "pyramid", "pagoda", "temple"),
        *("opera house", "cathedral", "fort"),
    ),
    "building": (
        *("house", "palace", "church", "cathedral", "temple", "opera house", "hotel", "pagoda"),
        *("castle or palace", "place of worship", "mosque", "office building", "windmill"),
    ),
    "place of worship": ("cathedral", "pagoda"),
    "castle or palace": ("castle", "palace", "fort"),
    "landscape": (
        *("lake", "sea", "ocean", "beach", "mountain", "sunset", "field", "tree", "pond", "coast"),
        *("garden", "park", "river"),
    ),
    "food": ("fruit", "apple", "banana", "orange", "chocolate", "candy", "carrot", "celery"),
    "drink": ("coffee",),
    "fruit": ("apple", "banana", "orange", "lemon", "kiwi", "lime"),
    "tool": ("hammer", "scissors", "screwdriver", "knife"),
    "electronic device": ("computer", "mobile phone", "television", "multimeter"),
    "musical instrument": ("guitar", "drum", "trumpet"),
    "lamp": ("light bulb", "street lamp"),
}
"""Narrower names of each broad name, in addition to those in the classifier's classes."""


def from_classes(file: Path) -> Broader:
    """Return the broader names of the classifier's classes and of OTHERS.

    Args:
        file: A file with one class per line: its name, a tab, and its broader names, narrowest
            first.
    """
    broader = defaultdict[str, set[str]](set)
    for line in file.read_text("utf-8").splitlines():
        name, _, rest = line.partition("\t")
        path = [name, *(parent for parent in rest.split(", ") if parent)]
        for level, member in enumerate(path):
            broader[member.casefold()].update(_lower(path[level + 1 :]))

    for name, narrower in OTHERS.items():
        for member in narrower:
            broader[member].add(name)

    return {name: frozenset(names) for name, names in broader.items()}


def _lower(names: Iterable[str]) -> list[str]:
    return [name.casefold() for name in names]
