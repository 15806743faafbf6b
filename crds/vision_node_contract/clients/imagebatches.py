"""Client for the ImageBatches in one namespace, with typed reads and conditional writes."""

from ..json_types import Json
from ..models.batch_transitions import StatusPatch
from ..models.imagebatch import ImageBatch
from ..names import BATCH_PLURAL, path_of
from .kube import Kube


class ImageBatchClient:
    """Reads and updates ImageBatches in one namespace.

    All methods raise KubeError or one of its subclasses.
    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(BATCH_PLURAL, namespace)
        self._kube = kube

    async def get(self, name: str) -> ImageBatch:
        """Return the ImageBatch with this name."""
        return ImageBatch.model_validate(await self._kube.request("GET", f"{self.path}/{name}"))

    async def patch_status(self, batch: ImageBatch, patch: StatusPatch) -> Json:
        """Change the status and return the changed object.

        Raises:
            ConflictError: the object has changed since `batch` was read, so nothing was written.
        """
        body = {
            "metadata": {"resourceVersion": batch.metadata.resource_version},
            "status": patch,
        }
        path = f"{self.path}/{batch.metadata.name}/status"

        return await self._kube.request("PATCH", path, body=body)
