"""Put the detected things and the classifier's label together to what a photograph shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from .classes import Label
from .labels import Choice
from .nouns import counted, with_article
from .objects import LIKELY_SCORE, PERSON, Object

_COVERED = {
    "person": ("piece of clothing", "person"),
    "bicycle": ("bicycle", "vehicle"),
    "car": ("car", "vehicle"),
    "motorcycle": ("motorcycle or scooter", "vehicle"),
    "airplane": ("airplane", "aircraft", "vehicle"),
    "bus": ("bus", "vehicle"),
    "train": ("train", "vehicle"),
    "truck": ("truck", "van", "car", "vehicle"),
    "boat": ("boat or ship", "vehicle"),
    "bench": ("bench", "piece of furniture"),
    "chair": ("chair", "piece of furniture"),
    "couch": ("sofa", "piece of furniture"),
    "bed": ("bed", "piece of furniture"),
    "dining table": ("table", "piece of furniture"),
    "bottle": ("bottle",),
    "cup": ("cup",),
    "bowl": ("bowl",),
    "wine glass": ("goblet",),
    "fork": ("spatula",),
    "knife": ("knife", "tool"),
    "spoon": ("spoon",),
    "apple": ("fruit", "food"),
    "orange": ("fruit", "food"),
    "banana": ("fruit", "food"),
    "broccoli": ("vegetable", "food"),
    "carrot": ("vegetable", "food"),
    "sandwich": ("sandwich", "food"),
    "hot dog": ("food",),
    "pizza": ("pizza", "food"),
    "donut": ("bread", "food"),
    "cake": ("food",),
    "television": ("electronic device",),
    "laptop": ("electronic device",),
    "keyboard": ("keyboard", "electronic device"),
    "mobile phone": ("telephone", "electronic device"),
    "computer mouse": ("computer mouse",),
    "ball": ("ball",),
    "clock": ("clock or watch",),
    "teddy bear": ("toy",),
    "vase": ("vase", "pot"),
    "potted plant": ("pot", "flower"),
    "umbrella": ("umbrella",),
    "handbag": ("bag",),
    "backpack": ("bag",),
    "suitcase": ("bag",),
    "cow": ("cattle", "animal"),
    **{
        name: (name, "animal")
        for name in ("bird", "cat", "dog", "horse", "sheep", "elephant", "bear", "zebra", "giraffe")
    },
}
"""The classifier's labels and groups that are the same as a detected thing, or include it."""

_CONTENTS = {"cup": ("coffee", "drink"), "wine glass": ("wine", "drink"), "bowl": ("food",)}
"""What a vessel may contain: "a cup of espresso"."""

_VESSELS = {"wine glass": "glass"}

_LANDSCAPE = "landscape"

LIKELY = "likely "
"""Beginning of a phrase for something that is not certain."""

_MAX_SUBJECTS = 6
"""Maximum number of things in a sentence."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing in a sentence."""

    phrase: str
    tags: tuple[str, ...]
    confidence: float


def find_subjects(objects: Sequence[Object], choice: Choice | None) -> list[Subject]:
    """Return what a photograph shows, the largest things first, at most _MAX_SUBJECTS of them.

    Args:
        objects: The detected things.
        choice: The classifier's label; it names a detected thing more precisely, or another thing.
    """
    subjects: list[Subject] = []
    for thing in objects:
        phrase, used = _object_phrase(thing, choice)
        subjects.append(Subject(phrase, (thing.name, *_narrower(used)), thing.confidence))
        if used is not None:
            choice = None

    if (
        choice is not None
        and not is_outdoors(objects, choice)
        and not _is_covered(choice.label, objects)
    ):
        label = choice.label
        subjects.append(Subject(_choice_phrase(choice), label.path, label.confidence))

    return subjects[:_MAX_SUBJECTS]


def is_outdoors(objects: Sequence[Object], choice: Choice | None) -> bool:
    """Return whether things are in what is certainly a landscape."""
    sure = choice.sure if choice is not None else None
    return bool(objects) and sure is not None and sure.path[-1] == _LANDSCAPE


def _narrower(choice: Choice | None) -> tuple[str, ...]:
    return () if choice is None else (choice.label.name,)


def _object_phrase(thing: Object, choice: Choice | None) -> tuple[str, Choice | None]:
    """Return the words for a thing, and the choice if it is part of them."""
    phrase = counted(thing.name, thing.count, is_at_least=thing.is_at_least)
    if thing.confidence < LIKELY_SCORE:
        phrase = f"{LIKELY}{phrase}"

    if choice is None or thing.count > 1 or thing.is_at_least:
        return phrase, None

    label = choice.label
    if label.parents and label.parents[0] in _CONTENTS.get(thing.name, ()):
        vessel = with_article(_VESSELS.get(thing.name, thing.name))
        return f"{vessel} of {label.name}", choice
    if _COVERED.get(thing.name, (thing.name,))[0] in label.parents and thing.name != PERSON:
        likely = "" if choice.likely is None else "likely "
        return f"{with_article(thing.name)}, {likely}{with_article(label.name)},", choice

    return phrase, None


def _choice_phrase(choice: Choice) -> str:
    if choice.sure is None:
        return f"{LIKELY}{with_article(choice.label.name)}"
    if choice.likely is None:
        return with_article(choice.sure.name)

    if choice.likely.name in choice.sure.name:  # not "a building or structure, likely a building"
        return f"{LIKELY}{with_article(choice.likely.name)}"

    return f"{with_article(choice.sure.name)}, likely {with_article(choice.likely.name)},"


def _is_covered(label: Label, objects: Sequence[Object]) -> bool:
    """Return whether the detected things already include what the label names."""
    covered = {name for thing in objects for name in _COVERED.get(thing.name, (thing.name,))}
    return bool(covered & set(label.path))
