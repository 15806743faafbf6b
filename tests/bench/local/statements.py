"""Extract from a description the statements about what is in the picture.

The possible names come from `facts`. A name counts only if a sentence contains it, because readers
see only the sentences. Words in the sentences that no fact explains are statements, too.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vision_node_contract.models.description import Description

from bench.local.plurals import forms

TITLE = "Image Description:"

Sort = Literal["kind", "outdoors", "object", "label", "face", "word", "tag"]
SUBJECTS: frozenset[Sort] = frozenset({"object", "label", "face", "word"})
"""Sorts of statements that name something in the picture."""

_QUOTED = re.compile(r"“.*(?:”|$)", re.DOTALL)
"""Text that was read in the picture: from the first quotation mark to the last one."""
_WORD = re.compile(r"[^\W\d_]{2,}(?:-[^\W\d_]+)*")

_NUMBER_WORDS = "one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: number for number, word in enumerate(_NUMBER_WORDS.split(), start=1)} | {
    "a": 1,
    "an": 1,
}
_VAGUE = frozenset({"several", "many", "some", "few", "multiple", "group", "crowd"})
_AT_LEAST = re.compile(r"\b(?:at least|more than|over)\s+(?:\S+\s+)?$")
_NUMBER = re.compile(r"\b(\d+|[a-z]+)\s+$")

_OUTDOORS = {"outdoors": True, "outside": True, "indoors": False, "inside": False}

_NEUTRAL_WORDS = """
a an and as at about above after also any are around be before below beside but by can down for
from has have in into is it its least less likely may maybe more most mostly near nearly no not
of off on one only or other out over part parts perhaps possibly probably seems shows showing
shown side some taken the their there these they this to top two under up upon very visible was with
which while within without
image picture photograph photo screenshot chart document drawing pattern graphic scan scanned
painting texture page line lines text word words reads reading written says kind view close-up
background foreground center left right middle bottom
dark bright light medium low high contrast pale vivid colorful colored color colors black white
gray grey red orange yellow green cyan blue purple violet magenta pink brown beige olive teal
navy maroon turquoise gold black-and-white monochrome grayscale transparent translucent blank
square portrait landscape panorama wide tall small tiny large narrow pixels pixel format
animated animation frames frame rotated mirrored truncated plain single
three four five six seven eight nine ten eleven twelve several many few group
"""
_NEUTRAL = frozenset(_NEUTRAL_WORDS.split())
"""Words that say nothing about what is in the picture."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that a description says."""

    sort: Sort
    name: str
    count: int | None = None
    """Number of things; None if the description does not state it."""
    at_least: bool = False
    """Whether there may be more."""


def statements(description: Description) -> list[Statement]:
    """Return everything that the description says, without repetitions."""
    facts: Mapping[str, Any] = description.facts
    text = sentences(description)
    if camera := facts.get("camera"):
        text = text.replace(str(camera).casefold(), " ")

    found = [Statement("kind", str(kind))] if (kind := facts.get("pictureKind")) else []

    names = _names(facts)
    by_form = {form: name for name in names for form in forms(name)}
    # Longer names come first, so that "Egyptian cat" is not also counted as "cat".
    for form, name in sorted(by_form.items(), key=lambda item: -len(item[0])):
        for match in re.finditer(rf"\b{re.escape(form)}\b", text):
            found.append(_subject(names[name], name, form, text[: match.start()]))
            text = text[: match.start()] + "\0" * len(form) + text[match.end() :]

    return list(dict.fromkeys([*found, *_remaining(text), *_tags(description.tags, names)]))


def sentences(description: Description) -> str:
    """Return the sentences about the content, in lower case and without quoted text."""
    first = description.description.removeprefix(TITLE).partition("\n- ")[0]
    first = "" if first.startswith("- ") else first
    parts = (description.caption, description.alt, first)
    return " . ".join(_QUOTED.sub(" ", part) for part in parts).casefold()


def _names(facts: Mapping[str, Any]) -> dict[str, tuple[Sort, int | None]]:
    """Return the sort and number of everything that may be named, by its name in lower case."""
    names: dict[str, tuple[Sort, int | None]] = {}
    for label in facts.get("labels", []):
        for name in (label["name"], *label.get("parents", [])):
            names[name.casefold()] = ("label", None)

    for item in facts.get("objects", []):
        names[item["name"].casefold()] = ("object", item["count"])

    if faces := facts.get("faces"):
        names["face"] = ("face", faces["count"])

    return names


def _subject(known: tuple[Sort, int | None], name: str, form: str, before: str) -> Statement:
    """Return the statement that a name makes, given the text before it."""
    sort, count = known
    if sort == "label":
        return Statement(sort, name)

    number = _NUMBER.search(before)
    word = number[1] if number else ""
    if word in _VAGUE or (form != name.casefold() and not _number(word)):
        return Statement(sort, name, 2, at_least=True)

    return Statement(sort, name, _number(word) or count, at_least=bool(_AT_LEAST.search(before)))


def _number(word: str) -> int | None:
    return int(word) if word.isdecimal() else _NUMBERS.get(word)


def _remaining(text: str) -> Iterator[Statement]:
    """Yield a statement for each word that says something and is not a name from the facts."""
    for word in _WORD.findall(text):
        if word in _OUTDOORS:
            yield Statement("outdoors", str(_OUTDOORS[word]))
        elif word not in _NEUTRAL:
            yield Statement("word", word)


def _tags(tags: Sequence[str], names: Mapping[str, object]) -> Iterator[Statement]:
    """Yield the tags that name something. Other tags are about colors and the like."""
    for tag in tags:
        if tag.casefold() in names:
            yield Statement("tag", tag.casefold())
