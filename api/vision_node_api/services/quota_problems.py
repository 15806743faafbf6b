"""The problems of requests that would exceed a limit of their owner."""

import math
from datetime import UTC, datetime, timedelta

from ..web.problems import Problem

JOBS_RETRY_AFTER_SECONDS = "10"
"""Retry-After, in seconds, while an owner has too many unfinished jobs. They end all the time."""


def too_many_jobs(limit: int) -> Problem:
    """Return the problem for an owner with as many unfinished jobs as its limit allows."""
    detail = (
        f"The limit of {limit} unfinished jobs and batches of one owner has been reached "
        "(GET /limits). Wait until some have ended, or cancel some. For many images, use a batch, "
        "which counts as one."
    )
    headers = {"Retry-After": JOBS_RETRY_AFTER_SECONDS}
    return Problem(429, "TooManyJobsOfOwner", detail, headers=headers)


def daily_bytes_used(limit: int, now: datetime) -> Problem:
    """Return the problem for an owner whose images of today have too many bytes."""
    detail = (
        f"With this request, today's images of this owner would have more than {limit} bytes, "
        "which is its limit (GET /usage). Send the request again after midnight UTC, or ask an "
        "administrator for a higher limit."
    )
    headers = {"Retry-After": str(_seconds_until_midnight(now))}
    return Problem(429, "DailyBytesUsed", detail, headers=headers)


def daily_tokens_used(limit: int, describer: str, now: datetime) -> Problem:
    """Return the problem for an owner that has used too many tokens of providers today."""
    detail = (
        f"This owner's limit of {limit} tokens per day has been reached (GET /usage), and the "
        f"describer {describer} may use more. Choose a describer that runs in the cluster, such as "
        "local, or send the request again after midnight UTC."
    )
    headers = {"Retry-After": str(_seconds_until_midnight(now))}
    return Problem(429, "DailyTokensUsed", detail, headers=headers)


def _seconds_until_midnight(now: datetime) -> int:
    """Return the number of seconds until the next day in UTC, rounded up."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return math.ceil((midnight + timedelta(days=1) - now).total_seconds())
