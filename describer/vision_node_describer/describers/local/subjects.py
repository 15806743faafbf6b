"""Combine the detected things and the classifier's label into the subjects of a photograph."""

from collections.abc import Sequence
from dataclasses import dataclass

from .classes import Label
from .labels import SURE_CONFIDENCE, Choice
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
"""The classifier's labels and groups that mean the same as a detected thing, or include it."""

_CONTENTS = {"cup": ("coffee", "drink"), "wine glass": ("wine", "drink"), "bowl": ("food",)}
"""What a vessel may contain, as in "a cup of espresso"."""

_VESSELS = {"wine glass": "glass"}

_LANDSCAPE = "landscape"

_MAX_SUBJECTS = 6
"""Maximum number of things in a sentence."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing in a sentence."""

    phrase: str
    is_likely: bool
    """Whether it is only likely to be in the picture."""
    tags: tuple[tuple[str, float], ...]
    """Its names, each with its confidence."""


def find_subjects(
    objects: Sequence[Object], choice: Choice | None, labels: Sequence[Label]
) -> list[Subject]:
    """Return up to _MAX_SUBJECTS things that a photograph shows, largest first.

    Args:
        objects: The detected things.
        choice: The classifier's name for a detected thing or for another thing.
        labels: All labels that may be mentioned.
    """
    subjects: list[Subject] = []
    for thing in objects:
        phrase = _precise_phrase(thing, choice)
        names = [(thing.name, thing.confidence)]
        if phrase is not None and choice is not None:
            names.append((choice.label.name, choice.label.confidence))
            choice = None

        counted_phrase = counted(thing.name, thing.count, is_at_least=thing.is_at_least)
        is_likely = not _is_certain(thing, labels)
        subjects.append(Subject(phrase or counted_phrase, is_likely, tuple(names)))

    if (
        choice is not None
        and not is_outdoors(objects, choice)
        and not _is_covered(choice.label, objects)
    ):
        subjects.append(_subject_of(choice, labels))

    return subjects[:_MAX_SUBJECTS]


def is_outdoors(objects: Sequence[Object], choice: Choice | None) -> bool:
    """Return whether the detected things are certainly in a landscape."""
    sure = choice.sure if choice is not None else None
    return bool(objects) and sure is not None and sure.path[-1] == _LANDSCAPE


def _is_certain(thing: Object, labels: Sequence[Label]) -> bool:
    """Return whether the detector is certain of a thing, or the classifier of its kind."""
    kind = _COVERED.get(thing.name, (thing.name,))[0]
    return thing.confidence >= LIKELY_SCORE or any(
        kind == label.name and label.confidence >= SURE_CONFIDENCE for label in labels
    )


def _precise_phrase(thing: Object, choice: Choice | None) -> str | None:
    """Return a phrase for a thing that the choice names more precisely; None if it does not."""
    if choice is None or thing.count > 1 or thing.is_at_least:
        return None

    label = choice.label
    if label.parents and label.parents[0] in _CONTENTS.get(thing.name, ()):
        return f"{with_article(_VESSELS.get(thing.name, thing.name))} of {label.name}"
    if thing.name == PERSON or _COVERED.get(thing.name, (thing.name,))[0] not in label.parents:
        return None

    likely = "" if choice.likely is None else "likely "
    return f"{with_article(thing.name)}, {likely}{with_article(label.name)},"


def _subject_of(choice: Choice, labels: Sequence[Label]) -> Subject:
    confidences = {label.name: label.confidence for label in labels}
    path = choice.label.path
    tags = tuple((name, confidences.get(name, choice.label.confidence)) for name in path)

    sure, likely = choice.sure, choice.likely
    if likely is None:
        return Subject(with_article(choice.label.name), is_likely=False, tags=tags)
    # Avoid "a building or structure, likely a building".
    if sure is None or likely.name in sure.name:
        return Subject(with_article(likely.name), is_likely=True, tags=tags)

    phrase = f"{with_article(sure.name)}, likely {with_article(likely.name)},"
    return Subject(phrase, is_likely=False, tags=tags)


def _is_covered(label: Label, objects: Sequence[Object]) -> bool:
    """Return whether the detected things already include what the label names."""
    covered = {name for thing in objects for name in _COVERED.get(thing.name, (thing.name,))}
    return bool(covered & set(label.path))
