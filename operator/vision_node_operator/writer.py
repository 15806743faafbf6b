"""The only module that writes to Kubernetes: performs one action, answers with what it made of the object."""

from datetime import datetime, timedelta
from typing import Any

from vision_node_contract import transitions
from vision_node_contract.imagejob import ImageJob
from vision_node_contract.imagejobs import ImageJobs
from vision_node_contract.kube import AlreadyExistsError, Kube, NotFoundError

from . import worker_job
from .actions import Assign, Expire, Fail, Launch, Requeue, Retire, Write
from .settings import Settings
from .state import Kind

Json = dict[str, Any]


class Writer:
    """Performs actions; raises KubeError and its subclasses."""

    def __init__(self, kube: Kube, settings: Settings, owner: Json) -> None:
        self._kube = kube
        self._imagejobs = ImageJobs(kube, settings.namespace)
        self._jobs_path = f"/apis/batch/v1/namespaces/{settings.namespace}/jobs"
        self._owner = owner

    async def perform(self, action: Write, now: datetime) -> tuple[Kind, Json | None]:
        """Perform `action`; return the written object's kind and what it is now (None: deleted)."""
        match action:
            case Assign() | Requeue() | Fail():
                return "imagejobs", await self._patch(action, now)
            case Expire():
                await self._expire(action)
                return "imagejobs", None
            case Launch():
                return "jobs", await self._launch(action)
            case Retire():
                await self._retire(action)
                return "jobs", None

    async def _patch(self, action: Assign | Requeue | Fail, now: datetime) -> Json:
        return await self._imagejobs.patch_status(action.job, _status_of(action, now))

    async def _expire(self, action: Expire) -> None:
        # Not a namesake created since, nor one whose ttlSecondsAfterFinished was raised just now.
        options = {"preconditions": {"resourceVersion": str(action.version)}}
        await self._delete(f"{self._imagejobs.path}/{action.name}", options)

    async def _launch(self, action: Launch) -> Json:
        try:
            body = worker_job.manifest(action.name, action.pool, self._owner)
            return await self._kube.request("POST", self._jobs_path, body=body)
        except AlreadyExistsError:
            # Made before a crash or a lost answer: adopt it.
            return await self._kube.request("GET", f"{self._jobs_path}/{action.name}")

    async def _retire(self, action: Retire) -> None:
        # The default for Jobs would leave the pod running.
        await self._delete(f"{self._jobs_path}/{action.name}", {"propagationPolicy": "Background"})

    async def _delete(self, path: str, options: Json) -> None:
        try:
            await self._kube.request("DELETE", path, body=options)
        except NotFoundError:
            return


def _status_of(action: Assign | Requeue | Fail, now: datetime) -> transitions.StatusPatch:
    job: ImageJob = action.job
    match action:
        case Assign():
            # From now, not from when it was decided: writes may have queued for a while.
            deadline = now + timedelta(seconds=job.spec.timeout_seconds)
            return transitions.assign(job, worker=action.worker, deadline=deadline, now=now)
        case Requeue():
            return transitions.requeue(
                job,
                reason=action.reason,
                message=action.message,
                next_attempt=action.next_attempt,
                now=now,
            )
        case Fail():
            return transitions.fail(job, reason=action.reason, message=action.message, now=now)
