"""Reads from an answer's headers how long a provider wants to be left alone. All in seconds."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_SECONDS = 3600.0
"""A header that says more is a mistake, or a quota that is used up; either way somebody has to
look."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

_MILLISECONDS_OF_2001 = 1e12
"""Less is no moment in milliseconds, but seconds, or a count."""

_LIMITS = ("requests", "tokens")
"""What OpenAI counts: x-ratelimit-remaining-<what> and x-ratelimit-reset-<what>."""


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return what Retry-After asks for (RFC 9110, 10.2.3; seconds or a date; `-ms` is OpenAI's and Azure's).

    Without it, when the limits that are used up are given back, as OpenAI says it, or OpenRouter
    (`x-ratelimit-reset`, milliseconds since 1970); None if nothing is said.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return bounded(milliseconds / 1000)

    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return bounded(seconds)
    if value and (moment := http_date(value)):
        return bounded((moment - (now or datetime.now(UTC))).total_seconds())

    wait = exhausted(headers)
    return _until(headers.get("x-ratelimit-reset"), now) if wait is None else wait


def exhausted(headers: Mapping[str, str]) -> float | None:
    """Return when the limits that this answer has used up are given back; None if none is."""
    used_up = [what for what in _LIMITS if headers.get(f"x-ratelimit-remaining-{what}") == "0"]
    waits = [duration(headers.get(f"x-ratelimit-reset-{what}", "")) for what in used_up]
    return max((bounded(wait) for wait in waits if wait is not None), default=None)


def http_date(value: str) -> datetime | None:
    """Return an HTTP date in UTC; None for what is none."""
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _number(value: str | None) -> float | None:
    return float(value) if value and re.fullmatch(r"\d{1,15}(\.\d{1,9})?", value.strip()) else None


def _until(value: str | None, now: datetime | None) -> float | None:
    """Return the seconds until a moment in milliseconds since 1970; None for what is none of this age."""
    milliseconds = _number(value)
    if milliseconds is None or milliseconds < _MILLISECONDS_OF_2001:
        return None
    return bounded(milliseconds / 1000 - (now or datetime.now(UTC)).timestamp())


def duration(value: str) -> float | None:
    """Return Go's notation, "6m0.5s" or "20ms", or a number, in seconds; None for anything else."""
    if not _DURATION.fullmatch(value):
        return _number(value)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def bounded(seconds: float) -> float:
    """Return a wait that is neither negative nor longer than MAX_WAIT_SECONDS."""
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)
