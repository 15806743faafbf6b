"""What becomes of single ImageJobs: cancelled, lost, late, failed, or nobody's."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from vision_node_contract.imagejob import ImageJob
from vision_node_contract.reasons import Reason

from .actions import Action, Cordon, Fail, Requeue
from .settings import Settings
from .state import State

DESCRIBER_GRACE = timedelta(minutes=1)
"""A describer that is created right after its first ImageJob is still found."""

RETRY_SECONDS = (1.0, 60.0)
"""First and longest wait before the next attempt, doubling: a provider's hiccup passes, an outage is
not hammered."""


def settle_processing(state: State, now: datetime) -> Iterator[Action]:
    """Decide about every ImageJob that a worker holds."""
    for job in state.free(state.backlog.processing(), now):
        yield from _settle(job, state, now)


def _settle(job: ImageJob, state: State, now: datetime) -> Iterator[Action]:
    """Decide about one ImageJob in processing: cancelled, failed, lost, late, or all is well."""
    status, worker = job.status, job.status.worker or ""
    pod = state.fleet.pods.get(worker)
    if job.spec.cancel:
        yield _cancel(job)
    elif status.error:
        yield _again_or_fail(job, _reason(status.error.reason), status.error.message, now)
    elif pod is None or not pod.alive:
        yield _again_or_fail(job, Reason.WORKER_LOST, f"worker {worker} is gone", now)
    elif status.attempt_deadline and status.attempt_deadline <= now:
        late = f"worker {worker} did not finish within {job.spec.timeout_seconds} s"
        yield Cordon(worker)
        yield _again_or_fail(job, Reason.ATTEMPT_TIMED_OUT, late, now)


def _again_or_fail(job: ImageJob, reason: Reason, message: str, now: datetime) -> Action:
    attempts = job.status.attempts
    if attempts >= job.spec.max_attempts:
        total = f"{attempts} of {job.spec.max_attempts} attempts failed; the last: {reason}: {message}"
        return Fail(job, Reason.ATTEMPTS_EXHAUSTED, total)
    first, longest = RETRY_SECONDS
    wait = timedelta(seconds=min(longest, first * 2 ** (attempts - 1)))
    return Requeue(job, reason, message, next_attempt=now + wait)


def settle_queued(state: State, settings: Settings, now: datetime) -> Iterator[Action]:
    """End queued ImageJobs that nobody wants any more, or that no describer is for."""
    for job in state.free(state.backlog.cancelled(), now):
        yield _cancel(job)
    known = ", ".join(sorted(settings.pools)) or "none"
    for describer in state.backlog.describers():
        if describer in settings.pools:
            continue
        message = f"no describer is named {describer}; there are: {known}"
        for job in state.queued(describer, now):
            created = job.metadata.creation_timestamp
            if created and now - created > DESCRIBER_GRACE:
                yield Fail(job, Reason.DESCRIBER_NOT_FOUND, message)


def _cancel(job: ImageJob) -> Fail:
    return Fail(job, Reason.CANCELLED, "cancelled by its spec; submit the image again to have it described")


def _reason(word: str) -> Reason:
    """Return the worker's reason; one that a newer worker knows and we don't is just a failure."""
    try:
        return Reason(word)
    except ValueError:
        return Reason.DESCRIBER_FAILED
