"""Tells text that is JSON, or was to become some, from text that a person can read."""

import re

from .json_scan import MAX_CHARACTERS, values_in, without_values

_QUOTE = r"""\\*["'“”„‘’]"""
"""Straight, curly or escaped, as models write them."""

_BEGINS = re.compile(
    rf"""\W{{0,8}}(?:json\w?|python)?\s*(?:\{{\s*(?:{_QUOTE}|[{{}}\]]|//|\w+\s*:|$)"""
    rf"""|\[\s*(?:\{{|\\*"|\]|$|'[^']*'\s*[,\]]))"""
    rf"""|\W{{0,8}}{_QUOTE}(?:description|alt|caption|tags|text|language){_QUOTE}\s*:""",
    re.IGNORECASE,
)
"""An object, a list, or the inside of one."""

_NOTHING = re.compile(
    r"""[\s"'“”`{}\[\],.:;*_#…-]*+(?:(?:null|none|nil|nan|undefined|true|false|n/a|\d[\d.]*+)\W*+)?""",
    re.IGNORECASE,
)
"""A lone value, or none at all."""

_NUMBERS = re.compile(r"\W{0,8}\[[\s\d.,-]*+\W*+")
"""A list of numbers, such as a box in the picture."""

_SENTENCE_GOES_ON = re.compile(r"[^\S\n]{0,3}[^\W\d_A-Z]+(?:\W+\w+){2}")
"""At least three words, the first in lower case."""

_NEAR_CHARACTERS = 200
"""Of prose, in front of an object whose first field is one of ours."""

_OURS = re.compile(
    rf"\{{\s*(?:{_QUOTE})?(?:description|alt|caption)(?:{_QUOTE})?\s*:", re.IGNORECASE
)
_OPEN_OBJECT = re.compile(
    rf"\{{\s*{_QUOTE}|,\s*{_QUOTE}(?:description|alt|caption){_QUOTE}\s*:", re.IGNORECASE
)
_OPEN_LIST = re.compile(rf"[:\n][^\S\n]{{0,8}}\[\s*{_QUOTE}")
_OPEN_END = re.compile(r"(?:[:`\n]|json)\s*[{\[]\s*\Z|[:\n]\s*```\w{0,10}\s*\Z", re.IGNORECASE)
"""What has begun, or was to begin, where the text ends."""

_END_CHARACTERS = 60


def is_json(text: str) -> bool:
    """Return whether text begins as JSON, whole or not, and is no sentence that begins with some.

    A lone `null` or number is JSON as well, and nothing at all is no text.
    """
    text = text[:MAX_CHARACTERS].strip()
    if _NOTHING.fullmatch(text) or _NUMBERS.fullmatch(text):
        return True
    if _BEGINS.match(text) is None:
        return False
    value = next(values_in(text), None)
    return value is None or value.start > 0 or not _SENTENCE_GOES_ON.match(text[value.end :])


def starts_as_json(text: str) -> bool:
    """Return whether text is JSON or turns into some that is not whole: nothing that a person should read."""
    text = text[:MAX_CHARACTERS]
    if is_json(text):
        return True

    prose = without_values(text)
    ours = _OURS.search(prose)
    if ours and (ours.start() <= _NEAR_CHARACTERS or "}" not in prose[ours.start() :]):
        return True

    return _is_left_open(prose)


def _is_left_open(prose: str) -> bool:
    """Return whether an object or a list begins in prose, which is never closed."""
    object_left_open = _OPEN_OBJECT.search(prose, prose.rfind("}") + 1)
    list_left_open = _OPEN_LIST.search(prose, prose.rfind("]") + 1)
    return bool(object_left_open or list_left_open or _OPEN_END.search(prose[-_END_CHARACTERS:]))
