"""Locates the JSON values in a text, also those in which a model made one of its usual mistakes."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from .schema import FIELDS

Object = dict[str, Any]

MAX_CHARACTERS = 400_000
"""Of a text that is looked through; the largest description that may be asked for has 20,000."""

_WALKS = 4
"""How often a text may be walked for nothing, in its lengths: so its time is linear, whatever it
holds."""

_ATTEMPTS = 1000
"""At values that turn out to be none. Each takes time: the decoder counts the lines in front of a
mistake."""

_LITERAL_CHARACTERS = 50_000
"""Of a dict in Python's notation; its parser takes some hundred bytes for each."""

_COMMENT = r"//[^\n]{0,200}"

_KEY = r"""(?:"[^"\n\\]{0,100}"|'[^'\n\\]{0,100}')\s*:"""
_BEFORE_KEY = rf"\s*(?:{_COMMENT}\n\s*)?"

_OPENING = re.compile(rf"""\{{(?={_BEFORE_KEY}{_KEY})|\[(?=\s*["{{\[])""")

_OURS = re.compile(
    rf"""\{{{_BEFORE_KEY}["'](?:{"|".join(sorted(FIELDS))})["']\s*:""", re.IGNORECASE
)
"""The beginning of an object that is worth mending."""

_STRING_ENDS = r"""(?=\s{0,99}(?:[:}\]]|,\s{0,99}["'}\]]|\Z))"""
"""What follows a quotation mark that ends a string; another one stands in it, and was not escaped."""

_STRING = rf'"(?:[^"\\]|\\.|"(?!{_STRING_ENDS}))*+(?:"|\Z)'
_TOKEN = re.compile(rf"{_STRING}|{_COMMENT}|'(?:[^'\\]|\\.)*+(?:'|\Z)|[{{}}\[\]]", re.DOTALL)
_MISTAKE = re.compile(rf"({_STRING})|,(?=\s*[}}\]])|{_COMMENT}", re.DOTALL)
"""A string, which may have bare quotation marks, a comma that nothing follows, or a comment."""

_BARE_QUOTE = re.compile(r'\\.|"', re.DOTALL)


class Located(NamedTuple):
    """A JSON value and where it stands."""

    value: Object | list[Any]
    start: int
    end: int


def values_in(text: str) -> Iterator[Located]:
    """Yield the objects and lists in a text's first MAX_CHARACTERS, but none that is within another."""
    text = text[:MAX_CHARACTERS]
    characters, attempts, at = _WALKS * len(text), _ATTEMPTS, 0
    while characters >= 0 and attempts and (opening := _OPENING.search(text, at)):
        found, walked = _value_at(text, opening.start())
        characters -= walked
        if found is None:
            attempts, at = attempts - 1, opening.end()
        else:
            at = found.end
            yield found


def without_values(text: str) -> str:
    """Return text with a space in place of each character of its JSON values."""
    parts, at = [], 0
    for found in values_in(text):
        parts += [text[at : found.start], " " * (found.end - found.start)]
        at = found.end
    return "".join((*parts, text[at:]))


def decoded(text: str | bytes) -> object:
    """Return the JSON value that text is.

    Raises:
        ValueError: it is none; NaN and Infinity are none (RFC 8259, 6).
        RecursionError: it is nested too deep.
    """
    return json.loads(text, strict=False, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_refuse)


def _value_at(text: str, start: int) -> tuple[Located | None, int]:
    """Return the value that begins at `start`, or None; and how many characters were walked for nothing."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        walked = (len(text) if error.msg.startswith("Unterminated") else error.pos) - start
    except (ValueError, RecursionError):
        walked = len(text) - start
    else:
        return Located(value, start, end), 0

    if not _OURS.match(text, start):
        return None, walked

    mended, end = _mended_at(text, start)
    return (None if mended is None else Located(mended, start, end)), walked + end - start


def _mended_at(text: str, start: int) -> tuple[Object | None, int]:
    """Return the object that was meant to begin at `start`, or None, and where it ends."""
    end = _end_of(text, start)
    if end is None:
        return None, len(text)

    try:
        value = decoded(_MISTAKE.sub(_mended, text[start:end]))
    except (ValueError, RecursionError):
        value = _literal(text[start:end])

    return (value if isinstance(value, dict) else None), end


def _end_of(text: str, start: int) -> int | None:
    """Return where the brackets that open at `start` are closed; None: they are not."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return None


def _mended(mistake: re.Match[str]) -> str:
    string = mistake[1]
    if string is None:
        return ""
    inside = _BARE_QUOTE.sub(lambda mark: '\\"' if mark[0] == '"' else mark[0], string[1:-1])
    return f'"{inside}"'


def _literal(text: str) -> Object | None:
    """Return a dict in Python's notation, which some models write: single quotes, True, None."""
    if len(text) > _LITERAL_CHARACTERS:
        return None

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None

    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None
