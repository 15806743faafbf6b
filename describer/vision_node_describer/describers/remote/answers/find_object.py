"""Finds the object with a description's fields in what a model wrote, wherever it stands."""

import json
import re
from typing import Any

from .field_values import text_of
from .json_scan import Located, Object, decoded, values_in
from .schema import FIELDS, OWN_WORDS

_NESTED = 3
"""Levels of objects around the fields, such as {"result": {"description": …}}."""

_LONG_PROSE_CHARACTERS = 200
"""Before an object of a single field. After so much prose it is what the picture shows, not the
answer."""

_SHORT_PROSE_CHARACTERS = 80
"""The same of an object that has other fields besides."""

_LEAD_CHARACTERS = 20
_LEAD = re.compile(r"""[\s`~*#>"'(\[]*+(?:json\w?|python)?[\s:]*+""", re.IGNORECASE)
"""A fence, or what else may stand in front of an object without being prose."""

_ENDS_INTRODUCTION = re.compile(r"(?:^|[:>`*.!)\n])\s*\Z")
_GOES_ON = re.compile(r"[.,;)]|[^\S\n]{0,3}[^\W\d_A-Z]")
"""What follows an object that stands in a sentence."""

_ESCAPED = re.compile(r"""\W{0,8}(?:json)?\s*[{\[]\s*\\+["']""", re.IGNORECASE)
_INSIDE = re.compile(rf"""\s*"(?:{"|".join(sorted(FIELDS))})"\s*:""")


def json_object(text: str | bytes) -> Object | None:
    """Return the JSON object that text is, if it is one that can be stored: no NaN, no half characters."""
    try:
        value = decoded(text)
        if isinstance(value, str):  # written out twice
            value = decoded(value)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and can_be_stored(value) else None


def can_be_stored(value: object) -> bool:
    """Return whether value is JSON, and Unicode throughout: half a surrogate pair is none (RFC 8259, 8.2)."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def whole_object(text: str) -> Object | None:
    """Return the object with a description's fields that text is, and nothing besides; None if it is none."""
    try:
        value = decoded(text)
        if isinstance(value, str):
            value = decoded(value)
    except (ValueError, RecursionError):
        return None
    return fields_in(value) if isinstance(value, dict) else None


def find_object(text: str) -> Object | None:
    """Return the first object in text that has a description's fields; None if there is none.

    Objects around it are taken off, and one that stands as text in `description` is taken out.
    """
    if _ESCAPED.match(text):
        text = text.replace('\\"', '"').replace("\\'", "'")

    if _INSIDE.match(text) and (inside := whole_object(f"{{{text.strip().strip('{},')}}}")):
        return inside

    for located in values_in(text):
        found = _fields_in_any(located.value, _NESTED)
        if found and _is_the_answer(found, text, located):
            return found

    return None


def fields_in(value: Object) -> Object | None:
    """Return the object with a description's fields: this one, or one within it; None if there is none."""
    return _inner(value, _NESTED)


def _is_the_answer(found: Object, text: str, located: Located) -> bool:
    """Return whether an object is the model's answer, and not a quotation of what the picture shows."""
    if len(found.keys() & FIELDS) > 1 or _is_at_start(text, located):
        return True
    most = _SHORT_PROSE_CHARACTERS if found.keys() - FIELDS else _LONG_PROSE_CHARACTERS
    return located.start <= most and _is_introduced(text, located)


def _is_at_start(text: str, located: Located) -> bool:
    """Return whether nothing but a fence and the like is in front of an object."""
    return located.start <= _LEAD_CHARACTERS and _LEAD.fullmatch(text, 0, located.start) is not None


def _is_introduced(text: str, located: Located) -> bool:
    """Return whether prose in front of an object ends there, and none behind it goes on."""
    before = text[max(0, located.start - _LEAD_CHARACTERS) : located.start]
    return (
        _ENDS_INTRODUCTION.search(before) is not None and _GOES_ON.match(text, located.end) is None
    )


def _fields_in_any(value: object, levels: int) -> Object | None:
    """Return the first object with the fields in an object, or in a list of some."""
    if isinstance(value, dict):
        return _inner(value, levels)
    if not isinstance(value, list) or not levels:
        return None
    inside = (_fields_in_any(part, levels - 1) for part in value)
    return next((part for part in inside if part), None)


def _inner(value: Object, levels: int) -> Object | None:
    """Return the object with the fields, in this one or within it."""
    value = _in_lower_case(value)
    description = value.get("description")
    if found := _in_description(description, levels):
        return {**value, **found}
    if (words := text_of(description)) and words not in OWN_WORDS:
        return {**value, "description": words}
    if not levels:
        return None

    inside = (_fields_in_any(part, levels - 1) for part in _parts_of(value))
    found = next((part for part in inside if part), None)
    if found is None and (text_of(value.get("caption")) or text_of(value.get("alt"))):
        return value

    return found


def _in_lower_case(value: Object) -> Object:
    """Return the object with its fields' names as they are asked for: some models write "Description"."""
    lower = {
        key.lower(): item
        for key, item in value.items()
        if key.lower() in FIELDS and key not in FIELDS
    }

    return (
        {**value, **{key: item for key, item in lower.items() if key not in value}}
        if lower
        else value
    )


def _in_description(description: object, levels: int) -> Object | None:
    """Return the object that stands in `description`, itself or written out."""
    if not levels:
        return None
    if isinstance(description, dict):
        return _inner(description, levels - 1)
    if not isinstance(description, str) or "{" not in description:
        return None

    for located in values_in(description):
        found = _fields_in_any(located.value, levels - 1)
        if found and _is_at_start(description, located):
            return found
        if found and len(found.keys() & FIELDS) > 1 and _is_introduced(description, located):
            return found

    return None


def _parts_of(value: Object) -> list[Any]:
    """Return what stands in an object's fields, with objects that are written out as text decoded."""
    return [json_object(part) if _is_written_out(part) else part for part in value.values()]


def _is_written_out(part: object) -> bool:
    return isinstance(part, str) and part.lstrip()[:1] == "{"
