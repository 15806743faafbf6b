"""How long finished jobs and batches are kept."""

from datetime import UTC, datetime, timedelta

from vision_node_contract.models.imagebatch import ImageBatch, ImageBatchSpec
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec


def ttl_of(spec: ImageJobSpec | ImageBatchSpec, default: timedelta | None) -> timedelta | None:
    """Return how long a finished job or batch is kept: `default`, unless its spec says so.

    None means forever.
    """
    if default is None and spec.ttl_seconds_after_finished is None:
        return None

    return spec.ttl(default or timedelta())


def job_expires_at(job: ImageJob, default: timedelta | None) -> datetime | None:
    """Return when a finished job's time to live ends.

    Return None if the job is unfinished, or kept forever.
    """
    if not job.finished or job.status.completion_time is None:
        return None

    ttl = ttl_of(job.spec, default)
    return job.completed(datetime.now(UTC)) + ttl if ttl is not None else None


def batch_expires_at(batch: ImageBatch, default: timedelta | None) -> datetime | None:
    """Return when a finished batch's time to live ends.

    Return None if the batch is unfinished, or kept forever.
    """
    ended = batch.status.completion_time if batch.finished else None
    ttl = ttl_of(batch.spec, default)
    return ended + ttl if ended and ttl is not None else None
