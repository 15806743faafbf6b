"""Decide which finished ImageJobs leave etcd."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from .live_jobs import LiveJob

MIN_STAY = timedelta(seconds=60)
"""How long every finished ImageJob stays in etcd. Clients poll until then, and repeat requests with
an Idempotency-Key, also while the database is unavailable."""


@dataclass(frozen=True, slots=True)
class EvictionLimits:
    """How long, and how many, finished ImageJobs stay in etcd."""

    stay: timedelta
    count: int
    floor: timedelta = MIN_STAY
    """How long every finished ImageJob stays in etcd. Only tests shorten it."""


def choose_evictions(
    jobs: Iterable[LiveJob], archived: Collection[str], now: datetime, limits: EvictionLimits
) -> list[LiveJob]:
    """Return the ImageJobs to evict, the oldest first.

    These are the archived ones that ended long ago, and the oldest ones above the limit.
    """
    ended = [(it.finished_at, it.uid, it) for it in jobs if it.finished_at is not None]
    surplus = len(ended) - limits.count
    # Most are too young, and need not be sorted each second.
    latest = now - (limits.floor if surplus > 0 else max(limits.floor, limits.stay))
    old = sorted((it for it in ended if it[0] <= latest), key=lambda it: it[:2])

    return [
        job
        for place, (finished_at, uid, job) in enumerate(old)
        if uid in archived
        and not job.is_deleting
        and (place < surplus or finished_at <= now - limits.stay)
    ]
