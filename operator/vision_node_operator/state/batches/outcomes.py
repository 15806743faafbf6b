"""Record the consequences of a shard's status for its worker, its Describer and its provider."""

from dataclasses import replace
from datetime import datetime

from vision_node_contract.models.imagejob import JobError, Stop
from vision_node_contract.models.reasons import (
    NEVER_OF_AN_IMAGE,
    STORAGE_REASONS,
    ReadyReason,
    Reason,
)
from vision_node_contract.models.shard import Shard

from ..describer_record import DescriberRecord
from ..problems import Problem
from ..provider_health import ProviderHealth
from ..rate_limit import RateLimit
from ..worker_registry import WorkerRecord
from .pause import pause_after, stops_all
from .record import BatchRecord
from .shard_history import ShardHistory

MAX_ALONE_FAILURES = 5
"""Number of times that a problem may stop an image which is tried alone. With the pauses in
between, they take about eight minutes, so a problem of all images is most likely noticed by
others."""


def record_history(history: ShardHistory, shard: Shard, now: datetime) -> None:
    """Record what a finished shard shows about the Describer: its speed, and a problem or none.

    If the problem is perhaps that of a single image, which is tried alone, others need not wait.
    """
    history.measure(shard, now)

    stopped = problem_of(shard)
    is_of_image = shard.spec.images.alone or shard.suspects
    if stopped and (history.pause or not is_of_image):
        history.pause = pause_after(history.pause, stopped.reason, stopped.message, now)
    elif shard.status.images and shard.status.images.done:
        history.pause = None


def record_own_problem(
    record: BatchRecord, shard: Shard, now: datetime, *, is_of_all: bool
) -> None:
    """Record a problem of the shard's own ImageBatch or image, or that it is over.

    `is_of_all` says whether other images of the Describer have the problem, too.
    """
    outcome, images = shard.status.images, shard.spec.images
    stopped = outcome.stopped if outcome else None
    is_unreadable = stopped is not None and stopped.reason == Reason.MANIFEST_UNREADABLE

    if images.alone:
        if problem := problem_of(shard):
            _record_stop_alone(record, shard, problem, now, is_of_all=is_of_all)
    elif stopped and (is_unreadable or (problem_of(shard) and not shard.suspects)):
        # Perhaps only this batch has the problem. Others have their turn before it is tried again.
        record.pause = pause_after(record.pause, stopped.reason, stopped.message, now)
    elif outcome and outcome.done:
        record.pause = None


def _record_stop_alone(
    record: BatchRecord, shard: Shard, problem: Stop, now: datetime, *, is_of_all: bool
) -> None:
    """Record that a problem has stopped images which were tried alone.

    If it is a problem of all images, or one that no image can cause, it says nothing about these.
    """
    before = record.suspect_pauses.get(shard.range)
    pause = pause_after(before, problem.reason, problem.message, now)
    if is_of_all or problem.reason in NEVER_OF_AN_IMAGE:
        pause = replace(pause, failures=before.failures if before else 0)

    record.suspect_pauses[shard.range] = pause


def as_failed_if_stopped_alone(record: BatchRecord, shard: Shard) -> Shard:
    """Return a finished shard; if a problem stops its only image again and again, it has failed.

    Others of the batch's images have been described, so the problem is that of the image. For
    example, a provider may answer that the key is wrong, only because of the image's content.
    """
    pause = record.suspect_pauses.get(shard.range)
    if not (pause and shard.is_alone and problem_of(shard)):
        return shard
    if pause.failures < MAX_ALONE_FAILURES or not record.batch.counts.done:
        return shard

    message = f"{pause.message} (while the image was described alone, {pause.failures} times)"
    error = JobError(reason=pause.reason, message=message, retryable=False)
    status = shard.status.model_copy(update={"phase": "failed", "images": None, "error": error})
    return shard.model_copy(update={"status": status})


def problem_of(shard: Shard) -> Stop | None:
    """Return the problem that stopped a shard and would stop any other shard, too."""
    stopped = shard.status.images.stopped if shard.status.images else None
    return stopped if stopped and stops_all(stopped.reason) else None


def record_rate_limit(rate_limit: RateLimit, shard: Shard, now: datetime) -> None:
    """Record whether the provider limited the rate of a finished shard."""
    outcome = shard.status.images
    stopped = outcome.stopped if outcome else None
    if stopped and (stopped.reason == Reason.RATE_LIMITED or stopped.retry_after_seconds):
        rate_limit.block(stopped.retry_after_seconds or 0, now)
    elif outcome and outcome.done:
        rate_limit.record_success(outcome.done)


def record_health(record: DescriberRecord, shard: Shard) -> None:
    """Record what a finished shard shows about the provider, for the Describer's condition."""
    if stopped := problem_of(shard):
        if reason := ReadyReason.by_provider(stopped.reason):
            record.provider_health = ProviderHealth(Problem(reason, stopped.message))
        return

    # A fallback may have described the images, so success shows nothing about the provider then.
    has_fallback = record.pool is not None and record.pool.spec.fallback is not None
    if shard.status.images and shard.status.images.done and not has_fallback:
        record.provider_health = ProviderHealth(None)


def record_worker(worker: WorkerRecord, shard: Shard, now: datetime) -> None:
    """Record whether a worker's access to the bucket works."""
    outcome = shard.status.images
    if outcome is None:
        return

    stopped = outcome.stopped
    if stopped and stopped.reason in STORAGE_REASONS:
        worker.storage_errors.setdefault((shard.metadata.name, shard.status.attempts), now)
    elif outcome.done:
        worker.last_success = now
        worker.storage_errors.clear()
