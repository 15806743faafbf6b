"""Decide when to count finished shards, and when an ImageBatch's status must change."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.models import batch_transitions
from vision_node_contract.models.batch_transitions import Progress
from vision_node_contract.models.imagebatch import MAX_COUNTED_CHARACTERS
from vision_node_contract.models.reasons import BatchReason
from vision_node_contract.models.shard import Shard
from vision_node_contract.ranges import RangeSet

from ...state.object_versions import LONG_AGO, ObjectKey
from ...state.state import State
from ..actions import AdvanceBatch
from .batch_view import BatchView

MIN_INTERVAL = timedelta(seconds=1)
"""Minimum time between two writes of an ImageBatch's status, except for the last one. A status has
up to 32 kB, and etcd keeps each version for some minutes."""

MAX_ENTRIES = 64
"""Maximum number of shards that are counted in one write. Their entries are one object in the
bucket, which must be small enough to be read (see runtime/batches/index_objects.py)."""

MAX_ADVANCING = 8
"""Maximum number of ImageBatches whose status is being written. Thousands may have to show the same
problem at once, and writes to a bucket may hang, but assignments must not wait for them."""

MAX_SUSPECTS_CHARACTERS = 4096
"""Maximum length of the text with the ranges to try alone, as in the CRD."""


def advance_batches(
    state: State, batches: Iterable[BatchView], waiting: Mapping[str, tuple[str, str] | None]
) -> list[AdvanceBatch]:
    """Return the writes of ImageBatches' statuses, of those first that were written longest ago.

    `waiting` has the reason and a message for each Describer that can't describe images at present.
    """
    in_flight = sum(
        key.kind == "imagebatches" and key not in state.background_writes
        for key in state.pending_writes
    )
    oldest = sorted(batches, key=lambda it: it.record.last_advance or LONG_AGO)
    found = (advance(batch, waiting.get(batch.batch.spec.describer)) for batch in oldest)
    return list(islice((it for it in found if it), max(0, MAX_ADVANCING - in_flight)))


def advance(batch: BatchView, waiting: tuple[str, str] | None) -> AdvanceBatch | None:
    """Return the write of the ImageBatch's status; None if nothing changes or it must wait.

    `waiting` is the reason and a message if the Describer can't describe the images at present.
    """
    if not _may_write(batch):
        return None

    counted = countable(batch)
    problem = batch.record.storage_problem
    if problem and counted and not _is_shown(batch, problem):
        # Nothing can be counted, but everybody should see why.
        return AdvanceBatch(batch.batch, Progress((), 0.0, problem)) if _is_due(batch) else None

    waiting = (waiting or _own_problem(batch)) if batch.is_running else None
    ended = batch.batch.counts.ended + sum(len(shard.ended) for shard in counted)
    is_change = bool(counted) or _conditions_change(batch, waiting)
    if not (_must_end(batch, ended, counted) or (is_change and _is_due(batch))):
        return None

    entries = [IndexEntry.of(shard) for shard in counted]
    stands_still = waiting is not None or not batch.is_running
    rate = 0.0 if stands_still else batch.record.rate(ended, batch.now)
    is_idle = _is_idle(batch, counted)
    return AdvanceBatch(batch.batch, Progress(entries, rate, waiting, is_idle))


def countable(batch: BatchView) -> list[Shard]:
    """Return the finished shards to count. They have no images in common, and all of them fit."""
    if not batch.finished:
        return []

    counted, taken, found = batch.record.counted, RangeSet(), list[Shard]()
    for shard in batch.finished:
        ended = shard.ended
        is_new = counted.isdisjoint(ended) and taken.isdisjoint(ended)
        if is_new and not batch.may_be_deleted(shard):
            taken |= ended
            found.append(shard)
        if len(found) == MAX_ENTRIES:
            break

    return found if _fit(batch, found) else _first_that_fit(batch, found)


def surplus(batch: BatchView) -> list[Shard]:
    """Return finished shards that can't be counted, but that block the first gap.

    Their images are described again. Otherwise, the text with the counted ranges, which is as long
    as it may be, could never become shorter. If the ImageBatch is to end, the text can't become
    shorter, so all shards that can't be counted are surplus.
    """
    if not batch.finished:
        return []

    is_stopped = batch.batch.stop_reason is not None
    blocking = next(batch.record.counted.gaps(batch.all_images), None)
    return [
        shard
        for shard in batch.finished
        if not batch.may_be_deleted(shard)
        and (is_stopped or (blocking and blocking.overlaps(shard.range)))
        and not _fit(batch, [shard])
    ]


def _first_that_fit(batch: BatchView, shards: Sequence[Shard]) -> list[Shard]:
    found: list[Shard] = []
    for shard in sorted(shards, key=lambda it: it.range):
        if _fit(batch, [*found, shard]):
            found.append(shard)

    return found


def _fit(batch: BatchView, shards: Sequence[Shard]) -> bool:
    """Return whether the ImageBatch's status is small enough after the shards were counted."""
    if not shards:
        return True

    entries, status = [IndexEntry.of(shard) for shard in shards], batch.batch.status
    # Usually, there is far more room than the texts could need, even if no ranges are adjacent.
    counted = len(status.counted or "") + sum(len(it.ranges) + 1 for it in entries)
    suspects = len(status.suspects or "") + sum(len(it.suspects) + 1 for it in entries)
    if counted <= MAX_COUNTED_CHARACTERS and suspects <= MAX_SUSPECTS_CHARACTERS:
        return True

    patch = batch_transitions.advance(batch.batch, Progress(entries), batch.now)
    is_short = len(patch["counted"]) <= MAX_COUNTED_CHARACTERS
    return is_short and len(patch["suspects"] or "") <= MAX_SUSPECTS_CHARACTERS


