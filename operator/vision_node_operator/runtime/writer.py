"""The only module that writes to Kubernetes: performs one action, answers with what it made of the object."""

import logging
from datetime import datetime

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import AlreadyExistsError, Kube, KubeError, NotFoundError
from vision_node_contract.json_types import Json
from vision_node_contract.models import transitions
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import DESCRIBER_PLURAL, path_of

from ..decisions.actions import (
    Announce,
    Assign,
    Expire,
    Fail,
    Launch,
    Report,
    Requeue,
    Retire,
    Write,
)
from ..settings import Settings
from ..state.state import Kind
from . import events, worker_job
from .chart_describers import Defaults, changes

log = logging.getLogger(__name__)

FIELD_MANAGER = "vision-node"
"""Of what the values say of Describers (server-side apply)."""


INVALID = 422
"""What the CRD refuses: trying again mends nothing, and must not keep all others waiting."""


class NameTakenError(KubeError):
    """Somebody else's Job has the name of a slot."""


class Writer:
    """Performs actions; raises KubeError and its subclasses."""

    def __init__(self, kube: Kube, settings: Settings, owner: Json) -> None:
        self._kube = kube
        self._imagejobs = ImageJobClient(kube, settings.namespace)
        self._jobs_path = f"/apis/batch/v1/namespaces/{settings.namespace}/jobs"
        self._describers_path = path_of(DESCRIBER_PLURAL, settings.namespace)
        self._events_path = f"/api/v1/namespaces/{settings.namespace}/events"
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
            case Report():
                return "describers", await self._report(action, now)
            case Announce():
                await self._tell(events.of_failure(action.job, now))
                return "imagejobs", None

    async def apply(self, defaults: Defaults, release: str) -> None:
        """Make the Describers that the values name be as they say, and those that left them go."""
        existing = [
            body async for page, _ in self._kube.list_pages(self._describers_path) for body in page
        ]
        wanted = changes(defaults, release, existing)
        # By force: what the values say of their own Describers holds, whoever changed it since.
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]

        for body in wanted.apply:
            path = f"{self._describers_path}/{body['metadata']['name']}"
            try:
                await self._kube.request("APPLY", path, query=query, body=body)
            except KubeError as error:
                if error.status != INVALID:
                    raise
                log.exception("Describer %s of the values is left out", body["metadata"]["name"])

        for name in wanted.delete:
            await self._delete(f"{self._describers_path}/{name}", {})

    async def _report(self, action: Report, now: datetime) -> Json:
        meta = action.pool.resource.metadata
        body = {
            "metadata": {"resourceVersion": meta.resource_version},
            "status": action.status.to_json(),
        }
        answer = await self._kube.request(
            "PATCH", f"{self._describers_path}/{meta.name}/status", body=body
        )
        if action.tell:
            await self._tell(events.of_condition(action.pool.resource, action.status, now))

        return answer

    async def _tell(self, event: Json) -> None:
        """Create an Event, once: what it tells stands in a status, too."""
        try:
            await self._kube.request("POST", self._events_path, body=event)
        except AlreadyExistsError:
            return
        except KubeError as error:
            log.warning("no Event %s: %s", event["metadata"]["name"], error)

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
        except AlreadyExistsError as error:
            # Made before a crash or a lost answer: adopt it.
            found = await self._kube.request("GET", f"{self._jobs_path}/{action.name}")
            if worker_job.is_of(found, action.pool):
                return found
            told = (
                f"it is no worker of {action.pool.describer} but has its name; another name is used"
            )
            raise NameTakenError(error.status, error.reason, told) from error

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
            return transitions.assign(
                job, worker=action.worker, deadline=now + action.timeout, now=now
            )
        case Requeue():
            return transitions.requeue(
                job,
                reason=action.reason,
                message=action.message,
                next_attempt=action.next_attempt,
                lost=action.lost,
                suspect=action.suspect,
                now=now,
            )
        case Fail():
            return transitions.fail(job, reason=action.reason, message=action.message, now=now)
