"""All transitions of an ImageJob's status, shards included, as merge patches (RFC 7386).

Each function except `report` takes the current ImageJob and the time of the change (UTC). Its patch
keeps the ImageJob's other conditions. `ImageJobClient.patch_status` adds the resourceVersion, so
that a patch fails if the ImageJob has changed in the meantime.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from ..bucket_keys import ResultObject
from .description import Result, summarize
from .imagejob import (
    Condition,
    ImageJob,
    JobError,
    LossesByCause,
    ObjectMeta,
    ShardOutcome,
    StoredResult,
)
from .reasons import Reason
from .shard import Shard

AnyJob = ImageJob | Shard
"""An ImageJob, for a single image or for several images of an ImageBatch."""

StatusPatch = dict[str, Any]

MAX_MESSAGE_CHARACTERS = 2048
"""Maximum length of a message, as in the CRD. Longer messages are truncated; they may come from
third-party libraries."""


def assign(job: AnyJob, *, worker: str, deadline: datetime, now: datetime) -> StatusPatch:
    """Return the patch for queued → processing.

    It assigns the ImageJob to `worker`, which is the name of a pod, until `deadline`.
    """
    return {
        "phase": "processing",
        "worker": worker,
        "attempts": job.status.attempts + 1,
        "attemptDeadline": timestamp(deadline),
        "nextAttemptTime": None,
        "startTime": timestamp(job.status.start_time or now),
        "error": None,  # otherwise, the previous attempt's error would also end this attempt
        "conditions": _with_condition(
            job, "Assigned", "True", "WorkerAssigned", f"assigned to {worker}", now
        ),
    }


def complete(
    job: ImageJob, *, result: Result, stored: ResultObject | None, now: datetime
) -> StatusPatch:
    """Return the patch for processing → done. If `stored` is None, the result is kept inline."""
    stored_result = StoredResult(
        describer=result.describer,
        model=result.model,
        summary=summarize(result.description),
        inline=None if stored else result,
        key=stored.key if stored else None,
        sha256=stored.sha256 if stored else None,
        size_bytes=stored.size_bytes if stored else None,
        fallback=result.fallback,
        usage=result.usage,
    )

    return {
        "phase": "done",
        **_finished(job, now),
        "result": stored_result.to_json(),
        "error": None,
        "conditions": _with_condition(
            job, "Complete", "True", "Described", "the image has been described", now
        ),
    }


def fail(job: AnyJob, *, reason: Reason, message: str, now: datetime) -> StatusPatch:
    """Return the patch for queued or processing → failed, which is final."""
    return {
        "phase": "failed",
        **_finished(job, now),
        "error": _error(reason, message, retryable=False),
        "conditions": _with_condition(job, "Failed", "True", reason, message, now),
    }


def finish_shard(shard: Shard, *, outcome: ShardOutcome, now: datetime) -> StatusPatch:
    """Return the patch for processing → done, with which a worker ends a shard.

    The shard need not be complete: other shards describe the rest.
    """
    message = f"{outcome.done} images have been described, and {outcome.failed} have failed"
    reason = outcome.stopped.reason if outcome.stopped else "Described"

    return {
        "phase": "done",
        **_finished(shard, now),
        "images": outcome.to_json(),
        "error": None,
        "conditions": _with_condition(shard, "Complete", "True", reason, message, now),
    }


def give_up_shard(
    shard: Shard, *, reason: Reason, message: str, suspects: str, now: datetime
) -> StatusPatch:
    """Return the patch for queued or processing → failed of a shard that has no outcome.

    None of its images is counted: other shards describe them. `suspects` are the ranges of those
    that may be to blame, as text; each is tried alone.
    """
    outcome = ShardOutcome(done=0, failed=0, rest=str(shard.range), suspects=suspects or None)
    patch = fail(shard, reason=reason, message=message, now=now)

    return patch | {"images": outcome.to_json()}


def report(reason: Reason, message: str, retry_after: float | None = None) -> StatusPatch:
    """Return the patch with which a worker reports a temporary failure to the operator.

    The operator decides what happens next. `retry_after` is the number of seconds to wait before
    the next attempt, as requested by the provider.
    """
    return {"error": _error(reason, message, retryable=True, retry_after=retry_after)}


def requeue(
    job: AnyJob,
    *,
    reason: Reason,
    message: str,
    next_attempt: datetime,
    now: datetime,
    lost: bool = False,
    suspect: bool = False,
) -> StatusPatch:
    """Return the patch for processing → queued.

    Args:
        job: The ImageJob.
        reason: The reason why the attempt ended.
        message: Human-readable explanation of the reason.
        next_attempt: Earliest time of the next assignment.
        now: The current time.
        lost: Whether the attempt was lost, and therefore does not count toward maxAttempts.
        suspect: Whether the image may crash workers, and therefore must not share a worker with
            other images in its next attempts.
    """
    return {
        "phase": "queued",
        **(_lost(job, reason) if lost else {}),
        **({"suspect": True} if suspect else {}),
        "worker": None,
        "attemptDeadline": None,
        "nextAttemptTime": timestamp(next_attempt),
        "error": _error(reason, message, retryable=True),
        "conditions": _with_condition(job, "Assigned", "False", reason, message, now),
    }


def timestamp(moment: datetime) -> str:
    """Return the time in RFC 3339 format with microseconds (metav1.MicroTime)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _lost(job: AnyJob, reason: Reason) -> StatusPatch:
    """Return the counters of lost attempts, increased by one.

    Older releases read only the total; this release also counts lost attempts by cause.
    """
    counters: StatusPatch = {"losses": job.status.losses + 1}

    if cause := reason.cause:
        before = job.status.losses_by_cause or LossesByCause()
        counters["lossesByCause"] = {cause.value: before.count(cause) + 1}

    return counters


def _finished(job: AnyJob, now: datetime) -> StatusPatch:
    # A worker's clock may be slightly behind the operator's, which must not lead to a negative
    # duration.
    elapsed = max(now - (job.status.start_time or now), timedelta(0))
    return {
        "completionTime": timestamp(now),
        "duration": f"{elapsed.total_seconds():.3f}s",
        "attemptDeadline": None,
        "nextAttemptTime": None,
    }


def _error(
    reason: Reason, message: str, *, retryable: bool, retry_after: float | None = None
) -> dict[str, Any]:
    text = message[:MAX_MESSAGE_CHARACTERS]
    error = JobError(
        reason=reason, message=text, retryable=retryable, retry_after_seconds=retry_after
    )
    return error.to_json()


def _with_condition(
    job: AnyJob,
    kind: Literal["Assigned", "Complete", "Failed"],
    status: Literal["True", "False"],
    reason: str,
    message: str,
    now: datetime,
) -> list[dict[str, Any]]:
    changed = new_condition(job.metadata, kind, status, reason, message, now)
    # A merge patch replaces the whole list, so it must contain the other conditions, too.
    others = [other for other in job.status.conditions if other.type != kind]

    return [each.to_json() for each in (*others, changed)]


def new_condition(
    about: ObjectMeta,
    kind: str,
    status: Literal["True", "False"],
    reason: str,
    message: str,
    now: datetime,
) -> Condition:
    """Return a condition that an object has had since `now`."""
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MAX_MESSAGE_CHARACTERS],
        last_transition_time=now,
        observed_generation=about.generation,
    )
