"""Decide which shards to create: those for the first images that no shard has yet."""

from collections.abc import Iterator, Sequence
from itertools import islice

from vision_node_contract.models.imagebatch import MAX_COUNTED_CHARACTERS
from vision_node_contract.models.shard import MAX_SHARD_IMAGES, ImageRange, ShardSpec, shard_name
from vision_node_contract.ranges import Range

from ...state.object_versions import ObjectKey
from ..actions import CreateShard
from ..pool_view import PoolView
from .batch_view import BatchView
from .probing import may_probe
from .sizes import shard_size
from .turns import Turns

MAX_CREATING = 16
"""Maximum number of creations in flight, so that many ImageBatches don't delay assignments."""

MAX_UNCOUNTED = 64
"""Maximum number of finished shards of an ImageBatch that wait to be counted. If counting fails,
for example because the bucket is unavailable, their number must not grow."""

FRAGMENTED_CHARACTERS = MAX_COUNTED_CHARACTERS * 3 // 4
"""Length of the text with the counted ranges above which only the first gap is filled. The rest is
space for the shards that are being described by then."""


def create_shards(view: PoolView, batches: Sequence[BatchView], wanted: int) -> list[CreateShard]:
    """Return the shards that the workers will need next; `wanted` is their intended number."""
    # After a refusal, shards become larger only with each success.
    is_blocked = view.now < view.rate_limit.blocked_until
    if is_blocked or not view.state.knows_all_shards:
        return []

    workers = max(len(view.serving), wanted)
    creations = _all_creations(view, batches, workers)
    return list(islice(creations, max(0, MAX_CREATING - len(view.state.batches.creating))))


def _all_creations(
    view: PoolView, batches: Sequence[BatchView], workers: int
) -> Iterator[CreateShard]:
    ahead = workers + 1
    pause = view.state.batches.history(view.pool.describer).pause
    turns, total = Turns(batches), 0

    for batch in sorted((it for it in batches if it.is_running), key=turns.rank):
        # Batches that will have their turn much later need no shards beforehand.
        if total >= 2 * ahead:
            return

        # If its parallelism keeps an ImageBatch from having its turn, others come after it.
        limit = min(ahead, (batch.batch.spec.parallelism or ahead) + 1)
        if pause:
            limit = int(may_probe(view) and total == 0)

        if batch.record.pause:
            if not batch.may_probe:
                continue
            limit = min(limit, 1)

        waiting = len(batch.queued) + len(view.state.batches.creating_for(batch.record.uid))
        total += waiting
        for creation in islice(_creations(view, batch, workers), max(0, limit - waiting)):
            total += 1
            yield creation


def _creations(view: PoolView, batch: BatchView, workers: int) -> Iterator[CreateShard]:
    """Yield new shards of an ImageBatch: first those that must be tried alone, then the others."""
    state, record = view.state, batch.record
    taken = record.counted | state.batches.covered(record.uid)
    for suspect in record.suspects:
        pause = record.suspect_pauses.get(suspect)
        is_due = pause is None or view.now >= pause.probe_at
        if is_due and not taken.overlaps(suspect) and suspect.size <= MAX_SHARD_IMAGES:
            creation = _creation(view, batch, suspect, alone=True)
            if creation:
                yield creation

    is_fragmented = len(batch.batch.status.counted or "") > FRAGMENTED_CHARACTERS
    if not is_fragmented and len(batch.finished) >= MAX_UNCOUNTED:
        return

    within = batch.all_images
    if is_fragmented:
        within = next(record.counted.gaps(within), within)

    size = shard_size(view, batch, workers)
    for gap in (taken | batch.suspects if record.suspects else taken).gaps(within):
        for first in range(gap.first, gap.last + 1, size):
            piece = Range(first, min(first + size - 1, gap.last))
            creation = _creation(view, batch, piece, alone=False)
            if creation is None:
                return
            yield creation


def _creation(
    view: PoolView, batch: BatchView, images: Range, *, alone: bool
) -> CreateShard | None:
    """Return the creation of a shard; None if the shard's name can't be used now."""
    spec, manifest = batch.batch.spec, batch.batch.status.manifest
    name = shard_name(batch.record.name, batch.record.uid, images.first)
    if manifest is None or not view.state.is_free(ObjectKey("imagejobs", name), view.now):
        return None

    interval = view.describer.interval.total_seconds()
    shard = ShardSpec(
        images=ImageRange(
            batch=batch.record.name,
            batch_uid=batch.record.uid,
            manifest=manifest.folder,
            first=images.first,
            count=images.size,
            alone=alone,
            min_interval_seconds=interval or None,
        ),
        describer=spec.describer,
        options=spec.options,
        priority=spec.priority,
        max_attempts=spec.max_attempts,
        timeout_seconds=spec.timeout_seconds,
    )
    return CreateShard(shard, batch.record.owner)
