"""Write ImageBatches and their shards to Kubernetes, for the operator's writer."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime

from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import AlreadyExistsError, Kube, KubeError, NotFoundError
from vision_node_contract.clients.status_patch import patch_status
from vision_node_contract.json_types import Json
from vision_node_contract.models import batch_transitions, transitions
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import Condition
from vision_node_contract.models.shard import shard_manifest
from vision_node_contract.names import BATCH_LABEL, BATCH_PLURAL, path_of

from ...decisions.actions import (
    AdvanceBatch,
    BatchWrite,
    CancelShard,
    CreateShard,
    DeleteShard,
    ExpireBatch,
    ExpireUpload,
    GiveUpShard,
)
from ...state.object_versions import Kind
from .. import events
from .index_objects import store_entries

Emit = Callable[[Json], Awaitable[None]]
"""Writes an Event. It never raises an error, because the object's status has the same content."""


class BatchWriter:
    """Performs actions. All methods may raise KubeError or one of its subclasses.

    Args:
        kube: Client for the API server.
        namespace: The operator's namespace.
        bucket: The bucket with the index objects.
        emit: Writes Events.
    """

    def __init__(self, kube: Kube, namespace: str, bucket: Bucket, emit: Emit) -> None:
        self._kube = kube
        self._shards = ImageJobClient(kube, namespace)
        self._batches_path = path_of(BATCH_PLURAL, namespace)
        self._bucket = bucket
        self._emit = emit

    async def perform(self, action: BatchWrite, now: datetime) -> tuple[Kind, Json | None]:
        """Perform an action; return the object's kind and its new state.

        The state is None if the object was deleted.

        Raises:
            StoreUnavailableError: the bucket may not have stored the index object, so the
                ImageBatch's status was not changed.
        """
        match action:
            case CreateShard():
                return "imagejobs", await self._create(action)
            case GiveUpShard():
                return "imagejobs", await self._give_up(action, now)
            case CancelShard():
                return "imagejobs", await self._cancel(action)
            case DeleteShard():
                uid = {"uid": action.uid}
                await self._delete(f"{self._shards.path}/{action.name}", uid)
                return "imagejobs", None
            case AdvanceBatch():
                return "imagebatches", await self._advance(action, now)
            case ExpireBatch() | ExpireUpload():
                await self._expire(action, now)
                return "imagebatches", None

    async def _create(self, action: CreateShard) -> Json:
        body, batch_uid = shard_manifest(action.spec, action.owner), action.spec.images.batch_uid
        try:
            return await self._kube.request("POST", self._shards.path, body=body)
        except AlreadyExistsError as error:
            # The response to an earlier request was lost, or another operator was faster.
            existing = await self._kube.request("GET", f"{self._shards.path}/{action.name}")
            if existing["metadata"].get("labels", {}).get(BATCH_LABEL) == batch_uid:
                return existing

            message = (
                f"ImageJob {action.name} exists but is not a shard of ImageBatch "
                f"{action.spec.images.batch}: delete it"
            )
            raise KubeError(error.status, error.reason, message) from error

    async def _give_up(self, action: GiveUpShard, now: datetime) -> Json:
        patch = transitions.give_up_shard(
            action.shard,
            reason=action.reason,
            message=action.message,
            suspects=action.suspects,
            now=now,
        )
        return await self._shards.patch_status(action.shard, patch)

    async def _cancel(self, action: CancelShard) -> Json:
        meta = action.shard.metadata
        body = {"metadata": {"uid": meta.uid}, "spec": {"cancel": True}}
        return await self._kube.request("PATCH", f"{self._shards.path}/{meta.name}", body=body)

    async def _advance(self, action: AdvanceBatch, now: datetime) -> Json:
        batch = action.batch
        progress = await self._store(batch, action.progress)
        patch = batch_transitions.advance(batch, progress, now)
        body = await patch_status(self._kube, self._batches_path, batch.metadata, patch)

        changed = ImageBatch.model_validate(body)
        for condition in _changed_conditions(batch, changed):
            await self._emit(events.of_batch(changed, condition, now))

        return body

    async def _store(
        self, batch: ImageBatch, progress: batch_transitions.Progress
    ) -> batch_transitions.Progress:
        """Store the entries; return the progress with the entries that are actually stored."""
        if not progress.entries:
            return progress

        stored = await store_entries(self._bucket, batch, progress.entries)
        if stored == [*progress.entries]:
            return progress

        # The shards that were to be counted may still be there, so the batch can't end now.
        return replace(progress, entries=stored, is_idle=False)

    async def _expire(self, action: ExpireBatch | ExpireUpload, now: datetime) -> None:
        if isinstance(action, ExpireUpload):
            await self._expire_upload(action.batch, now)
            return

        # The precondition protects an ImageBatch whose TTL was just increased.
        version = {"resourceVersion": str(action.version)}
        await self._delete(f"{self._batches_path}/{action.name}", version)

    async def _expire_upload(self, batch: ImageBatch, now: datetime) -> None:
        """Delete an ImageBatch, unless its upload has been completed at the same moment."""
        meta = batch.metadata
        preconditions = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        body = {"preconditions": preconditions}
        await self._kube.request("DELETE", f"{self._batches_path}/{meta.name}", body=body)
        await self._emit(events.of_expired_upload(batch, now))

    async def _delete(self, path: str, preconditions: dict[str, str]) -> None:
        try:
            await self._kube.request("DELETE", path, body={"preconditions": preconditions})
        except NotFoundError:
            return


def _changed_conditions(before: ImageBatch, after: ImageBatch) -> Iterator[Condition]:
    """Yield the conditions whose status or reason has changed."""
    for condition in after.status.conditions:
        known = before.status.condition(condition.type)
        if known is None or (known.status, known.reason) != (condition.status, condition.reason):
            yield condition
