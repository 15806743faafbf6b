"""Say in English what a picture shows: a sentence, a caption, an alternative text and tags."""

from collections.abc import Sequence
from dataclasses import dataclass

from vision_node_contract.models.description import MAX_ALT_CHARACTERS

from ..metadata.facts import Facts
from ..metadata.phrasing import alt_text, caption
from ..metadata.phrasing import tags as metadata_tags
from ..ocr.phrasing import shortened
from .nouns import listed
from .picture_kind import PictureKind
from .subjects import LIKELY, Subject

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
"""Maximum length of the text in a caption; `text` has all of it."""


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
    clause = _clause(scene)
    if clause is None:
        return caption(scene.facts)

    return f"{_with_text(clause, scene.text, _MAX_QUOTED_CHARACTERS)}."


def alt_of(scene: Scene) -> str:
    """Return a phrase for an `alt` attribute, without "image of", which screen readers add."""
    clause = _clause(scene)
    if clause is None:
        return alt_text(scene.facts)

    room = MAX_ALT_CHARACTERS - len(_with_text(clause, "x", 1)) + 1
    if len(clause) > MAX_ALT_CHARACTERS:
        return f"{clause[: MAX_ALT_CHARACTERS - 1].rstrip(' ,')}…"

    return _with_text(clause, scene.text, room) if room > 10 else clause


def tags_of(scene: Scene) -> list[str]:
    """Return search terms, from the most to the least certain."""
    certain = sorted(scene.subjects, key=lambda subject: -subject.confidence)
    shown = [tag.lower() for subject in certain for tag in subject.tags]
    outdoors = ["outdoors"] if scene.is_outdoors else []
    text = ["text"] if scene.text else []
    rest = metadata_tags(scene.facts)[1:]

    return list(dict.fromkeys([*shown, *outdoors, scene.kind, *text, *rest]))


def _clause(scene: Scene) -> str | None:
    """Return the caption without its text; None if nothing is known but the facts."""
    if scene.kind == "photograph":
        return _photograph(scene) if scene.subjects or scene.text else None

    words = _KINDS[scene.kind]
    return words if scene.text else f"{words}{_mostly(scene.facts)}"


def _photograph(scene: Scene) -> str:
    start = "Black-and-white photograph" if scene.is_colorless else "Photograph"
    if not scene.subjects:
        return start

    shown = _tidy(listed([subject.phrase for subject in scene.subjects]))
    place = " outdoors" if scene.is_outdoors else ""
    if shown.startswith(LIKELY):
        return f"{start}, likely of {shown.removeprefix(LIKELY)}{place}"

    return f"{start} of {shown}{place}"


def _tidy(shown: str) -> str:
    """Return a list without the commas that close an insertion before another mark or the end."""
    return shown.replace(",,", ",").removesuffix(",")


def _mostly(facts: Facts) -> str:
    names = [color.name for color in facts.appearance.colors[:2]]
    return f", mostly {listed(names)}" if names else ""


def _with_text(clause: str, text: str, max_length: int) -> str:
    return f"{clause} with the text “{shortened(text, max_length)}”" if text else clause
