"""Determine from a response's headers how long to wait before the next request."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_SECONDS = 3600.0
"""Maximum number of seconds to wait. A longer wait is due to a mistake or an exhausted quota, which
an administrator must investigate."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")

_MILLISECONDS_OF_2001 = 1e12
"""Minimum number that is read as a time in milliseconds since 1970. A smaller number is a duration
in seconds or a count."""

_LIMITS = ("requests", "tokens")
"""Names of OpenAI's limits: x-ratelimit-remaining-<name> and x-ratelimit-reset-<name>."""


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the number of seconds to wait according to the headers; None if they state none.

    Retry-After (RFC 9110, 10.2.3) holds seconds or a date; OpenAI and Azure also send
    `retry-after-ms`. Without either header, the wait lasts until exhausted limits are reset, as
    reported by OpenAI or by OpenRouter (`x-ratelimit-reset`, in milliseconds since 1970).
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return clamp_wait(milliseconds / 1000)

    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return clamp_wait(seconds)
    if value and (moment := parse_http_date(value)):
        return clamp_wait((moment - (now or datetime.now(UTC))).total_seconds())

    wait = exhausted_limit_reset(headers)
    return _seconds_until(headers.get("x-ratelimit-reset"), now) if wait is None else wait


def exhausted_limit_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until all exhausted limits are reset; None if none is exhausted."""
    exhausted = [name for name in _LIMITS if headers.get(f"x-ratelimit-remaining-{name}") == "0"]
    waits = [parse_duration(headers.get(f"x-ratelimit-reset-{name}", "")) for name in exhausted]
    return max((clamp_wait(wait) for wait in waits if wait is not None), default=None)


def parse_http_date(value: str) -> datetime | None:
    """Return an HTTP date in UTC; None if the value is not a date."""
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_duration(value: str) -> float | None:
    """Convert a duration to seconds; None if it is neither in Go's notation nor a plain number.

    An example of Go's notation is "6m0.5s".
    """
    if not _DURATION.fullmatch(value):
        return _number(value)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def clamp_wait(seconds: float) -> float:
    """Return `seconds` limited to the range from 0 to MAX_WAIT_SECONDS."""
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS)


def _number(value: str | None) -> float | None:
    return float(value) if value and re.fullmatch(r"\d{1,15}(\.\d{1,9})?", value.strip()) else None


def _seconds_until(value: str | None, now: datetime | None) -> float | None:
    """Return the seconds until a time in milliseconds since 1970; None for any other number."""
    milliseconds = _number(value)
    if milliseconds is None or milliseconds < _MILLISECONDS_OF_2001:
        return None
    return clamp_wait(milliseconds / 1000 - (now or datetime.now(UTC)).timestamp())
