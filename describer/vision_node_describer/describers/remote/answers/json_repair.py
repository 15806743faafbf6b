"""Decode JSON objects that contain mistakes that models often make."""

import ast
import re
import warnings

from .schema import FIELDS
from .strict_json import JsonObject, decode

COMMENT = r"//[^\n]{0,200}"

BEFORE_KEY = rf"\s*(?:{COMMENT}\n\s*)?"

_MAX_LITERAL_CHARACTERS = 50_000
"""Maximum length of a dict in Python's notation. Python's parser takes a few hundred bytes of
memory for each character."""

_ANSWER_START = re.compile(
    rf"""\{{{BEFORE_KEY}["'](?:{"|".join(sorted(FIELDS))})["']\s*:""", re.IGNORECASE
)
"""Start of an object that is worth repairing, because its first field is in the schema."""

_STRING_END = r"""(?=\s{0,99}(?:[:}\]]|,\s{0,99}["'}\]]|\Z))"""
"""Text that follows a quotation mark at the end of a string. Other quotation marks are part of the
string and should have been escaped."""

_STRING = rf'"(?:[^"\\]|\\.|"(?!{_STRING_END}))*+(?:"|\Z)'
_TOKEN = re.compile(rf"{_STRING}|{COMMENT}|'(?:[^'\\]|\\.)*+(?:'|\Z)|[{{}}\[\]]", re.DOTALL)
_MISTAKE = re.compile(rf"({_STRING})|,(?=\s*[}}\]])|{COMMENT}", re.DOTALL)
"""A trailing comma, a comment, or a string, which may contain unescaped quotation marks."""

_QUOTE = re.compile(r'\\.|"', re.DOTALL)


def is_repairable(text: str, start: int) -> bool:
    """Return whether an object that is worth repairing begins at `start`."""
    return _ANSWER_START.match(text, start) is not None


def repair_object(text: str, start: int) -> tuple[JsonObject | None, int]:
    """Return the repaired object that begins at `start`, and its end position.

    The object is None if it cannot be repaired.
    """
    end = _end_of(text, start)
    if end is None:
        return None, len(text)

    try:
        value = decode(_MISTAKE.sub(_repaired, text[start:end]))
    except (ValueError, RecursionError):
        value = _python_dict(text[start:end])

    return (value if isinstance(value, dict) else None), end


def _end_of(text: str, start: int) -> int | None:
    """Return the position after the bracket that closes the one at `start`, or None."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()

    return None


def _repaired(mistake: re.Match[str]) -> str:
    """Return the text that replaces a mistake.

    In a string, quotation marks are escaped. A trailing comma or a comment is removed.
    """
    string = mistake[1]
    if string is None:
        return ""

    inside = _QUOTE.sub(lambda mark: '\\"' if mark[0] == '"' else mark[0], string[1:-1])
    return f'"{inside}"'


def _python_dict(text: str) -> JsonObject | None:
    """Return a dict in Python's notation, which some models use; None if text is anything else."""
    if len(text) > _MAX_LITERAL_CHARACTERS:
        return None

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in strings
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None

    return value if isinstance(value, dict) and all(isinstance(key, str) for key in value) else None
