"""Decide which shards to delete: those that were counted, and those that are not needed."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from math import inf

from vision_node_contract.models.shard import Shard

from ...state.object_versions import ObjectKey
from ...state.state import State, key_of
from ..actions import DeleteShard, ExpireBatch, ExpireUpload
from ..pool_view import PoolView
from .batch_view import BatchView
from .counting import surplus
from .sizes import largest_size


def delete_shards(batches: Iterable[BatchView], view: PoolView | None) -> Iterator[DeleteShard]:
    """Yield the deletions of ImageBatches' shards; `view` is None without a Describer."""
    largest = largest_size(view) if view else inf
    for batch in batches:
        yield from _deletions(batch, largest)


def _deletions(batch: BatchView, largest: float) -> Iterator[DeleteShard]:
    """Yield the deletions of an ImageBatch's shards.

    A finished shard is deleted only after it has been counted.
    """
    if not batch.state.knows_all_shards or not batch.shards:
        return

    deletable = (shard for shard in batch.finished if batch.may_be_deleted(shard))
    unwanted = (
        batch.queued if not batch.is_running else chain(batch.redundant, _unsuited(batch, largest))
    )
    seen: set[str] = set()
    for shard in chain(deletable, surplus(batch), unwanted):
        name = shard.metadata.name
        if name not in seen and batch.state.is_free(key_of(shard), batch.now):
            seen.add(name)
            yield DeleteShard(name, shard.metadata.uid)


def delete_orphaned(state: State, now: datetime) -> Iterator[DeleteShard]:
    """Yield the deletions of shards whose ImageBatch has ended or does not exist."""
    if not state.knows_all_shards:
        return

    for shard in state.batches.orphaned():
        if state.is_free(key_of(shard), now):
            yield DeleteShard(shard.metadata.name, shard.metadata.uid)


def _unsuited(batch: BatchView, largest: float) -> Iterator[Shard]:
    """Yield queued shards that were asked to end early, or that have become too large.

    A shard becomes too large if the provider limits the rate after the shard's creation.
    """
    for shard in batch.queued:
        is_large = shard.range.size > largest
        if shard.spec.cancel or (is_large and not shard.spec.images.alone):
            yield shard


def expire_batches(state: State, now: datetime) -> Iterator[ExpireBatch | ExpireUpload]:
    """Yield the deletions of ImageBatches whose time to live, or to be uploaded, has expired."""
    for record in state.batches.expired(now):
        if not state.is_free(ObjectKey("imagebatches", record.name), now):
            continue

        if not record.batch.finished:
            yield ExpireUpload(record.batch)
        else:
            yield ExpireBatch(record.name, int(record.batch.metadata.resource_version))
