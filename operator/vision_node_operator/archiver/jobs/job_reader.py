"""Read and delete single ImageJobs."""

import asyncio
from enum import Enum

from vision_node_contract.clients.kube import (
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    UnavailableError,
    backoff,
)
from vision_node_contract.json_types import Json
from vision_node_contract.names import PLURAL, path_of

from .live_jobs import LiveJob

DELETE_ATTEMPTS = 3
RETRY_SECONDS = (0.1, 2.0)
"""First and longest wait in seconds before a deletion is tried again. With requests of up to 10 s,
all attempts together take less than TAKE_OVER."""


class Deleted(Enum):
    """The outcome of a request to delete an ImageJob."""

    DONE = "done"
    GONE = "gone"
    """It did not exist."""
    CHANGED = "changed"
    """It has changed, or another one has its name, so it was not deleted."""


class JobReader:
    """The ImageJobs of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(PLURAL, namespace)
        self._kube = kube

    async def get(self, name: str, uid: str) -> Json | None:
        """Return an ImageJob as JSON; None if none with this uid exists.

        Raises:
            KubeError: The API server is unavailable or refused the request.
        """
        try:
            body = await self._kube.request("GET", f"{self.path}/{name}")
        except NotFoundError:
            return None

        return body if body["metadata"]["uid"] == uid else None

    async def delete(self, job: LiveJob) -> tuple[Deleted, bool]:
        """Delete an ImageJob unless it has changed; return the outcome.

        The second value says whether the answer to an earlier request was lost, which may have
        deleted the ImageJob.

        Raises:
            KubeError: The API server is unavailable or refused the request. If `is_refusal`, it has
                refused all attempts, so none has deleted the ImageJob.
        """
        preconditions = {"uid": job.uid, "resourceVersion": str(job.version)}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        lost: KubeError | None = None

        for attempt in range(DELETE_ATTEMPTS):
            try:
                await self._kube.request("DELETE", f"{self.path}/{job.name}", body=body)
            except NotFoundError:
                return Deleted.GONE, lost is not None
            except ConflictError:
                return Deleted.CHANGED, lost is not None
            except KubeError as error:
                lost = lost if error.is_refusal else error
                if not isinstance(error, UnavailableError) or attempt + 1 == DELETE_ATTEMPTS:
                    raise (lost or error) from None
                await asyncio.sleep(backoff(attempt, *RETRY_SECONDS))
            else:
                return Deleted.DONE, lost is not None

        raise AssertionError("unreachable")
