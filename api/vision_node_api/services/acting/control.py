"""Cancel and delete jobs."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vision_node_contract.clients.kube import ConflictError, KubeError, NotFoundError
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason

from ...web.problems import Problem
from ..batches.batch_images import BatchImages
from ..dependency_problems import kubernetes_unavailable
from ..history.history_problems import history_problems
from ..job_name import is_job_name
from ..jobs import Jobs, job_not_found, readable
from ..owners import visible_owner

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Number of attempts if the ImageJob changes meanwhile. The operator and a worker together change
it three times at most while an attempt begins and ends."""


@dataclass(frozen=True, slots=True)
class JobControl:
    """Cancels and deletes jobs. Each request may be repeated.

    ImageJobs are read from the API server, not from the cache, so that a request sees what was done
    at another replica.
    """

    jobs: Jobs
    images: BatchImages

    async def cancel(self, job_id: str) -> ImageJob:
        """Cancel an unfinished job, and return it. A job that is cancelled already is returned.

        The operator ends it soon with the reason Cancelled.

        Raises:
            Problem: 403 ActionRefused; 404 JobNotFound; 409 JobFinished, ImageOfBatch; 502
                JobUnreadable; 503 KubernetesUnavailable, HistoryUnavailable or another reason of
                the history.
        """
        for _ in range(ATTEMPTS):
            job = await self.find(job_id)
            if job.finished:
                _require_cancelled(job)
            if job.finished or job.spec.cancel:
                return job

            try:
                with _writing("cancel"):
                    changed = await self.jobs.imagejobs.cancel(job.metadata)
            except (ConflictError, NotFoundError):
                continue

            self.jobs.cache.add_changed(changed)
            return changed

        raise kubernetes_unavailable()

    async def delete(self, job_id: str) -> None:
        """Delete a job with its image and its result, whether it is in etcd or in the history.

        All of the client's jobs that ever had this id are deleted, because an older one would take
        the place of the newest one. The history is asked first: while it is away, nothing is
        deleted, and jobs that are created meanwhile with the same id are kept.

        Raises:
            Problem: 403 ActionRefused; 404 JobNotFound; 409 ImageOfBatch; 502 JobUnreadable; 503
                KubernetesUnavailable, HistoryUnavailable or another reason of the history. After a
                503, the job may be deleted or not, and the request can be repeated.
        """
        _require_name(job_id)

        for _ in range(ATTEMPTS):
            archived = await self._archived(job_id)
            live = await self.jobs.read(job_id)
            if live is None:
                # It may have been archived and evicted since.
                archived = archived or await self._archived(job_id)
                if not archived:
                    raise await self._not_found(job_id)
                await self._hide(archived)
                return

            try:
                with _writing("delete"):
                    await self.jobs.imagejobs.delete(live.metadata)
            except ConflictError:
                continue
            except NotFoundError:  # it has just been evicted, or deleted
                archived.add(live.metadata.uid)

            if live.finished:
                archived.add(live.metadata.uid)
            # One that was unfinished was not archived: it had not changed when it was deleted.
            self.jobs.cache.forget_deleted(live)
            await self._hide(archived)
            return

        raise kubernetes_unavailable()

    async def find(self, job_id: str) -> ImageJob:
        """Return the current state of a job, from the API server or the history.

        Raises:
            Problem: 404 JobNotFound; 409 ImageOfBatch; 502 JobUnreadable; 503
                KubernetesUnavailable, HistoryUnavailable or another reason of the history.
        """
        _require_name(job_id)
        if live := await self.jobs.read(job_id):
            return live

        try:
            return readable(await self.jobs.archived(job_id))
        except Problem as problem:
            if problem.reason != "JobNotFound":
                raise
            raise await self._not_found(job_id) from problem

    async def _archived(self, job_id: str) -> set[str]:
        """Return the uids of the jobs with this id in the history."""
        if self.jobs.history is None:
            return set()

        with history_problems():
            return await self.jobs.history.uids_named(job_id, visible_owner())

    async def _hide(self, uids: Iterable[str]) -> None:
        """Hide rows, whose data the archiver then deletes.

        The archiver would do the same as soon as it sees that the ImageJob was deleted. Until then,
        the job would be found in the history.
        """
        if self.jobs.history is None:
            return

        for uid in uids:
            with history_problems():
                await self.jobs.history.add_tombstone(uid)

    async def _not_found(self, job_id: str) -> Problem:
        """Return the problem for an id that no job has, but perhaps an image of a batch."""
        image = await self.images.find(job_id)
        if image is None:
            return job_not_found()

        name = image.batch.metadata.name
        detail = (
            f"{job_id} is an image of batch {name}, which is cancelled and deleted as a whole, and "
            f"has one callback: POST /batches/{name}/cancel, DELETE /batches/{name}, or POST "
            f"/batches/{name}/callback/redeliver."
        )
        return Problem(409, "ImageOfBatch", detail, batch=name)


@contextmanager
def _writing(verb: str) -> Iterator[None]:
    """Convert errors from a request that changes an ImageJob into problems.

    Raises:
        Problem: 403 ActionRefused; 502 JobUnreadable; 503 KubernetesUnavailable.
        ConflictError, NotFoundError: The ImageJob has changed, or is gone.
    """
    try:
        yield
    except (ConflictError, NotFoundError):
        raise
    except KubeError as error:
        log.warning("Kubernetes did not %s an ImageJob: %s", verb, error)
        if not error.is_refusal:
            raise kubernetes_unavailable() from error

        detail = (
            f"Kubernetes refused to {verb} the job: {error.message.rstrip('.')}. An administrator "
            "can change the rule that forbids it."
        )
        raise Problem(403, "ActionRefused", detail) from error
    except ValueError as error:
        log.warning("the ImageJob that was to %s can't be read: %s", verb, error)
        detail = "This version of the API can't read the ImageJob. Upgrade the API."
        raise Problem(502, "JobUnreadable", detail) from error


def _require_name(job_id: str) -> None:
    """Refuse an id that no ImageJob can have."""
    if not is_job_name(job_id):
        raise job_not_found()


def _require_cancelled(job: ImageJob) -> None:
    """Refuse a finished job, unless it has ended because it was cancelled."""
    name, status = job.metadata.name, job.status
    if status.phase == "failed" and status.error and status.error.reason == Reason.CANCELLED:
        return

    detail = f"Job {name} is {status.phase}, so it can't be cancelled. It can be deleted."
    raise Problem(409, "JobFinished", detail, job_id=name, job_status=status.phase)
