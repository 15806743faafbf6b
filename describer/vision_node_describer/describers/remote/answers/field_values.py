"""Reads the fields of a description from values of types that a model was not asked for."""

import re

from .schema import OWN_WORDS

_DEEP = 3
"""Levels of lists and objects around a text."""

_TEXT_NAMES = ("text", "value", "content", "description")
"""Names of a text in an object that stands in place of one."""

_TAG_NAMES = ("name", "tag", "label", "value", "text")

_BETWEEN_TAGS = re.compile(r"[,;\n]|\s(?=#)")

_MAX_TAGS = 1000
"""That are looked at."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
"""BCP 47, without what is reserved there (RFC 5646, 2.2.1), so that a language's English name is
none."""

_TITLE = re.compile(
    r"[\s#*_>]{0,8}(?:image[ \t]+)?description[ \t*_]{0,4}:[ \t*_]{0,4}"
    r"|\s{0,8}#{1,6}[ \t]{0,4}(?:image[ \t]+)?description[ \t#]{0,8}(?:\n|$)",
    re.IGNORECASE,
)
"""A heading of the description itself, plain or as Markdown."""


def text_of(value: object, levels: int = _DEEP) -> str:
    """Return the text that a value is or holds, without space around it; "" if there is none."""
    if isinstance(value, str):
        words = value.strip()
        return "" if words in OWN_WORDS else words
    if not levels:
        return ""
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := text_of(part, levels - 1)))
    if not isinstance(value, dict):
        return ""

    named = [value[name] for name in _TEXT_NAMES if name in value][:1]
    return text_of(named or [part for name, part in value.items() if name != "type"], levels - 1)


def tags_of(value: object) -> list[str]:
    """Return the tags that a value holds: a list of texts or objects, an object by tag, or a text."""
    if isinstance(value, dict):
        value = next(
            (value[name] for name in ("value", "items", "tags") if name in value), list(value)
        )
    if isinstance(value, str):
        value = _BETWEEN_TAGS.split(value)
    return [_tag(tag) for tag in value[:_MAX_TAGS]] if isinstance(value, list) else []


def language_of(value: object) -> str | None:
    """Return the BCP 47 tag that a value is, also with underscores in it; None if it is none."""
    tag = text_of(value).replace("_", "-")
    return tag if _LANGUAGE.fullmatch(tag) else None


def untitled(text: str) -> str:
    """Return text without headings such as "Image Description:" at its beginning."""
    while title := _TITLE.match(text):
        text = text[title.end() :].lstrip()
    return text


def _tag(value: object) -> str:
    if isinstance(value, dict):
        value = next((value[name] for name in _TAG_NAMES if name in value), None)
    return value.strip().lstrip("#").strip() if isinstance(value, str) else ""