def _own_problem(batch: BatchView) -> tuple[str, str] | None:
    """Return the reason and a message if this ImageBatch alone can't be described at present."""
    record = batch.record
    if record.refusal:
        return BatchReason.SHARDS_REFUSED, record.refusal
    if record.pause:
        return record.pause.reason, record.pause.message
    if batch.shards:
        return None

    paused = (it for it in record.suspect_pauses.values() if batch.now < it.probe_at)
    pause = next(paused, None)
    return (pause.reason, pause.message) if pause else None


def _may_write(batch: BatchView) -> bool:
    state = batch.state
    if not state.knows_all_shards or batch.batch.metadata.deletion_timestamp:
        return False

    return state.is_free(ObjectKey("imagebatches", batch.record.name), batch.now)


def _is_due(batch: BatchView) -> bool:
    last = batch.record.last_advance
    return last is None or batch.now - last >= MIN_INTERVAL


def _is_idle(batch: BatchView, counted: Sequence[Shard]) -> bool:
    """Return whether there are no shards besides those that are counted, now or before."""
    names = {shard.metadata.name for shard in counted}
    others = (it for it in batch.shards if it.metadata.name not in names)
    is_any_left = any(not (it.finished and batch.may_be_deleted(it)) for it in others)
    return not is_any_left and not batch.state.batches.creating_for(batch.record.uid)


def _must_end(batch: BatchView, ended: int, counted: Sequence[Shard]) -> bool:
    """Return whether the write ends the ImageBatch, of whose images `ended` are counted then."""
    is_stopped = batch.batch.stop_reason is not None
    return ended >= batch.batch.counts.total or (is_stopped and _is_idle(batch, counted))


def _conditions_change(batch: BatchView, waiting: tuple[str, str] | None) -> bool:
    """Return whether the condition Waiting or Suspended must be written."""
    status, is_suspended = batch.batch.status, batch.batch.spec.suspend
    is_shown_as_waiting = status.true_condition("Waiting") is not None
    is_changed = not _is_shown(batch, waiting) if waiting else is_shown_as_waiting

    was_suspended = status.true_condition("Suspended") is not None
    return is_changed or is_suspended != was_suspended


def _is_shown(batch: BatchView, waiting: tuple[str, str]) -> bool:
    """Return whether the condition Waiting has this reason and message."""
    shown = batch.batch.status.true_condition("Waiting")
    return shown is not None and (shown.reason, shown.message) == waiting
