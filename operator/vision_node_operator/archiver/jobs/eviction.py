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
    ended.sort(key=lambda it: it[:2])
    surplus = len(ended) - limits.count

    return [
        job
        for place, (finished_at, uid, job) in enumerate(ended)
        if uid in archived
        and not job.is_deleting
        and finished_at <= now - limits.floor
        and (place < surplus or finished_at <= now - limits.stay)
    ]
