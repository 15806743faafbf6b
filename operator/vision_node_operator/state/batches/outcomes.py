"""Record the consequences of a shard's status for its worker, its Describer and its provider."""

from datetime import datetime

from vision_node_contract.models.imagejob import Stop
from vision_node_contract.models.reasons import STORAGE_REASONS, ReadyReason, Reason
from vision_node_contract.models.shard import Shard

from ..describer_record import DescriberRecord
from ..problems import Problem
from ..provider_health import ProviderHealth
from ..rate_limit import RateLimit
from ..worker_registry import WorkerRecord
from .pace import Pace
from .pause import pause_after, stops_all


def record_pace(pace: Pace, shard: Shard, now: datetime) -> None:
    """Record a finished shard's speed, and whether the Describer has a problem."""
    pace.measure(shard, now)

    if stopped := problem_of(shard):
        pace.pause = pause_after(pace.pause, stopped.reason, stopped.message, now)
    elif shard.status.images and shard.status.images.done:
        pace.pause = None


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
