"""Read ImageBatches, update their status, and emit Events about them."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from pydantic import ValidationError
from vision_node_contract.clients.kube import Kube, KubeError, NotFoundError
from vision_node_contract.clients.status_patch import patch_status
from vision_node_contract.json_types import Json
from vision_node_contract.models.batch_transitions import StatusPatch
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.names import BATCH_PLURAL, path_of

from ..runtime import events
from .manifests.freeze_errors import BatchGoneError

log = logging.getLogger(__name__)


class BatchClient:
    """The ImageBatches of one namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(BATCH_PLURAL, namespace)
        self._namespace = namespace
        self._kube = kube

    async def get(self, name: str, uid: str) -> ImageBatch:
        """Return the current ImageBatch.

        Raises:
            BatchGoneError: It was deleted, even if another one has its name.
            KubeError: The API server is unavailable or refused the request.
        """
        batch, _ = await self.read(name, uid)
        return batch

    async def read(self, name: str, uid: str) -> tuple[ImageBatch, Json]:
        """Return the current ImageBatch, and the same as JSON.

        Raises:
            BatchGoneError: It was deleted, even if another one has its name.
            KubeError: The API server is unavailable or refused the request.
        """
        try:
            body = await self._kube.request("GET", f"{self.path}/{name}")
        except NotFoundError as error:
            raise BatchGoneError(name) from error

        if body["metadata"]["uid"] != uid:
            raise BatchGoneError(name)

        batch = read_batch(body)
        if batch is None:
            raise KubeError(0, "Invalid", f"ImageBatch {name} can't be read by this release")

        return batch, body

    async def delete(self, name: str, uid: str, version: int) -> None:
        """Delete an ImageBatch, unless it has changed since this resourceVersion.

        Raises:
            BatchGoneError: There is none with this name.
            ConflictError: It has changed, or another one has its name; nothing was deleted.
            UnavailableError: It may have been deleted or not.
            KubeError: The API server refused the request.
        """
        preconditions = {"uid": uid, "resourceVersion": str(version)}
        try:
            body = {"preconditions": preconditions}
            await self._kube.request("DELETE", f"{self.path}/{name}", body=body)
        except NotFoundError as error:
            raise BatchGoneError(name) from error

    async def patch_status(self, batch: ImageBatch, patch: StatusPatch) -> None:
        """Change the status, unless the ImageBatch has changed since it was read.

        Raises:
            ConflictError: It has changed, so nothing was written.
            BatchGoneError: It was deleted.
            KubeError: The API server is unavailable or refused the request.
        """
        try:
            await patch_status(self._kube, self.path, batch.metadata, patch)
        except NotFoundError as error:
            raise BatchGoneError(batch.metadata.name) from error

    async def emit(self, batch: ImageBatch, reason: str, message: str) -> None:
        """Create an Event. A failure is only logged, because the status says the same."""
        event = events.of_manifest(batch, reason, message, datetime.now(UTC))
        await events.emit(self._kube, self._namespace, event)

    async def list_bodies(self) -> AsyncIterator[list[Json]]:
        """Yield all ImageBatches as JSON, page by page.

        Raises:
            KubeError: The API server is unavailable or refused the request.
        """
        async for bodies, _ in self._kube.list_pages(self.path, consistent=False):
            yield bodies


def read_batch(body: Json) -> ImageBatch | None:
    """Return an ImageBatch; None if this release can't read it, which is logged."""
    try:
        return ImageBatch.model_validate(body)
    except ValidationError as error:
        name = body.get("metadata", {}).get("name")
        log.warning("ImageBatch %s is ignored, because this release can't read it: %s", name, error)
        return None
