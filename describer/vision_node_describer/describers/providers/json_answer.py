"""Finds the JSON object in what a model wrote: whole, in a fence, in a list, or between sentences."""

import ast
import json
import re
from typing import Any, NoReturn

Object = dict[str, Any]

MAX_CHARACTERS = 400_000
"""Of an answer that is looked through; the largest description that may be asked for has 20,000."""

_CANDIDATES = 64
"""Opening braces that are tried: an answer has few, and each costs a walk to its end."""

_LONG_PROSE_CHARACTERS = 200
"""Before an object of a single field. After so much prose it is what the picture shows, not the answer."""

_LITERAL_CHARACTERS = 50_000

_NESTED = 3
"""Levels of objects around the fields, such as {"result": {"description": …}}."""

FIELDS = frozenset({"description", "alt", "caption", "tags", "text", "language"})

_WORD = re.compile(r"[^\W\d_]{2,}")

_WORDS_OF_A_SENTENCE = 3

_OPENING = re.compile(r'\{(?=\s*["\'])')

_QUOTE = r"""\\*["'“”„]"""
"""Straight, curly or escaped, as models write them."""

_BEGINS = re.compile(
    rf"""\W{{0,8}}(?:json)?\s*(?:\{{\s*(?:{_QUOTE}|[{{}}\]]|\w+\s*:|$)|\[\s*(?:\{{|"|\]|$|'[^']*'\s*[,\]]|-?\d[\d.]*\s*[,\]]))"""
    rf"""|\W{{0,8}}{_QUOTE}(?:description|alt|caption){_QUOTE}\s*:""",
    re.IGNORECASE,
)
"""An object, a list, or the inside of one."""

_TURNS_INTO = re.compile(rf"[{{,]\s*(?:{_QUOTE})?(?:description|alt|caption)(?:{_QUOTE})?\s*:", re.IGNORECASE)
"""An object of a description's fields that follows something else."""


def json_object(text: str | bytes) -> Object | None:
    """Return the JSON object that text is, if it is one that can be stored: no NaN, no half characters."""
    try:
        value = json.loads(text, strict=False, parse_constant=_refuse)
        if isinstance(value, str):  # written out twice
            value = json.loads(value, strict=False, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _can_be_stored(value) else None


def find_object(text: str) -> Object | None:
    """Return the first object in text that has a description's fields; None if there is none.

    Objects around it are taken off, and one that stands as text in `description` is taken out.
    """
    text = text[:MAX_CHARACTERS]
    decoder = json.JSONDecoder(strict=False, parse_constant=_refuse)
    at = 0
    for _ in range(_CANDIDATES):
        opening = _OPENING.search(text, at)
        if opening is None:
            break
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            at = opening.end()
            continue
        found = _inner(value, _NESTED)
        if found and _can_be_stored(found) and _is_the_answer(found, before=opening.start()):
            return found
    return _literal(text.strip())


def fields_in(value: Object) -> Object | None:
    """Return the object with a description's fields: this one, or one within it; None if there is none."""
    return _inner(value, _NESTED)


def starts_as_json(text: str) -> bool:
    """Return whether text is JSON or turns into it, whole or not: nothing that a person should read."""
    text = text[:MAX_CHARACTERS]
    return is_json(text) or _TURNS_INTO.search(text) is not None


def is_json(text: str) -> bool:
    """Return whether text begins as JSON, and is no sentence that begins with some."""
    text = text.strip()
    if _BEGINS.match(text) is None:
        return False
    try:
        _, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return len(_WORD.findall(text, end)) < _WORDS_OF_A_SENTENCE


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _can_be_stored(value: Object) -> bool:
    """Return whether it is Unicode throughout: half a surrogate pair is none (RFC 8259, 8.2)."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _is_the_answer(found: Object, *, before: int) -> bool:
    return before <= _LONG_PROSE_CHARACTERS or len(found.keys() & FIELDS) > 1


def _inner(value: Object, levels: int) -> Object | None:
    """Return the object with the fields, in this one or within it."""
    if "description" not in value:
        value = {key.lower() if key.lower() in FIELDS else key: item for key, item in value.items()}
    description = value.get("description")
    if isinstance(description, str):
        written_out = find_object(description) if description.lstrip()[:1] == "{" and levels else None
        return {**value, **written_out} if written_out else value
    if isinstance(description, list) and all(isinstance(part, str) for part in description):
        return {**value, "description": "\n".join(description)}
    if not levels:
        return None

    inside = (_inner(part, levels - 1) for part in _objects_in(value))
    found = next((part for part in inside if part), None)
    if found and isinstance(description, dict):
        return {**value, **found}
    if found is None and value.keys() & {"caption", "alt"}:
        return value
    return found


def _objects_in(value: Object) -> list[Object]:
    parts = [part for item in value.values() for part in (item if isinstance(item, list) else [item])]
    written = (json_object(part) if _is_written_object(part) else part for part in parts)
    return [part for part in written if isinstance(part, dict)]


def _is_written_object(part: object) -> bool:
    return isinstance(part, str) and part.lstrip()[:1] == "{"


def _literal(text: str) -> Object | None:
    """Return a dict in Python's notation, which some models write: single quotes, True, None."""
    if not text.startswith("{'") or len(text) > _LITERAL_CHARACTERS:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    keys = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    return _inner(value, _NESTED) if keys else None
