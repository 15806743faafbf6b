"""Say in English what a picture shows, in a caption, an alternative text and tags."""

from collections.abc import Sequence
from dataclasses import dataclass

from vision_node_contract.models.description import MAX_ALT_CHARACTERS

from ..metadata.facts import Facts
from ..metadata.phrasing import tags as metadata_tags
from ..ocr.phrasing import shortened
from .nouns import listed
from .picture_kind import PictureKind
from .subjects import Subject

_KINDS: dict[PictureKind, str] = {
    "photograph": "Photograph",
    "screenshot": "Screenshot",
    "chart": "Chart",
    "document": "Page",
    "drawing": "Drawing or painting",
    "pattern": "Pattern or texture",
    "graphic": "Graphic",
}

_MAX_QUOTED_CHARACTERS = 200
"""Maximum length of the text in a caption. The field `text` contains all of it."""

_MIN_QUOTED_CHARACTERS = 10
"""Minimum number of characters to quote in an alternative text. A shorter quotation would be
useless."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows."""

    facts: Facts
    kind: PictureKind
    subjects: Sequence[Subject]
    is_outdoors: bool
    is_colorless: bool
    text: str
    """The text that was read; empty if there is none, or if none was sought."""


def caption_of(scene: Scene) -> str:
    """Return a sentence to display below the picture."""
    return f"{_with_text(_clause(scene), scene.text, _MAX_QUOTED_CHARACTERS)}."


def alt_of(scene: Scene) -> str:
    """Return a phrase for an `alt` attribute, without "image of", which screen readers add."""
    clause = _clause(scene)
    if len(clause) > MAX_ALT_CHARACTERS:
        return f"{clause[: MAX_ALT_CHARACTERS - 1].rstrip(' ,')}…"

    room = MAX_ALT_CHARACTERS - len(_with_text(clause, "x", 1)) + 1
    return _with_text(clause, scene.text, room) if room > _MIN_QUOTED_CHARACTERS else clause


def tags_of(scene: Scene) -> list[str]:
    """Return search terms, most certain first, followed by those of the facts."""
    names = [tag for subject in scene.subjects for tag in subject.tags]
    shown = [name.lower() for name, _ in sorted(names, key=lambda tag: -tag[1])]
    outdoors = ["outdoors"] if scene.is_outdoors else []
    text = ["text"] if scene.text else []
    rest = metadata_tags(scene.facts)[1:]

    return list(dict.fromkeys([*shown, *outdoors, scene.kind, *text, *rest]))


def _clause(scene: Scene) -> str:
    """Return the caption without its text."""
    if scene.kind == "photograph":
        return _photograph(scene)

    words = _KINDS[scene.kind]
    return words if scene.text else f"{words}{_mostly(scene.facts)}"


def _photograph(scene: Scene) -> str:
    start = "Black-and-white photograph" if scene.is_colorless else "Photograph"
    sure = [subject.phrase for subject in scene.subjects if not subject.is_likely]
    likely = [subject.phrase for subject in scene.subjects if subject.is_likely]
    place = " outdoors" if scene.is_outdoors else ""

    if not sure and not likely:
        return start if scene.text else f"{start}{_mostly(scene.facts)}"
    if not sure:
        return f"{start}, likely of {_listed(likely)}{place}"

    more = f", and likely also {_listed(likely)}" if likely else ""
    return f"{start} of {_listed(sure)}{place}{more}"


def _listed(phrases: Sequence[str]) -> str:
    """Return phrases as a list. A phrase may end with the comma that closes an insertion."""
    return listed(phrases).replace(",,", ",").removesuffix(",")


def _mostly(facts: Facts) -> str:
    names = [color.name for color in facts.appearance.colors[:2]]
    return f", mostly {listed(names)}" if names else ""


def _with_text(clause: str, text: str, max_length: int) -> str:
    return f"{clause} with the text “{shortened(text, max_length)}”" if text else clause
