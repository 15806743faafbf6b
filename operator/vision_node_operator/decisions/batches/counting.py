"""Decide when to count finished shards, and when an ImageBatch's status must change."""

from collections.abc import Sequence
from datetime import timedelta

from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.models import batch_transitions
from vision_node_contract.models.batch_transitions import Progress
from vision_node_contract.models.imagebatch import MAX_COUNTED_CHARACTERS
from vision_node_contract.models.reasons import BatchReason
from vision_node_contract.models.shard import Shard

from ...state.object_versions import ObjectKey
from ..actions import AdvanceBatch
from .batch_view import BatchView

MIN_INTERVAL = timedelta(seconds=1)
"""Minimum time between two writes of an ImageBatch's status, except for the last one. A status has
up to 32 kB, and etcd keeps each version for some minutes."""

MAX_ENTRIES = 200
"""Maximum number of shards that are counted in one write."""

MAX_SUSPECTS_CHARACTERS = 4096
"""Maximum length of the text with the ranges to try alone, as in the CRD."""


def advance(batch: BatchView, waiting: tuple[str, str] | None) -> AdvanceBatch | None:
    """Return the write of the ImageBatch's status; None if nothing changes or it must wait.

    `waiting` is the reason and a message if the Describer can't describe the images at present.
    """
    if not _may_write(batch):
        return None

    counted = countable(batch)
    entries = [IndexEntry.of(shard) for shard in counted]
    is_idle = _is_idle(batch, counted)
    waiting = (waiting or _refusal(batch)) if batch.goes_on else None
    ended = batch.batch.counts.ended + sum(len(entry.ended) for entry in entries)
    is_last = _must_end(batch, ended, is_idle=is_idle)
    if not (is_last or (_is_due(batch) and (entries or _conditions_change(batch, waiting)))):
        return None

    rate = batch.record.rate(ended, batch.now)
    return AdvanceBatch(batch.batch, Progress(entries, rate, waiting, is_idle))


def countable(batch: BatchView) -> list[Shard]:
    """Return the finished shards to count. They are disjoint, and fit into the status."""
    taken, found = batch.record.counted, list[Shard]()
    for shard in batch.finished:
        if not batch.is_settled(shard) and taken.isdisjoint(shard.ended):
            taken |= shard.ended
            found.append(shard)

    found = found[:MAX_ENTRIES]
    return found if _fit(batch, found) else _first_that_fit(batch, found)


def surplus(batch: BatchView) -> list[Shard]:
    """Return finished shards that can't be counted, but that block the first gap.

    Their images are described again. Otherwise, the text with the counted ranges, which has its
    maximum length, could never become shorter.
    """
    taken = batch.record.counted
    blocking = next(taken.gaps(batch.all_images), None)
    return [
        shard
        for shard in batch.finished
        if blocking
        and not batch.is_settled(shard)
        and shard.range.first <= blocking.last
        and blocking.first <= shard.range.last
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

    entries = [IndexEntry.of(shard) for shard in shards]
    patch = batch_transitions.advance(batch.batch, Progress(entries), batch.now)
    is_short = len(patch["counted"]) <= MAX_COUNTED_CHARACTERS
    return is_short and len(patch["suspects"] or "") <= MAX_SUSPECTS_CHARACTERS


def _refusal(batch: BatchView) -> tuple[str, str] | None:
    """Return the reason and a message if the API server refuses to create shards."""
    message = batch.record.refusal
    return (BatchReason.SHARDS_REFUSED, message) if message else None


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
    is_any_left = any(not (it.finished and batch.is_settled(it)) for it in others)
    return not is_any_left and not batch.state.batches.creating_for(batch.record.uid)


def _must_end(batch: BatchView, ended: int, *, is_idle: bool) -> bool:
    """Return whether the write, after which `ended` images are counted, ends the ImageBatch."""
    total = batch.batch.counts.total
    return ended >= total or (is_idle and batch.batch.stop_reason is not None)


def _conditions_change(batch: BatchView, waiting: tuple[str, str] | None) -> bool:
    """Return whether the condition Waiting or Suspended must be written."""
    status, is_suspended = batch.batch.status, batch.batch.spec.suspend
    shown = status.condition("Waiting")
    if waiting is None:
        is_changed = shown is not None and shown.status == "True"
    else:
        found = (shown.reason, shown.message) if shown and shown.status == "True" else None
        is_changed = found != waiting

    suspended = status.condition("Suspended")
    was_suspended = suspended is not None and suspended.status == "True"
    return is_changed or is_suspended != was_suspended
