"""Find the JSON values in text, including values that must be repaired first."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .json_repair import BEFORE_KEY, is_repairable, repair_object
from .strict_json import JsonObject, decode_at

MAX_SCANNED_CHARACTERS = 400_000
"""Maximum length of the text that is scanned. Users can request descriptions of up to 20,000
characters."""

_MAX_WASTED_PASSES = 4
"""Maximum number of characters scanned without a result, as a multiple of the text's length. This
limit ensures that the time is at most proportional to the text's length."""

_MAX_FAILURES = 1000
"""Maximum number of opening brackets that do not begin a value. Each of them takes time, because
the decoder counts the lines before an error."""

_KEY = r"""(?:"[^"\n\\]{0,100}"|'[^'\n\\]{0,100}')\s*:"""

_OPENING = re.compile(rf"""\{{(?={BEFORE_KEY}{_KEY})|\[(?=\s*["{{\[])""")


class LocatedValue(NamedTuple):
    """A JSON value and its position in the text."""

    value: JsonObject | list[Any]
    start: int
    end: int


def values_in(text: str) -> Iterator[LocatedValue]:
    """Yield the outermost objects and lists in the first MAX_SCANNED_CHARACTERS of text."""
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
    """Return text with each character of its JSON values replaced by a space."""
    parts, position = [], 0
    for found in values_in(text):
        parts += [text[position : found.start], " " * (found.end - found.start)]
        position = found.end

    return "".join((*parts, text[position:]))


def _value_at(text: str, start: int) -> tuple[LocatedValue | None, int]:
    """Return the value at `start`, and the number of characters scanned without a result.

    The value is None if there is no valid or repairable value.
    """
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
