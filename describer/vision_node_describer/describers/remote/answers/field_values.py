"""Read a description's fields from values that may have the wrong type."""

import re

from .schema import FIELD_DESCRIPTIONS

_MAX_NESTING = 3
"""Maximum number of nested lists and objects around text."""

_TEXT_NAMES = ("text", "value", "content", "description")
"""Names of the field that holds the text if a model returned an object instead of text."""

_TAG_NAMES = ("name", "tag", "label", "value", "text")

_TAG_SEPARATOR = re.compile(r"[,;\n]|\s(?=#)")

_MAX_TAGS = 1000
"""Maximum number of tags that are read."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
"""A BCP 47 tag whose language has two or three letters. Longer languages are reserved or registered
(RFC 5646, 2.2.1). A pattern for them would also match the English names of languages."""

_TITLE = re.compile(
    r"[\s#*_>]{0,8}(?:image[ \t]+)?description[ \t*_]{0,4}:[ \t*_]{0,4}"
    r"|\s{0,8}#{1,6}[ \t]{0,4}(?:image[ \t]+)?description[ \t#]{0,8}(?:\n|$)",
    re.IGNORECASE,
)
"""A heading such as "Image Description:" before the description, plain or as Markdown."""


def text_of(value: object, levels: int = _MAX_NESTING) -> str:
    """Return the text in a value without surrounding spaces; "" if there is none."""
    if isinstance(value, str):
        text = value.strip()
        return "" if text in FIELD_DESCRIPTIONS else text
    if not levels:
        return ""

    if isinstance(value, list):
        return "\n".join(text for part in value if (text := text_of(part, levels - 1)))
    if not isinstance(value, dict):
        return ""

    named = [value[name] for name in _TEXT_NAMES if name in value][:1]
    return text_of(named or [part for name, part in value.items() if name != "type"], levels - 1)


def tags_of(value: object) -> list[str]:
    """Return the tags in a list of strings or objects, an object keyed by tag, or one string."""
    if isinstance(value, dict):
        value = next(
            (value[name] for name in ("value", "items", "tags") if name in value), list(value)
        )
    if isinstance(value, str):
        value = _TAG_SEPARATOR.split(value)

    return [_tag(tag) for tag in value[:_MAX_TAGS]] if isinstance(value, list) else []


def language_of(value: object) -> str | None:
    """Return a value as a BCP 47 tag; None if it is not a tag. Underscores become hyphens."""
    tag = text_of(value).replace("_", "-")
    return tag if _LANGUAGE.fullmatch(tag) else None


def without_title(text: str) -> str:
    """Return text without leading headings such as "Image Description:"."""
    while title := _TITLE.match(text):
        text = text[title.end() :].lstrip()
    return text


def _tag(value: object) -> str:
    if isinstance(value, dict):
        value = next((value[name] for name in _TAG_NAMES if name in value), None)
    return value.strip().lstrip("#").strip() if isinstance(value, str) else ""
