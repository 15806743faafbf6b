"""Finds the JSON values in a text, including those that need one of the usual repairs."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .json_repair import BEFORE_KEY, is_repairable, repair_object
from .strict_json import JsonObject, decode_at

MAX_SCANNED_CHARACTERS = 400_000
"""Maximum length that is scanned; the longest description that may be requested has 20,000."""

_MAX_WASTED_PASSES = 4
"""How many lengths of the text may be scanned without a result. The limit keeps the time linear for
any text."""

_MAX_FAILURES = 1000
"""Maximum openings that turn out not to be values. Each one costs time, because the decoder counts
the lines before a mistake."""

_KEY = r"""(?:"[^"\n\\]{0,100}"|'[^'\n\\]{0,100}')\s*:"""

_OPENING = re.compile(rf"""\{{(?={BEFORE_KEY}{_KEY})|\[(?=\s*["{{\[])""")


class LocatedValue(NamedTuple):
    """A JSON value and its position in the text."""

    value: JsonObject | list[Any]
    start: int
    end: int


def values_in(text: str) -> Iterator[LocatedValue]:
    """Yield the objects and lists in the first MAX_SCANNED_CHARACTERS, but none that are nested."""
    text = text[:MAX_SCANNED_CHARACTERS]
    budget, failures, position = _MAX_WASTED_PASSES * len(text), 0, 0

    while budget >= 0 and failures < _MAX_FAILURES and (opening := _OPENING.search(text, position)):
        found, wasted = _value_at(text, opening.start())
        budget -= wasted
        if found is None:
            failures += 1
            position = opening.end()
        else:
            position = found.end
            yield found


def without_values(text: str) -> str:
    """Return text in which each character of its JSON values is replaced by a space."""
    parts, position = [], 0
    for found in values_in(text):
        parts += [text[position : found.start], " " * (found.end - found.start)]
        position = found.end

    return "".join((*parts, text[position:]))


def _value_at(text: str, start: int) -> tuple[LocatedValue | None, int]:
    """Return the value that begins at `start`, or None, and how many characters were wasted."""
    try:
        value, end = decode_at(text, start)
    except json.JSONDecodeError as error:
        wasted = (len(text) if error.msg.startswith("Unterminated") else error.pos) - start
    except (ValueError, RecursionError):
        wasted = len(text) - start
    else:
        return LocatedValue(value, start, end), 0

    if not is_repairable(text, start):
        return None, wasted

    repaired, end = repair_object(text, start)
    located = None if repaired is None else LocatedValue(repaired, start, end)
    return located, wasted + end - start
