"""Decide when a message is sent again whose delivery has failed."""

import random
from datetime import datetime, timedelta

PAUSES_SECONDS = (
    *(5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600),
    *(10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600),
)
"""Pauses after the first attempt, the second and so on, in seconds. Standard Webhooks recommends
these. The last one is repeated. With the default of 72 hours, nine attempts take 52 hours."""

JITTER = 0.1
"""The part of a pause by which it is longer or shorter. So messages that failed together during an
outage of a receiver don't arrive together again."""

MAX_RETRY_AFTER_SECONDS = 24 * 3600.0
"""The longest pause that a receiver may ask for with Retry-After, in seconds."""

MAX_ATTEMPTS = 100
"""Number of attempts after which a message is given up in any case. Only attempts that ended with a
crash can be so many, because they have no pause."""


def pause_after(attempts: int, retry_after: float | None = None) -> float:
    """Return how long to wait after an attempt, in seconds.

    Args:
        attempts: Number of attempts so far.
        retry_after: The pause that the receiver asks for, in seconds. It only makes the pause
            longer.
    """
    pause = PAUSES_SECONDS[min(attempts, len(PAUSES_SECONDS)) - 1]
    jittered = pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 (no secret)
    return max(jittered, min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))


def is_given_up(pause: float, age: timedelta, limit: timedelta) -> bool:
    """Return whether there is no further attempt, because it would come too late.

    Args:
        pause: Pause until that attempt, in seconds.
        age: The age of the message.
        limit: The age up to which there are attempts.
    """
    return age + timedelta(seconds=pause) > limit


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Return the seconds in a header Retry-After: a number, or a time (RFC 9110, section 10.2.3).

    None if there is no such header, or if it is invalid.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), MAX_RETRY_AFTER_SECONDS)

    try:
        at = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")  # noqa: DTZ007 (it is in UTC)
    except ValueError:
        return None

    return max(0.0, (at.replace(tzinfo=now.tzinfo) - now).total_seconds())
