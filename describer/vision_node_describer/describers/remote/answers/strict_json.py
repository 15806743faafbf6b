"""Decode JSON strictly: reject NaN, Infinity and values that cannot be stored."""

import json
from typing import Any, NoReturn

JsonObject = dict[str, Any]


def decode(text: str | bytes) -> object:
    """Return the value of JSON text.

    Raises:
        ValueError: The text is not JSON. NaN and Infinity are not JSON, either (RFC 8259, 6).
        RecursionError: The value is nested too deeply.
    """
    return json.loads(text, strict=False, parse_constant=_reject)


def decode_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value that begins at `start`, and its end position.

    Raises:
        ValueError: No JSON value begins at `start`.
        RecursionError: The value is nested too deeply.
    """
    return _DECODER.raw_decode(text, start)


def decode_twice(text: str | bytes) -> object:
    """Return the value of JSON text, and decode it again if it is a string.

    Some models encode their answer twice.

    Raises:
        ValueError: The text is not JSON.
        RecursionError: The value is nested too deeply.
    """
    value = decode(text)
    return decode(value) if isinstance(value, str) else value


def parse_object(text: str | bytes) -> JsonObject | None:
    """Return the JSON object that text represents; None if it is anything else or not storable."""
    try:
        value = decode_twice(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and is_storable(value) else None


def is_storable(value: object) -> bool:
    """Return whether a value can be stored as JSON in valid Unicode.

    An unpaired surrogate is not valid Unicode (RFC 8259, 8.2).
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_reject)
