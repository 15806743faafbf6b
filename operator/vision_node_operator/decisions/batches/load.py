"""Decide how many workers the ImageBatches of a Describer need."""

from collections.abc import Sequence
from itertools import chain
from math import ceil

from ..pool_view import PoolView
from .batch_view import BatchView
from .probing import knows_no_batches, may_probe
from .sizes import MIN_IMAGES

DRAIN_SECONDS = 2.0
"""Time within which the pool should be able to describe all images that are left, as for single
images."""


def wanted_for_batches(view: PoolView, batches: Sequence[BatchView]) -> int:
    """Return how many workers the ImageBatches of the pool need."""
    active = (batch for batch in batches if batch.is_running and batch.left > 0)
    first = next(active, None)
    if first is None:
        return 0
    if view.state.batches.history(view.pool.describer).pause:
        return int(may_probe(view) or any(worker.has_shard for worker in view.workers))

    if knows_no_batches(view):
        return 1  # more of the same workers would not help

    # There may be thousands of ImageBatches, of which a few need all workers that there may be.
    wanted = 0
    for batch in chain([first], active):
        wanted += _wanted(view, batch)
        if wanted >= view.pool.spec.max_workers:
            break

    interval, limit = view.describer.interval, view.rate_limit
    seconds = view.state.batches.history(view.pool.describer).seconds_per_image
    useful = limit.useful_concurrency(interval, seconds) / view.pool.spec.images_at_once
    return max(1, ceil(min(useful, wanted))) if wanted else 0


def _wanted(view: PoolView, batch: BatchView) -> int:
    """Return how many workers one ImageBatch can keep busy."""
    if batch.record.pause:
        return int(batch.may_probe or bool(batch.in_progress))

    parallelism = batch.batch.spec.parallelism or view.pool.spec.max_workers
    if view.pool.spec.isolation == "dedicated":
        # Workers that have their only image don't count toward the pool any more.
        return min(parallelism, max(0, batch.left - batch.images_in_progress))

    seconds = view.state.batches.history(view.pool.describer).seconds_per_image
    to_drain = ceil(batch.left * seconds / DRAIN_SECONDS)
    shards = max(ceil(batch.left / MIN_IMAGES), len(batch.queued) + len(batch.in_progress))
    return max(1, min(to_drain, shards, parallelism))
