"""Decodes JSON strictly: no NaN or Infinity, and nothing that cannot be stored."""

import json
from typing import Any, NoReturn

JsonObject = dict[str, Any]


def decode(text: str | bytes) -> object:
    """Return the JSON value of a text.

    Raises:
        ValueError: It is not JSON; neither are NaN and Infinity (RFC 8259, 6).
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, strict=False, parse_constant=_reject)


def decode_at(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value that begins at `start`, and where it ends.

    Raises:
        ValueError: No JSON value begins there.
        RecursionError: It is nested too deeply.
    """
    return _DECODER.raw_decode(text, start)


def decode_twice(text: str | bytes) -> object:
    """Return the JSON value of a text, or of the text that this JSON value is.

    Some models encode their answer twice.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    value = decode(text)
    return decode(value) if isinstance(value, str) else value


def parse_object(text: str | bytes) -> JsonObject | None:
    """Return the JSON object of a text; None if it is not an object or cannot be stored."""
    try:
        value = decode_twice(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and is_storable(value) else None


def is_storable(value: object) -> bool:
    """Return whether a value is JSON in valid Unicode.

    Half a surrogate pair is not valid (RFC 8259, 8.2).
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _reject(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(strict=False, parse_constant=_reject)
