"""Commit the outcome of an attempt to its ImageJob."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import (
    ConflictError,
    KubeError,
    NotFoundError,
    UnavailableError,
    backoff,
)
from vision_node_contract.models import transitions
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard
from vision_node_contract.models.transitions import AnyJob, StatusPatch

JobT = TypeVar("JobT", ImageJob, Shard)

COMMIT_RETRY_SECONDS = (0.1, 5.0)
"""Initial and longest delay in seconds before retrying a commit that the API server did not
answer."""

Outcome = Callable[[ImageJob], StatusPatch]
"""A function that returns the status patch for the ImageJob's state at the time of the commit."""


def failure(
    reason: Reason, message: str, retry_after: float | None = None
) -> Callable[[AnyJob], StatusPatch]:
    """Return the outcome of a failed attempt.

    If the reason is final, the outcome fails the ImageJob. If the reason is transient, the outcome
    reports it to the operator.
    """
    if reason.retryable:
        return lambda _: transitions.report(reason, message, retry_after)
    return lambda job: transitions.fail(job, reason=reason, message=message, now=datetime.now(UTC))


class OutcomeWriter(Generic[JobT]):
    """Commits outcomes to ImageJobs that are assigned to this worker."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[JobT]],
        imagejobs: ImageJobClient,
        pod_name: str,
    ) -> None:
        """Prepare to commit.

        Args:
            read: Returns the current ImageJob with a name.
            imagejobs: Writes the outcomes.
            pod_name: Name of this worker.
        """
        self._read: Callable[[str], Awaitable[JobT]] = read
        self._imagejobs = imagejobs
        self._pod_name = pod_name

    async def commit(self, job: JobT, outcome: Callable[[JobT], StatusPatch]) -> None:
        """Write the outcome, unless the ImageJob is no longer assigned to this worker.

        Raises:
            KubeError: The API server refused the outcome, and then the report of the refusal, too.
        """
        failures, refused = 0, False
        current: JobT | None = job
        while current is not None:
            try:
                await self._imagejobs.patch_status(current, outcome(current))
            except UnavailableError:
                await asyncio.sleep(backoff(failures, *COMMIT_RETRY_SECONDS))
                failures += 1
            except (ConflictError, NotFoundError):
                pass
            except KubeError as error:
                if refused:
                    raise
                refused = True
                outcome = failure(
                    Reason.DESCRIBER_FAILED, f"the API server refused the result: {error.message}"
                )
            else:
                return

            current = await self._read_if_still_assigned(job)

    async def _read_if_still_assigned(self, job: JobT) -> JobT | None:
        """Return the current ImageJob; None if this attempt is over or the job was reassigned.

        The attempt is also over if this worker's commit succeeded but the response was lost. If the
        API server is unavailable, `job` is returned.
        """
        try:
            current = await self._read(job.metadata.name)
        except NotFoundError:
            return None
        except UnavailableError:
            return job

        same_job = current.metadata.uid == job.metadata.uid
        same_attempt = current.status.attempts == job.status.attempts
        ours = current.status.worker == self._pod_name and current.status.phase == "processing"
        return current if same_job and same_attempt and ours else None
