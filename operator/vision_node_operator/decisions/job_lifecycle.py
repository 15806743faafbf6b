"""Decide what happens to ImageJobs that were cancelled or lost, or that failed or timed out.

This module also fails queued ImageJobs that no worker will describe.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import ReadyReason, Reason

from ..settings import Settings
from ..state.pools.pool import Pool
from ..state.state import State
from .actions import Action, Cordon, Fail, Requeue
from .retry import Failure, after_loss, retry_or_fail

DESCRIBER_GRACE = timedelta(minutes=1)
"""How long an ImageJob waits for a Describer that does not exist. A user may create the Describer
right after its first ImageJob."""

OWN_TRIES = timedelta(minutes=10)
"""How long a restarted operator tries to launch workers before it trusts the condition that its
predecessor wrote."""


def end_or_retry_processing(state: State, now: datetime) -> Iterator[Action]:
    """Decide what happens to each ImageJob that is assigned to a worker."""
    for job in state.free_jobs(state.job_queue.processing(), now):
        yield from _end_or_retry(state, job, now)


def _end_or_retry(state: State, job: ImageJob, now: datetime) -> Iterator[Action]:
    """End or retry an assigned ImageJob if it was cancelled or lost, or if it failed or timed out.

    Yield nothing if its worker may still finish it.
    """
    status = job.status
    pod = state.workers.pod(status.worker or "")

    if job.spec.cancel:
        yield _cancel(job)
    elif status.error:
        failure = Failure(_known_reason(status.error.reason), status.error.message)
        yield retry_or_fail(state, job, failure, now)
    elif pod is None or not pod.alive:
        yield after_loss(state, job, pod, now)
    elif not state.is_in_grace_period(now):
        yield from _time_out(state, job, now)


def _time_out(state: State, job: ImageJob, now: datetime) -> Iterator[Cordon | Requeue | Fail]:
    """End an attempt that has missed its deadline because its worker is lost, hung or too slow."""
    deadline, worker = job.status.attempt_deadline, job.status.worker or ""
    if deadline is None or deadline > now:
        return

    timeout = state.timeout(job)
    usual_timeout = timedelta(seconds=state.spec_for(job).timeout_seconds)
    if now - (deadline - timeout) >= usual_timeout:
        # The worker has had the Describer's usual timeout. If an ImageJob's own, shorter
        # timeout were enough to cordon the worker, users could take workers out of service.
        yield Cordon(worker)

    if state.is_silent(worker, now):
        message = f"worker {worker} is hung or cut off: it has stopped renewing its Lease"
        failure = Failure(Reason.WORKER_LOST, message)
    else:
        message = f"worker {worker} did not finish within {timeout.total_seconds():g} s"
        failure = Failure(Reason.ATTEMPT_TIMED_OUT, message)

    yield retry_or_fail(state, job, failure, now)


def cordon_failing(state: State) -> Iterator[Cordon]:
    """Cordon workers that have consecutive storage errors while storage works for other workers."""
    for worker in state.workers.failing():
        if not state.workers.records[worker].cordoned:
            yield Cordon(worker)


def fail_queued(state: State, settings: Settings, now: datetime) -> Iterator[Action]:
    """Fail queued ImageJobs that were cancelled or that no worker will describe."""
    for job in state.free_jobs(state.job_queue.cancelled(), now):
        yield _cancel(job)

    for describer in state.job_queue.describers():
        pool = state.describers.pool(describer)
        if pool is None:
            yield from _fail_unknown_describer(state, describer, now)
        else:
            yield from _fail_unserved(state, pool, settings, now)


def _fail_unknown_describer(state: State, describer: str, now: datetime) -> Iterator[Fail]:
    """Fail ImageJobs whose Describer has not existed for longer than DESCRIBER_GRACE."""
    known = ", ".join(sorted(pool.describer for pool in state.describers.pools())) or "none"
    message = f"no describer is named {describer}; existing describers: {known}"
    record = state.describers.find(describer)
    deleted_at = record.deleted_at if record else None

    for job in state.queued(describer, now):
        waiting_since = [at for at in (job.metadata.creation_timestamp, deleted_at) if at]
        if waiting_since and now - max(waiting_since) > DESCRIBER_GRACE:
            yield Fail(job, Reason.DESCRIBER_NOT_FOUND, message)


def _fail_unserved(state: State, pool: Pool, settings: Settings, now: datetime) -> Iterator[Fail]:
    """Fail ImageJobs that have waited too long for a worker.

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
    for job in state.queued(pool.describer, now):
        created = job.metadata.creation_timestamp
        if created and now - created >= wait:
            yield Fail(job, Reason.NO_WORKER, message)


def _cancel(job: ImageJob) -> Fail:
    message = "cancelled in its spec; to have the image described, submit it again"
    return Fail(job, Reason.CANCELLED, message)


def _known_reason(reason: str) -> Reason:
    """Return the reason that a worker reported; DESCRIBER_FAILED if this version doesn't know it.

    A newer worker may report a reason that was added after this version.
    """
    try:
        return Reason(reason)
    except ValueError:
        return Reason.DESCRIBER_FAILED
