"""Read times in requests."""

import re
from datetime import UTC, datetime

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
"""A time of RFC 3339, with up to microseconds."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def require_day(text: object) -> object:
    """Refuse what is no day of RFC 3339. Pydantic would also accept seconds since 1970.

    Raises:
        ValueError: The text is no day.
    """
    if not isinstance(text, str) or not _DAY.fullmatch(text):
        raise ValueError("write a day like 2026-01-31")

    return text


def read_time(text: str) -> datetime | None:
    """Return a time of RFC 3339 in UTC; None if the text is none."""
    if not _TIME.fullmatch(text):
        return None

    try:
        # Python reads lower-case letters, too, but not in all versions.
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
