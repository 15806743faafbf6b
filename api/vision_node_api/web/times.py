"""Read times in requests."""

import re
from datetime import UTC, datetime

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
"""A time of RFC 3339, with up to microseconds."""


def read_time(text: str) -> datetime | None:
    """Return a time of RFC 3339 in UTC; None if the text is none."""
    if not _TIME.fullmatch(text):
        return None

    try:
        # Python reads lower-case letters, too, but not in all versions.
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
