"""Detect whether text is JSON (complete or truncated) instead of text for people to read."""

import re

from .json_scan import MAX_SCANNED_CHARACTERS, values_in, without_values

_QUOTE = r"""\\*["'“”„‘’]"""
"""A quotation mark in one of the forms that models write: straight, curly or escaped."""

_BEGINS = re.compile(
    rf"""\W{{0,8}}(?:json\w?|python)?\s*(?:\{{\s*(?:{_QUOTE}|[{{}}\]]|//|\w+\s*:|$)"""
    rf"""|\[\s*(?:\{{|\\*"|\]|$|'[^']*'\s*[,\]]))"""
    rf"""|\W{{0,8}}{_QUOTE}(?:description|alt|caption|tags|text|language){_QUOTE}\s*:""",
    re.IGNORECASE,
)
"""Start of an object, a list, or an object without its opening brace."""

_LONE_VALUE = re.compile(
    r"""[\s"'“”`{}\[\],.:;*_#…-]*+"""
    r"""(?:(?:null|none|nil|nan|undefined|true|false|n/a|\d[\d.]*+)\W*+)?""",
    re.IGNORECASE,
)
"""A single value such as null or 42, or no value at all."""

_NUMBERS = re.compile(r"\W{0,8}\[[\s\d.,-]*+\W*+")
"""A list of numbers, such as a bounding box."""

_SENTENCE_CONTINUES = re.compile(r"[^\S\n]{0,3}[^\W\d_A-Z]+(?:\W+\w+){2}")
"""The continuation of a sentence: at least three words, the first in lower case."""

_MAX_INTRODUCTION_CHARACTERS = 200
"""Maximum length of the prose before an object whose first field is in the schema."""

_ANSWER_START = re.compile(
    rf"\{{\s*(?:{_QUOTE})?(?:description|alt|caption)(?:{_QUOTE})?\s*:", re.IGNORECASE
)
_OPEN_OBJECT = re.compile(
    rf"\{{\s*{_QUOTE}|,\s*{_QUOTE}(?:description|alt|caption){_QUOTE}\s*:", re.IGNORECASE
)
_OPEN_LIST = re.compile(rf"[:\n][^\S\n]{{0,8}}\[\s*{_QUOTE}")
_OPEN_END = re.compile(r"(?:[:`\n]|json)\s*[{\[]\s*\Z|[:\n]\s*```\w{0,10}\s*\Z", re.IGNORECASE)
"""The start of an object, list or code fence at the end of the text."""

_TAIL_CHARACTERS = 60


def looks_like_json(text: str) -> bool:
    """Return whether text is JSON, complete or not, rather than a sentence that begins with JSON.

    A lone `null` or number counts as JSON, and so does empty text.
    """
    text = text[:MAX_SCANNED_CHARACTERS].strip()
    if _LONE_VALUE.fullmatch(text) or _NUMBERS.fullmatch(text):
        return True
    if _BEGINS.match(text) is None:
        return False

    value = next(values_in(text), None)
    return value is None or value.start > 0 or not _SENTENCE_CONTINUES.match(text[value.end :])


def starts_like_json(text: str) -> bool:
    """Return whether text is JSON, or contains incomplete JSON that no reader should see."""
    text = text[:MAX_SCANNED_CHARACTERS]
    if looks_like_json(text):
        return True

    prose = without_values(text)
    answer = _ANSWER_START.search(prose)
    if answer and (
        answer.start() <= _MAX_INTRODUCTION_CHARACTERS or "}" not in prose[answer.start() :]
    ):
        return True

    return _is_left_open(prose)


def _is_left_open(prose: str) -> bool:
    """Return whether prose contains the start of an object or a list that is never closed."""
    object_left_open = _OPEN_OBJECT.search(prose, prose.rfind("}") + 1)
    list_left_open = _OPEN_LIST.search(prose, prose.rfind("]") + 1)

    return bool(object_left_open or list_left_open or _OPEN_END.search(prose[-_TAIL_CHARACTERS:]))
