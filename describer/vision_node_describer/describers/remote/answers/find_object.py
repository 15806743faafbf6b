"""Find the object with a description's fields anywhere in a model's answer."""

import re
from typing import Any

from .field_values import text_of
from .json_scan import LocatedValue, values_in
from .schema import FIELD_DESCRIPTIONS, FIELDS
from .strict_json import JsonObject, decode_twice, parse_object

_MAX_NESTING = 3
"""Maximum number of objects around the fields; {"result": {"description": …}} has one."""

_LONG_PROSE_CHARACTERS = 200
"""Maximum length of the prose before an object whose only field is in the schema. After longer
prose, the object is a quotation from the picture instead of the answer."""

_SHORT_PROSE_CHARACTERS = 80
"""Maximum length of the prose before an object with one field in the schema and other fields."""

_LEAD_CHARACTERS = 20
_LEAD = re.compile(r"""[\s`~*#>"'(\[]*+(?:json\w?|python)?[\s:]*+""", re.IGNORECASE)
"""A code fence or other marks before an object, without prose."""

_ENDS_INTRODUCTION = re.compile(r"(?:^|[:>`*.!)\n])\s*\Z")
_CONTINUES_SENTENCE = re.compile(r"[.,;)]|[^\S\n]{0,3}[^\W\d_A-Z]")
"""Text after an object, showing that the object is part of a sentence."""

_ESCAPED = re.compile(r"""\W{0,8}(?:json)?\s*[{\[]\s*\\+["']""", re.IGNORECASE)
_WITHOUT_BRACES = re.compile(rf"""\s*"(?:{"|".join(sorted(FIELDS))})"\s*:""")


def whole_object(text: str) -> JsonObject | None:
    """Return the description object that the whole text represents; None if it is anything else."""
    try:
        value = decode_twice(text)
    except (ValueError, RecursionError):
        return None
    return _fields_of(value, _MAX_NESTING) if isinstance(value, dict) else None


def find_object(text: str) -> JsonObject | None:
    """Return the first description object in text; None if there is none.

    The object may be nested in other objects, or encoded as text in their `description`.
    """
    if _ESCAPED.match(text):
        text = text.replace('\\"', '"').replace("\\'", "'")

    if _WITHOUT_BRACES.match(text):
        inside = whole_object(f"{{{text.strip().strip('{},')}}}")
        if inside:
            return inside

    for located in values_in(text):
        found = _fields_in(located.value, _MAX_NESTING)
        if found and _is_answer(found, text, located):
            return found

    return None


def _is_answer(found: JsonObject, text: str, located: LocatedValue) -> bool:
    """Return whether an object is the model's answer instead of a quotation from the picture."""
    if len(found.keys() & FIELDS) > 1 or _is_at_start(text, located):
        return True

    has_unknown_fields = bool(found.keys() - FIELDS)
    max_prose = _SHORT_PROSE_CHARACTERS if has_unknown_fields else _LONG_PROSE_CHARACTERS

    return located.start <= max_prose and _is_introduced(text, located)


def _is_at_start(text: str, located: LocatedValue) -> bool:
    """Return whether nothing precedes an object, except for a code fence or similar marks."""
    return located.start <= _LEAD_CHARACTERS and _LEAD.fullmatch(text, 0, located.start) is not None


def _is_introduced(text: str, located: LocatedValue) -> bool:
    """Return whether prose introduces an object and does not continue after it."""
    before = text[max(0, located.start - _LEAD_CHARACTERS) : located.start]
    return (
        _ENDS_INTRODUCTION.search(before) is not None
        and _CONTINUES_SENTENCE.match(text, located.end) is None
    )


def _fields_in(value: object, levels: int) -> JsonObject | None:
    """Return the first description object in an object or a list; None if there is none."""
    if isinstance(value, dict):
        return _fields_of(value, levels)
    if not isinstance(value, list) or not levels:
        return None

    inside = (_fields_in(part, levels - 1) for part in value)
    return next((part for part in inside if part), None)


def _fields_of(value: JsonObject, levels: int) -> JsonObject | None:
    """Return the object if it is a description, or else the first description in it, or None."""
    value = _with_lower_case_names(value)
    description = value.get("description")
    if found := _in_description(description, levels):
        return {**value, **found}
    if (words := text_of(description)) and words not in FIELD_DESCRIPTIONS:
        return {**value, "description": words}
    if not levels:
        return None

    inside = (_fields_in(part, levels - 1) for part in _decoded_values(value))
    found = next((part for part in inside if part), None)
    if found is None and (text_of(value.get("caption")) or text_of(value.get("alt"))):
        return value

    return found


def _with_lower_case_names(value: JsonObject) -> JsonObject:
    """Return the object with field names in lower case. Some models write "Description"."""
    lower = {
        key.lower(): item
        for key, item in value.items()
        if key.lower() in FIELDS and key not in FIELDS
    }
    if not lower:
        return value

    return {**value, **{key: item for key, item in lower.items() if key not in value}}


def _in_description(description: object, levels: int) -> JsonObject | None:
    """Return the object in a `description`, possibly encoded as text; None if there is none."""
    if not levels:
        return None
    if isinstance(description, dict):
        return _fields_of(description, levels - 1)
    if not isinstance(description, str) or "{" not in description:
        return None

    for located in values_in(description):
        found = _fields_in(located.value, levels - 1)
        if found and _is_at_start(description, located):
            return found
        if found and len(found.keys() & FIELDS) > 1 and _is_introduced(description, located):
            return found

    return None


def _decoded_values(value: JsonObject) -> list[Any]:
    """Return an object's values, after decoding those that are objects encoded as text."""
    return [parse_object(part) if _is_encoded_object(part) else part for part in value.values()]


def _is_encoded_object(part: object) -> bool:
    return isinstance(part, str) and part.lstrip()[:1] == "{"
