"""Write to Kubernetes: perform an action, and return the changed object.

Together with `batches.batch_writer`, this is the only module that writes while the operator runs.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import AlreadyExistsError, Kube, KubeError, NotFoundError
from vision_node_contract.clients.status_patch import patch_status
from vision_node_contract.json_types import Json
from vision_node_contract.models import transitions
from vision_node_contract.names import DESCRIBER_PLURAL, path_of

from ..decisions.actions import (
    Assign,
    EmitEvent,
    Expire,
    Fail,
    Launch,
    Requeue,
    Retire,
    UpdateStatus,
    Write,
)
from ..settings import Settings
from ..state.object_versions import Kind
from . import events, worker_job
from .batches.batch_writer import BatchWriter
from .chart_describers import Defaults, changes

log = logging.getLogger(__name__)

FIELD_MANAGER = "vision-node"
"""Field manager for server-side apply of the Describers in the chart's values."""

INVALID = 422
"""HTTP status for an object that violates its CRD. A Describer that is rejected with it is skipped,
because a retry would not help and the other Describers must not wait for it."""


class NameTakenError(KubeError):
    """The name of a slot is taken by a Job that is not a worker of the pool."""


class Writer:
    """Performs actions. All methods may raise KubeError or one of its subclasses."""

    def __init__(self, kube: Kube, settings: Settings, owner: Json, bucket: Bucket) -> None:
        self._kube = kube
        self._imagejobs = ImageJobClient(kube, settings.namespace)
        self._jobs_path = f"/apis/batch/v1/namespaces/{settings.namespace}/jobs"
        self._describers_path = path_of(DESCRIBER_PLURAL, settings.namespace)
        self._namespace = settings.namespace
        self._owner = owner
        self._batches = BatchWriter(kube, settings.namespace, bucket, self._emit)

    async def perform(self, action: Write, now: datetime) -> tuple[Kind, Json | None]:
        """Perform an action; return the object's kind and its new state.

        The state is None if the object was deleted, or if the action did not change it.

        Raises:
            StoreUnavailableError: The bucket did not store what AdvanceBatch() counts.
        """
        body: Json | None = None
        kind: Kind = "imagejobs"

        match action:
            case Assign() | Requeue() | Fail():
                body = await self._patch_imagejob(action, now)
            case Expire():
                await self._expire(action)
            case Launch():
                kind, body = "jobs", await self._launch(action)
            case Retire():
                kind = "jobs"
                await self._retire(action)
            case UpdateStatus():
                kind, body = "describers", await self._update_status(action, now)
            case EmitEvent():
                await self._emit(events.of_failure(action.job, now))
            case _:
                kind, body = await self._batches.perform(action, now)

        return kind, body

    async def apply(
        self, defaults: Defaults, release: str, on_progress: Callable[[], None] = lambda: None
    ) -> None:
        """Apply the Describers in the chart's values, and delete those removed from the values.

        `on_progress` is called after each request.
        """
        existing = [
            body async for page, _ in self._kube.list_pages(self._describers_path) for body in page
        ]
        wanted = changes(defaults, release, existing)
        # Conflicts are forced, because the values take precedence over other changes to the
        # Describers that they name.
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]

        for body in wanted.apply:
            name = body["metadata"]["name"]
            path = f"{self._describers_path}/{name}"
            try:
                await self._kube.request("APPLY", path, query=query, body=body)
            except KubeError as error:
                if error.status != INVALID:
                    raise
                log.exception("skipping Describer %s in the values: it is invalid", name)
            on_progress()

        for name in wanted.delete:
            await self._delete(f"{self._describers_path}/{name}", {})
            on_progress()

    async def _update_status(self, action: UpdateStatus, now: datetime) -> Json:
        meta = action.pool.resource.metadata
        status = action.status.to_json()
        answer = await patch_status(self._kube, self._describers_path, meta, status)

        if action.emit_event:
            await self._emit(events.of_condition(action.pool.resource, action.status, now))

        return answer

    async def _emit(self, event: Json) -> None:
        await events.emit(self._kube, self._namespace, event)

    async def _patch_imagejob(self, action: Assign | Requeue | Fail, now: datetime) -> Json:
        return await self._imagejobs.patch_status(action.job, _status_patch(action, now))

    async def _expire(self, action: Expire) -> None:
        # The precondition protects a new ImageJob of the same name, and an ImageJob whose
        # ttlSecondsAfterFinished was just increased.
        options = {"preconditions": {"resourceVersion": str(action.version)}}
        await self._delete(f"{self._imagejobs.path}/{action.name}", options)

    async def _launch(self, action: Launch) -> Json:
        body = worker_job.manifest(action.name, action.pool, self._owner)
        try:
            return await self._kube.request("POST", self._jobs_path, body=body)
        except AlreadyExistsError as error:
            # The operator may have created the Job earlier without receiving the answer, because
            # it crashed or the answer was lost. Such a Job is adopted.
            existing = await self._kube.request("GET", f"{self._jobs_path}/{action.name}")
            if worker_job.is_of(existing, action.pool):
                return existing

            message = (
                f"a Job with this name exists but is not a worker of {action.pool.describer}; "
                "the worker will get a different name"
            )
            raise NameTakenError(error.status, error.reason, message) from error

    async def _retire(self, action: Retire) -> None:
        # With the default propagation policy for Jobs, the pod would keep running.
        await self._delete(f"{self._jobs_path}/{action.name}", {"propagationPolicy": "Background"})

    async def _delete(self, path: str, options: Json) -> None:
        try:
            await self._kube.request("DELETE", path, body=options)
        except NotFoundError:
            return


def _status_patch(action: Assign | Requeue | Fail, now: datetime) -> transitions.StatusPatch:
    job = action.job
    match action:
        case Assign():
            # The timeout starts now and not when the decision was made, because the write may have
            # been delayed.
            deadline = now + action.timeout
            return transitions.assign(job, worker=action.worker, deadline=deadline, now=now)
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
