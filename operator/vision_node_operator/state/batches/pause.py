"""Pause a Describer's ImageBatches while its provider or the bucket has a problem."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.models.reasons import Reason

FIRST_PROBE = timedelta(seconds=30)
"""How long to wait after a problem before one shard is tried. A person may need a minute to fix it,
and each attempt costs little."""

LONGEST_WAIT = timedelta(minutes=5)
"""Longest wait between two attempts. A person who has fixed the problem should not have to wait
longer."""

MAX_DOUBLINGS = 8
"""Maximum number of doublings, so that the wait does not overflow. LONGEST_WAIT is reached
earlier."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of all ImageBatches of one Describer."""

    reason: str
    message: str
    probe_at: datetime
    """When one shard may be tried."""
    failures: int = 1
    """Number of consecutive attempts that have failed."""


def stops_all(reason: str) -> bool:
    """Return whether a reason, which a worker wrote, concerns all images until it is fixed.

    A rate limit does not. It only blocks the Describer for a while.
    """
    try:
        known = Reason(reason)
    except ValueError:  # a newer worker's reason
        return False

    if known is Reason.RATE_LIMITED:
        return False

    return known.is_describers_problem or known is Reason.PROVIDER_UNAVAILABLE


def pause_after(before: Pause | None, reason: str, message: str, now: datetime) -> Pause:
    """Return the pause after a problem.

    Shards that were processed at the same time may all report the same problem, so it counts once
    per attempt.
    """
    if before and now < before.probe_at:
        return Pause(reason, message, before.probe_at, before.failures)

    failures = before.failures + 1 if before else 1
    wait = min(LONGEST_WAIT, FIRST_PROBE * 2 ** min(failures - 1, MAX_DOUBLINGS))
    return Pause(reason, message, now + wait, failures)
