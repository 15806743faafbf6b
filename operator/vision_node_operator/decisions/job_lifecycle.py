"""What becomes of single ImageJobs: cancelled, lost, late, failed, or nobody's."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import ReadyReason, Reason

from ..settings import Settings
from ..state.pools import Pool
from ..state.state import State
from .actions import Action, Cordon, Fail, Requeue
from .retry import after_loss, again_or_fail

DESCRIBER_GRACE = timedelta(minutes=1)
"""A describer that is created right after its first ImageJob is still found."""

OWN_TRY = timedelta(minutes=10)
"""For so long an operator tries for itself before it believes the one before it that no worker
starts."""


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
        yield again_or_fail(state, job, _reason(status.error.reason), status.error.message, now)
    elif pod is None or not pod.alive:
        yield after_loss(state, job, pod, now)
    elif status.attempt_deadline and status.attempt_deadline <= now and not state.is_dazed(now):
        yield from _end_late(job, worker, status.attempt_deadline, state, now)


def _end_late(
    job: ImageJob, worker: str, deadline: datetime, state: State, now: datetime
) -> Iterator[Cordon | Requeue | Fail]:
    """End an attempt that is late: its worker is lost, or hung, or slower than this ImageJob allows."""
    timeout, usual = state.timeout(job), timedelta(seconds=state.spec_for(job).timeout_seconds)
    if now - (deadline - timeout) >= usual:
        # Not before: whoever submits an image must not be able to end workers by an impatient
        # timeout.
        yield Cordon(worker)

    if state.is_silent(worker, now):
        lost = f"worker {worker} was cut off or hung: it has not renewed its Lease for a while"
        yield again_or_fail(state, job, Reason.WORKER_LOST, lost, now)
    else:
        late = f"worker {worker} did not finish within {timeout.total_seconds():g} s"
        yield again_or_fail(state, job, Reason.ATTEMPT_TIMED_OUT, late, now)


def cordon_failing(state: State) -> Iterator[Cordon]:
    """Cordon workers to which infrastructure fails again and again while it serves others."""
    for worker in state.fleet.failing():
        if worker not in state.fleet.cordoned:
            yield Cordon(worker)


def settle_queued(state: State, settings: Settings, now: datetime) -> Iterator[Action]:
    """End queued ImageJobs that nobody wants any more, or that nobody will describe."""
    for job in state.free(state.backlog.cancelled(), now):
        yield _cancel(job)

    for describer in state.backlog.describers():
        pool = state.pools.get(describer)
        if pool is None:
            yield from _fail_unknown(state, describer, now)
        else:
            yield from _fail_unserved(state, pool, settings, now)


def _fail_unknown(state: State, describer: str, now: datetime) -> Iterator[Fail]:
    """End ImageJobs whose Describer is not there, or was deleted a while ago."""
    known = ", ".join(sorted(state.pools)) or "none"
    message = f"no describer is named {describer}; there are: {known}"
    since = state.dropped.get(describer)
    for job in state.queued(describer, now):
        waits = [t for t in (job.metadata.creation_timestamp, since) if t]
        if waits and now - max(waits) > DESCRIBER_GRACE:
            yield Fail(job, Reason.DESCRIBER_NOT_FOUND, message)


def _fail_unserved(state: State, pool: Pool, settings: Settings, now: datetime) -> Iterator[Fail]:
    """End ImageJobs that have waited for long while no worker came to serve, whatever was tried.

    Since when is in the Describer's condition, so that a restart of the operator begins no new
    count; but a fresh operator tries for itself first.
    """
    ready = pool.status.readiness
    wait = settings.no_worker
    if ready is None or ready.status != "False" or now - state.since < min(wait, OWN_TRY):
        return

    served = ReadyReason.by_provider(ready.reason)
    if served or now - ready.last_transition_time < wait:
        return

    message = (
        f"describer {pool.describer} has had no worker for {wait.total_seconds():g} s "
        f"({ready.reason}: {ready.message}); mend that and submit the image again"
    )

    for job in state.queued(pool.describer, now):
        if job.metadata.creation_timestamp and now - job.metadata.creation_timestamp >= wait:
            yield Fail(job, Reason.NO_WORKER, message)


def _cancel(job: ImageJob) -> Fail:
    return Fail(
        job, Reason.CANCELLED, "cancelled by its spec; submit the image again to have it described"
    )


def _reason(word: str) -> Reason:
    """Return the worker's reason; one that a newer worker knows and we don't is just a failure."""
    try:
        return Reason(word)
    except ValueError:
        return Reason.DESCRIBER_FAILED
