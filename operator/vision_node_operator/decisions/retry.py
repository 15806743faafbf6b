"""Retry or fail ImageJobs after a failed attempt.

Up to a limit, attempts that were ended by infrastructure or a rate limit do not count toward
maxAttempts.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Cause, Reason
from vision_node_contract.models.transitions import AnyJob

from ..state.state import State
from ..state.termination import Termination
from ..state.worker_objects import Pod
from .actions import Fail, Requeue

RETRY_SECONDS = (1.0, 60.0)
"""Initial and longest wait before the next attempt. The wait doubles with each failure. It gives a
provider time to recover from a brief failure, and prevents a flood of requests during an outage."""

FREE_LOSSES: dict[Cause, int] = {Cause.WORKER: 3, Cause.STORAGE: 10, Cause.PROVIDER: 20}
"""Number of lost attempts that do not count toward maxAttempts, by cause. For lost workers, the
number is high enough for nodes to be drained one by one, but low enough for an image to fail if it
kills workers without a trace. Because of the waits between attempts, ImageJobs survive a storage
outage of five minutes, or a provider that refuses requests for 15 minutes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of one attempt. Another attempt may succeed."""

    reason: Reason
    message: str
    suspect: bool = False
    """Whether the image may have caused its worker to end."""


def retry_or_fail(state: State, job: ImageJob, failure: Failure, now: datetime) -> Requeue | Fail:
    """Return the action after a failed attempt: another attempt, or the end of the ImageJob."""
    reason, message = failure.reason, failure.message
    status, max_attempts = job.status, state.max_attempts(job)
    losses = status.losses_to(reason.cause) if reason.cause else 0
    lost = reason.cause is not None and losses < FREE_LOSSES[reason.cause]

    counted = status.attempts - status.losses
    if not lost and counted >= max_attempts:
        total = f"{counted} of {max_attempts} attempts failed; the last: {reason}: {message}"
        return Fail(job, Reason.ATTEMPTS_EXHAUSTED, total)

    # The first loss of a worker says nothing about the image or the next worker, so there is no
    # wait.
    failures = losses if reason.cause is Cause.WORKER else status.attempts
    retry_after = status.error.retry_after_seconds if status.error else None
    due = now + max(timedelta(seconds=retry_after or 0), wait_after(failures))
    return Requeue(job, reason, message, due, lost=lost, suspect=failure.suspect)


def after_loss(state: State, job: ImageJob, pod: Pod | None, now: datetime) -> Requeue | Fail:
    """Return the action for an ImageJob whose worker is gone."""
    worker = f"worker {job.status.worker}"
    end = pod.termination if pod else None
    if end is None:
        return retry_or_fail(state, job, Failure(Reason.WORKER_LOST, f"{worker} is gone"), now)
    if end.crashed and job.status.suspect:
        return fail_culprit(job, end)

    message = f"{worker} ended ({end.reason}, exit code {end.exit_code})"
    suspect = end.is_suspect(job.metadata.uid)
    if suspect:
        message += " while it was describing this image, which is retried alone"

    return retry_or_fail(state, job, Failure(Reason.WORKER_LOST, message, suspect), now)


def fail_culprit(job: AnyJob, end: Termination) -> Fail:
    """Fail an ImageJob with one image whose worker crashed while it was describing nothing else."""
    if end.out_of_memory:
        return Fail(
            job,
            Reason.OUT_OF_MEMORY,
            "this image needs more memory than a worker may use, even when described alone; "
            "scale it down, or raise the describer's memory limit",
        )

    return Fail(
        job,
        Reason.DESCRIBER_FAILED,
        f"the describer crashed on this image (exit code {end.exit_code}), even when it was "
        "described alone; save it again or in another format, or choose another describer",
    )


def known_reason(reason: str) -> Reason:
    """Return the reason that a worker reported; DESCRIBER_FAILED if this version doesn't know it.

    A newer worker may report a reason that was added after this version.
    """
    try:
        return Reason(reason)
    except ValueError:
        return Reason.DESCRIBER_FAILED


def wait_after(failures: int) -> timedelta:
    """Return how long to wait before the next attempt after this many failures."""
    first, longest = RETRY_SECONDS
    return timedelta(seconds=min(longest, first * 2 ** (failures - 1)) if failures else 0)
