"""Decide which finished ImageBatches to evict."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from .live_batch import LiveBatch
from .live_batches import LiveBatches

MIN_AGE = timedelta(seconds=60)
"""Minimum time between the end of an ImageBatch and its eviction, even above the limit. Clients
that wait for its end read the object."""

MARK_AGE = timedelta(seconds=60)
"""Minimum age of a mark that another process has set. Until then, that process may be about to
delete the ImageBatch. A request takes far less than a minute."""

REFUSED_STAY = timedelta(minutes=5)
"""Time before the next attempt to evict an ImageBatch that the API server refused to delete. What
refuses it, for example a webhook, will usually refuse it again."""

MAX_FINISHED = 200
"""Maximum number of finished ImageBatches in the cluster. Each has up to 32 kB."""


def to_evict(batches: LiveBatches, stay: timedelta, now: datetime) -> Iterator[LiveBatch]:
    """Yield the archived ImageBatches to evict, the oldest first.

    These are the ones that ended longer than `stay` ago, and the oldest ones above MAX_FINISHED.
    Others are marked as evicted already, because a process was killed before it could delete them.
    """
    finished = batches.finished()
    surplus = len(finished) - MAX_FINISHED
    for number, (end, live) in enumerate(finished):
        age, mark = now - end, live.row.evicted_at if live.row else None
        was_asked = live.eviction == "asked"
        is_due = age >= stay or number < surplus or was_asked or mark is not None
        if not (live.is_archived and is_due and age >= MIN_AGE) or live.eviction == "done":
            continue
        if live.refused_at and now - live.refused_at < REFUSED_STAY:
            continue
        if mark is None or was_asked or now - mark >= MARK_AGE:
            yield live
