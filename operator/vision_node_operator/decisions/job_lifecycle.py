"""Decide what happens to ImageJobs that were cancelled or lost, or that failed or timed out.

This module also fails queued ImageJobs that no worker will describe.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import ReadyReason, Reason

from ..settings import Settings
from ..state.pools.pool import Pool
from ..state.state import State
from .actions import Cordon, Fail, Requeue
from .retry import Failure, after_loss, known_reason, retry_or_fail

DESCRIBER_GRACE = timedelta(minutes=1)
"""How long an ImageJob waits for a Describer that does not exist. A user may create the Describer
right after its first ImageJob."""

OWN_TRIES = timedelta(minutes=10)
"""How long a restarted operator tries to launch workers before it trusts the condition that its
predecessor wrote."""


def end_or_retry_processing(state: State, now: datetime) -> Iterator[Requeue | Fail]:
    """End or retry each attempt that was cancelled or lost, or that failed or timed out."""
    for job in state.free_jobs(state.job_queue.ended_attempts(), now):
        yield _cancel(job) if job.spec.cancel else _after_error(state, job, now)

    for worker in state.job_queue.workers():
        pod = state.workers.pod(worker)
        if pod is None or not pod.alive:
            for job in _running(state, state.job_queue.assigned_to(worker), now):
                yield after_loss(state, job, pod, now)

    for job in _overdue(state, now):
        yield _time_out(state, job, now)


def cordon_overdue(state: State, now: datetime) -> Iterator[Cordon]:
    """Cordon workers that miss a deadline after they have had the Describer's usual timeout.

    If an ImageJob's own, shorter timeout were enough, users could take workers out of service.
    """
    seen: set[str] = set()
    for job in _overdue(state, now):
        worker, deadline = job.status.worker or "", job.status.attempt_deadline or now
        usual_timeout = timedelta(seconds=state.spec_for(job).timeout_seconds)
        record = state.workers.records[worker]

        is_new = worker not in seen and not record.cordoned
        if is_new and now - (deadline - state.timeout(job)) >= usual_timeout:
            seen.add(worker)
            yield Cordon(worker)


def _after_error(state: State, job: ImageJob, now: datetime) -> Requeue | Fail:
    error = job.status.error
    reason, message = (error.reason, error.message) if error else ("", "")
    return retry_or_fail(state, job, Failure(known_reason(reason), message), now)


def _overdue(state: State, now: datetime) -> Iterator[ImageJob]:
    """Yield ImageJobs whose worker is alive but has missed the deadline."""
    if state.is_in_grace_period(now):
        return

    for job in _running(state, state.job_queue.overdue(now), now):
        pod = state.workers.pod(job.status.worker or "")
        if pod and pod.alive:
            yield job


def _running(state: State, jobs: Iterable[ImageJob], now: datetime) -> Iterator[ImageJob]:
    """Yield the ImageJobs that may be written now and whose attempt has not ended yet."""
    free = state.free_jobs(jobs, now)
    return (job for job in free if not (job.spec.cancel or job.status.error))


def _time_out(state: State, job: ImageJob, now: datetime) -> Requeue | Fail:
    """End an attempt that has missed its deadline because its worker is lost, hung or too slow."""
    worker, timeout = job.status.worker or "", state.timeout(job)

    if state.is_silent(worker, now):
        message = f"worker {worker} is hung or cut off: it has stopped renewing its Lease"
        failure = Failure(Reason.WORKER_LOST, message)
    else:
        message = f"worker {worker} did not finish within {timeout.total_seconds():g} s"
        failure = Failure(Reason.ATTEMPT_TIMED_OUT, message)

    return retry_or_fail(state, job, failure, now)


def cordon_failing(state: State) -> Iterator[Cordon]:
    """Cordon workers that have consecutive storage errors while storage works for other workers."""
    for worker in state.workers.failing():
        if not state.workers.records[worker].cordoned:
            yield Cordon(worker)


def fail_cancelled(state: State, describer: str, now: datetime) -> Iterator[Fail]:
    """Fail a describer's queued ImageJobs that were cancelled."""
    for job in state.free_jobs(state.job_queue.cancelled(describer), now):
        yield _cancel(job)


def fail_unknown_describer(state: State, describer: str, now: datetime) -> Iterator[Fail]:
    """Fail ImageJobs whose Describer has not existed for longer than DESCRIBER_GRACE."""
    record = state.describers.find(describer)
    deleted_at = record.deleted_at if record else None
    if deleted_at and now - deleted_at <= DESCRIBER_GRACE:
        return

    known = ", ".join(sorted(pool.describer for pool in state.describers.pools())) or "none"
    message = f"no describer is named {describer}; existing describers: {known}"
    for job in state.queued_before(describer, now - DESCRIBER_GRACE, now):
        yield Fail(job, Reason.DESCRIBER_NOT_FOUND, message)


def fail_unserved(state: State, pool: Pool, settings: Settings, now: datetime) -> Iterator[Fail]:
    """Fail a Describer's queued ImageJobs that have waited too long for a worker.

    Call this only while the Describer has no serving worker. Otherwise, an ImageJob could be
    assigned and failed at the same time.

    The Describer's condition shows how long there has been no worker, so a restart of the operator
    does not reset this time. However, a restarted operator tries to launch workers for a while
    before it trusts the condition.
    """
    ready, wait = pool.status.readiness, settings.no_worker
    if ready is None or ready.status != "False" or now - state.since < min(wait, OWN_TRIES):
        return

    is_served = ReadyReason.by_provider(ready.reason)
    if is_served or now - ready.last_transition_time < wait:
        return

    message = (
        f"describer {pool.describer} has had no worker for {wait.total_seconds():g} s "
        f"({ready.reason}: {ready.message}); fix that and submit the image again"
    )
    for job in state.queued_before(pool.describer, now - wait, now):
        yield Fail(job, Reason.NO_WORKER, message)


def _cancel(job: ImageJob) -> Fail:
    message = "cancelled in its spec; to have the image described, submit it again"
    return Fail(job, Reason.CANCELLED, message)
