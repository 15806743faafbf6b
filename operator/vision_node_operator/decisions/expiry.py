"""Decide which finished ImageJobs to delete: expired ones, and the oldest ones above the limit.

If there is a history, the archiver keeps their number below the limit. It removes ImageJobs from
etcd only after it has written them to the database. The operator then deletes only expired ones.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from ..settings import Settings
from ..state.job_queue import FinishedJob
from ..state.state import State
from .actions import Expire

MAX_EXPIRING = 8
"""Maximum number of deletions in flight. It is half of the background writes, so deletions that
hang, for example in a webhook, leave room for everything else. They take a few milliseconds, so
some hundred ImageJobs per second can be deleted."""

TARGET_PERCENT = 95
"""Share of `max_imagejobs` above which finished ImageJobs are deleted before they expire. With a
history, the operator warns instead that the archiver is behind.

A deletion takes time, and submissions go on meanwhile. They are refused only at the limit itself,
so the rest absorbs them: 1,500 ImageJobs at the default limit are half a minute at full speed."""


def expire(state: State, settings: Settings, now: datetime) -> Iterator[Expire]:
    """Yield deletions of finished ImageJobs, up to MAX_EXPIRING in flight.

    Expired ImageJobs come first. If that still leaves too many ImageJobs and there is no history,
    those that ended first follow, but none that ended less than `min_job_kept` ago. Failed
    deletions don't count toward MAX_EXPIRING.
    """
    queue = state.job_queue
    in_flight = sum(
        key.kind == "imagejobs" and key.name in queue.finished for key in state.pending_writes
    )
    slots = max(0, MAX_EXPIRING - in_flight)

    chosen = [done.name for done in islice(_deletable(state, queue.expired(now), now), slots)]
    surplus = _surplus(state, settings) - in_flight - len(chosen)
    if surplus > 0 and not settings.has_history:
        oldest = _deletable(state, queue.evictable(now), now)
        others = (done.name for done in oldest if done.name not in chosen)
        chosen += islice(others, min(surplus, slots - len(chosen)))

    for name in chosen:
        yield Expire(name, queue.finished[name].version)


def is_nearly_full(state: State, settings: Settings) -> bool:
    """Return whether ImageJobs are near the limit because the archiver does not remove them."""
    return settings.has_history and _surplus(state, settings) > 0


def _surplus(state: State, settings: Settings) -> int:
    """Return how many ImageJobs are above the target, without those that are being deleted.

    A deletion that waits for a finalizer counts as done. Otherwise, slow finalizers would cause the
    deletion of far more ImageJobs than necessary. While not all ImageJobs are known, the oldest
    ones aren't known, either, so there is no surplus.
    """
    if not state.knows_all_imagejobs:
        return 0

    # Rounded down, so that even the smallest limit leaves room for a submission.
    target = settings.max_imagejobs * TARGET_PERCENT // 100
    return state.job_queue.total - state.job_queue.deleting - target


def _deletable(
    state: State, finished: Iterable[FinishedJob], now: datetime
) -> Iterator[FinishedJob]:
    return (done for done in finished if state.is_free(done.key, now))
