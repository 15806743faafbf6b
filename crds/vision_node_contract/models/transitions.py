"""Status changes, as merge patches (RFC 7386): the only ways an ImageJob moves.

Each takes the ImageJob it starts from, so that conditions keep their other entries, and the time of
the change (UTC). `ImageJobClient.patch_status` adds the resourceVersion that makes the change
conditional.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from ..bucket_keys import ResultObject
from .description import Result, summarize
from .imagejob import Condition, ImageJob, JobError, LossesByCause, StoredResult
from .reasons import Reason

StatusPatch = dict[str, Any]

MAX_MESSAGE_CHARACTERS = 2048
"""As the CRD allows; what a foreign library says may be longer."""


def assign(job: ImageJob, *, worker: str, deadline: datetime, now: datetime) -> StatusPatch:
    """Queued → processing: `worker` (pod name) holds the next attempt until `deadline`."""
    return {
        "phase": "processing",
        "worker": worker,
        "attempts": job.status.attempts + 1,
        "attemptDeadline": timestamp(deadline),
        "nextAttemptTime": None,
        "startTime": timestamp(job.status.start_time or now),
        "error": None,  # of the attempt before; the operator would take it for this one's
        "conditions": _with(
            job, "Assigned", "True", "WorkerAssigned", f"assigned to {worker}", now
        ),
    }


def complete(
    job: ImageJob, *, result: Result, stored: ResultObject | None, now: datetime
) -> StatusPatch:
    """Return the patch for processing → done; a result that is not `stored` in the bucket is inline."""
    told = StoredResult(
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
        "result": told.to_json(),
        "error": None,
        "conditions": _with(job, "Complete", "True", "Described", "the image is described", now),
    }


def fail(job: ImageJob, *, reason: Reason, message: str, now: datetime) -> StatusPatch:
    """Queued or processing → failed, for good."""
    return {
        "phase": "failed",
        **_finished(job, now),
        "error": _error(reason, message, retryable=False),
        "conditions": _with(job, "Failed", "True", reason, message, now),
    }


def report(reason: Reason, message: str, retry_after: float | None = None) -> StatusPatch:
    """A worker's word that its attempt failed in a way that may pass; the operator decides what follows.

    `retry_after` (seconds) is what a provider asks for.
    """
    return {"error": _error(reason, message, retryable=True, retry_after=retry_after)}


def requeue(
    job: ImageJob,
    *,
    reason: Reason,
    message: str,
    next_attempt: datetime,
    now: datetime,
    lost: bool = False,
    suspect: bool = False,
) -> StatusPatch:
    """Processing → queued: to be assigned again at `next_attempt` or later.

    `lost`: infrastructure ended the attempt, which costs nothing. `suspect`: to be tried alone from
    now on.
    """
    return {
        "phase": "queued",
        **(_lost(job, reason) if lost else {}),
        **({"suspect": True} if suspect else {}),
        "worker": None,
        "attemptDeadline": None,
        "nextAttemptTime": timestamp(next_attempt),
        "error": _error(reason, message, retryable=True),
        "conditions": _with(job, "Assigned", "False", reason, message, now),
    }


def timestamp(moment: datetime) -> str:
    """Return RFC 3339 with microseconds (metav1.MicroTime)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _lost(job: ImageJob, reason: Reason) -> StatusPatch:
    """Count a lost attempt in the total, which older releases use, and by its cause."""
    counted: StatusPatch = {"losses": job.status.losses + 1}
    if cause := reason.cause:
        before = job.status.losses_by_cause or LossesByCause()
        counted["lossesByCause"] = {cause.value: before.count(cause) + 1}
    return counted


def _finished(job: ImageJob, now: datetime) -> StatusPatch:
    # Workers' clocks may run a little behind the operator's: never a negative duration.
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


def _with(
    job: ImageJob,
    kind: Literal["Assigned", "Complete", "Failed"],
    status: Literal["True", "False"],
    reason: str,
    message: str,
    now: datetime,
) -> list[dict[str, Any]]:
    changed = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MAX_MESSAGE_CHARACTERS],
        last_transition_time=now,
        observed_generation=job.metadata.generation,
    )
    # A merge patch replaces a list whole, so the others must come along.
    kept = [c for c in job.status.conditions if c.type != kind]

    return [c.to_json() for c in (*kept, changed)]
