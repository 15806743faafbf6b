"""Decodes a JSON object in which a model made one of the usual mistakes."""

import ast
import re
import warnings

from .schema import FIELDS
from .strict_json import JsonObject, decode

COMMENT = r"//[^\n]{0,200}"

BEFORE_KEY = rf"\s*(?:{COMMENT}\n\s*)?"

_MAX_LITERAL_CHARACTERS = 50_000
"""Maximum length of a dict in Python's notation; its parser takes some hundred bytes of memory for
each character."""

_ANSWER_START = re.compile(
    rf"""\{{{BEFORE_KEY}["'](?:{"|".join(sorted(FIELDS))})["']\s*:""", re.IGNORECASE
)
"""Start of an object that is worth repairing: its first field is one of the schema's."""

_STRING_END = r"""(?=\s{0,99}(?:[:}\]]|,\s{0,99}["'}\]]|\Z))"""
"""What follows a quotation mark that ends a string. Any other quotation mark is part of the string
and was not escaped."""

_STRING = rf'"(?:[^"\\]|\\.|"(?!{_STRING_END}))*+(?:"|\Z)'
_TOKEN = re.compile(rf"{_STRING}|{COMMENT}|'(?:[^'\\]|\\.)*+(?:'|\Z)|[{{}}\[\]]", re.DOTALL)
_MISTAKE = re.compile(rf"({_STRING})|,(?=\s*[}}\]])|{COMMENT}", re.DOTALL)
"""A string, which may hold unescaped quotation marks, a trailing comma, or a comment."""

_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def is_repairable(text: str, start: int) -> bool:
    """Return whether a description object begins at `start`, so that a repair is worth trying."""
    return _ANSWER_START.match(text, start) is not None


def repair_object(text: str, start: int) -> tuple[JsonObject | None, int]:
    """Return the object that was meant to begin at `start`, or None, and where it ends."""
    end = _end_of(text, start)
    if end is None:
        return None, len(text)

    try:
        value = decode(_MISTAKE.sub(_repaired, text[start:end]))
    except (ValueError, RecursionError):
        value = _python_dict(text[start:end])

    return (value if isinstance(value, dict) else None), end


def _end_of(text: str, start: int) -> int | None:
    """Return where the brackets that open at `start` are closed; None if they are not."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()

    return None


def _repaired(mistake: re.Match[str]) -> str:
    """Return a string with its quotation marks escaped; a comma or a comment is removed."""
    string = mistake[1]
    if string is None:
        return ""

    inside = _QUOTE.sub(lambda mark: '\\"' if mark[0] == '"' else mark[0], string[1:-1])
    return f'"{inside}"'


def _python_dict(text: str) -> JsonObject | None:
    """Return a dict in Python's notation (single quotes, True, None), which some models write."""
    if len(text) > _MAX_LITERAL_CHARACTERS:
        return None

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in strings
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None

    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None
