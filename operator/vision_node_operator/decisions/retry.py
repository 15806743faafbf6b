"""What a failed attempt costs: nothing if infrastructure is to blame, within a limit."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Cause, Reason

from ..state.state import State
from ..state.termination import Termination
from ..state.worker_objects import Pod
from .actions import Fail, Requeue

RETRY_SECONDS = (1.0, 60.0)
"""First and longest wait before the next attempt (doubling). A provider's brief failure passes in
that time, and an outage does not cause a flood of requests."""

FREE_LOSSES: dict[Cause, int] = {Cause.WORKER: 3, Cause.STORAGE: 10, Cause.PROVIDER: 20}
"""Lost attempts per cause that do not count toward maxAttempts. Lost workers: enough to drain nodes
one by one, while an image that kills workers without a trace still fails. Storage: an outage of
five minutes, with the waits in between. A provider's rate limit: a quarter of an hour."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of one attempt, in a way that another attempt may avoid."""

    reason: Reason
    message: str
    suspect: bool = False
    """Whether the image may have ended its worker."""


def retry_or_fail(state: State, job: ImageJob, failure: Failure, now: datetime) -> Requeue | Fail:
    """Return what follows from a failed attempt: another one, or the end of the ImageJob."""
    reason, message = failure.reason, failure.message
    status, max_attempts = job.status, state.max_attempts(job)
    losses = status.losses_to(reason.cause) if reason.cause else 0
    lost = reason.cause is not None and losses < FREE_LOSSES[reason.cause]

    counted = status.attempts - status.losses
    if not lost and counted >= max_attempts:
        total = f"{counted} of {max_attempts} attempts failed; the last: {reason}: {message}"
        return Fail(job, Reason.ATTEMPTS_EXHAUSTED, total)

    # The first lost worker says nothing about the image, nor about the next worker.
    failures = losses if reason.cause is Cause.WORKER else status.attempts
    retry_after = status.error.retry_after_seconds if status.error else None
    due = now + max(timedelta(seconds=retry_after or 0), _wait(failures))
    return Requeue(job, reason, message, due, lost=lost, suspect=failure.suspect)


def after_loss(state: State, job: ImageJob, pod: Pod | None, now: datetime) -> Requeue | Fail:
    """Return what follows for an ImageJob whose worker is gone."""
    worker = f"worker {job.status.worker}"
    end = pod.termination if pod else None
    if end is None:
        return retry_or_fail(state, job, Failure(Reason.WORKER_LOST, f"{worker} is gone"), now)
    if end.crashed and job.status.suspect:
        return _fail_culprit(job, end)

    message = f"{worker} ended ({end.reason}, exit code {end.exit_code})"
    suspect = end.is_suspect(job.metadata.uid)
    if suspect:
        message += " while it described this image, which is retried alone"

    return retry_or_fail(state, job, Failure(Reason.WORKER_LOST, message, suspect), now)


def _fail_culprit(job: ImageJob, end: Termination) -> Fail:
    """Fail an ImageJob that ended a worker that had no other."""
    if end.out_of_memory:
        return Fail(
            job,
            Reason.OUT_OF_MEMORY,
            "this image needs more memory than a worker may use, even alone; "
            "scale it down, or raise the describer's memory limit",
        )

    return Fail(
        job,
        Reason.DESCRIBER_FAILED,
        f"the describer crashed on this image (exit code {end.exit_code}), even alone; "
        "save it again or in another format, or choose another describer",
    )


def _wait(failures: int) -> timedelta:
    """Return the time before the next attempt."""
    first, longest = RETRY_SECONDS
    return timedelta(seconds=min(longest, first * 2 ** (failures - 1)) if failures else 0)
