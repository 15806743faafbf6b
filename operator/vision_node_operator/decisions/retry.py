"""What a failed attempt costs: nothing where infrastructure is to blame, within a bound."""

from datetime import datetime, timedelta

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Cause, Reason

from ..state.state import State
from ..state.termination import Ending
from ..state.worker_registry import Pod
from .actions import Fail, Requeue

RETRY_SECONDS = (1.0, 60.0)
"""First and longest wait before the next attempt, doubling: a provider's hiccup passes, an outage
is not hammered."""

FREE: dict[Cause, int] = {Cause.WORKER: 3, Cause.STORAGE: 10, Cause.PROVIDER: 20}
"""Lost attempts per cause that don't count toward maxAttempts. Lost workers: enough for draining
nodes one by one, while an image that kills workers without a trace still ends. Storage: with the
waits between them, an outage of five minutes. A provider's rate limit: a quarter of an hour."""


def again_or_fail(
    state: State,
    job: ImageJob,
    reason: Reason,
    message: str,
    now: datetime,
    *,
    suspect: bool = False,
) -> Requeue | Fail:
    """Return what follows from an attempt that failed in a way that may pass."""
    status, most = job.status, state.max_attempts(job)
    cause = reason.cause
    losses = status.losses_to(cause) if cause else 0
    lost = cause is not None and losses < FREE[cause]
    paid = status.attempts - status.losses
    if not lost and paid >= most:
        total = f"{paid} of {most} attempts failed; the last: {reason}: {message}"
        return Fail(job, Reason.ATTEMPTS_EXHAUSTED, total)

    # The first loss says nothing about the image, nor that the next worker is in trouble, too.
    failures = losses if cause is Cause.WORKER else status.attempts
    asked_for = timedelta(seconds=(status.error.retry_after_seconds if status.error else None) or 0)
    due = now + max(asked_for, _wait(failures))
    return Requeue(job, reason, message, due, lost=lost, suspect=suspect)


def after_loss(state: State, job: ImageJob, pod: Pod | None, now: datetime) -> Requeue | Fail:
    """Return what becomes of an ImageJob whose worker is gone."""
    end = pod.ending if pod else None
    worker = f"worker {job.status.worker}"
    if end is None:
        return again_or_fail(state, job, Reason.WORKER_LOST, f"{worker} is gone", now)
    if end.broke and job.status.suspect:
        return Fail(job, *_verdict(end))

    how = f"{worker} ended ({end.reason}, exit code {end.exit_code})"
    suspect = end.suspects(job.metadata.uid)
    message = f"{how} while it described this image, which is tried again alone" if suspect else how
    return again_or_fail(state, job, Reason.WORKER_LOST, message, now, suspect=suspect)


def _verdict(end: Ending) -> tuple[Reason, str]:
    """Return why an image that ended a worker of its own has failed."""
    if end.out_of_memory:
        what = "describing this image took more memory than a worker may have, also when it had one to itself"
        advice = "scale it down, or raise the describer's memory limit"
        return Reason.OUT_OF_MEMORY, f"{what}; {advice}"

    what = f"the describer crashed on this image (exit code {end.exit_code}), also when it had no other"
    return (
        Reason.DESCRIBER_FAILED,
        f"{what}; save it anew or in another format, or choose another describer",
    )


def _wait(failures: int) -> timedelta:
    """Return the time before the next attempt."""
    first, longest = RETRY_SECONDS
    return timedelta(seconds=min(longest, first * 2 ** (failures - 1)) if failures else 0)
