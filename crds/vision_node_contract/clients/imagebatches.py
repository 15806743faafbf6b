"""Client for the ImageBatches in one namespace, with typed reads and conditional writes."""

from typing import Any

from ..json_types import Json
from ..models.imagebatch import ImageBatch, ImageBatchSpec
from ..models.imagejob import ObjectMeta
from ..names import BATCH_KIND, BATCH_PLURAL, GROUP, VERSION, path_of
from .kube import Kube


class ImageBatchClient:
    """Creates, reads, changes and deletes ImageBatches in one namespace.

    All methods raise KubeError or one of its subclasses.
    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(BATCH_PLURAL, namespace)
        self._kube = kube

    async def create(self, name: str, spec: ImageBatchSpec, labels: dict[str, str]) -> ImageBatch:
        """Create an ImageBatch and return it. Its phase is queued, which is the CRD's default."""
        body: Json = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": BATCH_KIND,
            "metadata": {"name": name, "labels": labels},
            "spec": spec.to_json(),
        }
        return ImageBatch.model_validate(await self._kube.request("POST", self.path, body=body))

    async def get(self, name: str) -> ImageBatch:
        """Return the ImageBatch with this name."""
        return ImageBatch.model_validate(await self._kube.request("GET", f"{self.path}/{name}"))

    async def patch_spec(
        self, known: ObjectMeta, spec: dict[str, Any], *, unchanged: bool = False
    ) -> ImageBatch:
        """Change fields of the spec, and return the changed ImageBatch.

        Args:
            known: The ImageBatch's metadata when it was read.
            spec: Merge patch (RFC 7386) of the spec.
            unchanged: Whether the ImageBatch must not have changed since it was read.

        Raises:
            ConflictError: Another ImageBatch has the name or, with `unchanged`, it has changed.
                Nothing was written.
        """
        metadata = {"uid": known.uid}
        if unchanged:
            metadata["resourceVersion"] = known.resource_version

        body = {"metadata": metadata, "spec": spec}
        found = await self._kube.request("PATCH", f"{self.path}/{known.name}", body=body)
        return ImageBatch.model_validate(found)

    async def delete(self, known: ObjectMeta) -> None:
        """Delete an ImageBatch.

        Raises:
            ConflictError: Another ImageBatch has the name; nothing was deleted.
        """
        body = {"preconditions": {"uid": known.uid}}
        await self._kube.request("DELETE", f"{self.path}/{known.name}", body=body)
