"""Choose the number of images of new shards."""

from datetime import timedelta
from math import inf

from ..pool_view import PoolView
from .batch_view import BatchView

TARGET_SECONDS = 2.5
"""Time that a worker should spend on one shard. Each shard costs a few writes to the API server.
Until it ends, its results can't be read, and are lost if its worker dies."""

FIRST_IMAGES = 8
"""Number of images of a shard until the time per image is known. It is small enough for a provider
that takes seconds, and lets clients read the first results soon."""

FIRST_SECONDS = 0.2
"""Time that a worker should spend on one of the first shards of an ImageBatch. A user who starts a
batch wants to see soon whether the results are as expected."""

MIN_IMAGES = 8
"""Minimum number of images of a shard at the end of a batch, where shards become smaller so that
all workers end at about the same time."""

MAX_IMAGES = 500
"""Maximum number of images of a shard. The results of 500 images fit into a worker's memory."""

GROWTH = 4
"""Maximum ratio of a shard's size to the largest measured one. A few images may happen to be faster
than the others."""

LONGEST_RATE_LIMITED = timedelta(seconds=10)
"""Maximum time that a shard takes under the Describer's rate limit. Single images may have to wait
that long."""


def shard_size(view: PoolView, batch: BatchView, workers: int) -> int:
    """Return how many images the next shard of the ImageBatch should have."""
    spec = view.pool.spec
    if spec.isolation == "dedicated":
        return 1

    history = view.state.batches.history(view.pool.describer)
    size = float(FIRST_IMAGES)
    if history.measured_images:
        growth = max(FIRST_IMAGES, history.measured_images * GROWTH)
        size = min(TARGET_SECONDS / history.seconds_per_image, growth)

    limits = (
        max(_first_size(view), batch.counted_or_covered),
        max(MIN_IMAGES, batch.left / (2 * max(1, workers))),
        largest_size(view),
    )
    return max(1, int(min(size, *limits)))


def _first_size(view: PoolView) -> float:
    """Return the maximum number of images of an ImageBatch's first shards.

    They keep all threads of a worker busy. Each further shard is at most as large as all
    earlier ones together.
    """
    history = view.state.batches.history(view.pool.describer)
    seconds = FIRST_SECONDS / history.seconds_per_image if history.measured_images else FIRST_IMAGES
    return max(seconds, view.pool.spec.images_at_once)


def largest_size(view: PoolView) -> float:
    """Return the maximum number of images of a shard.

    After the provider has limited the rate, a shard has at most as many images as may be processed
    at the same time.
    """
    interval, per_worker = view.describer.interval, view.pool.spec.images_per_worker
    limits = [
        MAX_IMAGES,
        LONGEST_RATE_LIMITED / interval if interval else inf,
        view.rate_limit.concurrency_limit,
        per_worker or inf,
    ]
    return max(1, min(limits))
