"""Client for the ImageJobs in one namespace, with typed reads and conditional writes."""

from ..json_types import Json
from ..models.imagejob import ImageJob, ImageJobSpec, ObjectMeta
from ..models.shard import Shard
from ..models.transitions import AnyJob, StatusPatch
from ..names import PLURAL, path_of
from .kube import Kube
from .status_patch import patch_status


class ImageJobClient:
    """Creates, reads and updates ImageJobs in one namespace.

    All methods that send requests raise KubeError or one of its subclasses.
    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(PLURAL, namespace)
        self._kube = kube

    async def create(self, name: str, spec: ImageJobSpec, labels: dict[str, str]) -> ImageJob:
        """Create an ImageJob and return it. Its phase is queued, which is the CRD's default."""
        body = ImageJob.manifest(name, spec, labels)
        return ImageJob.model_validate(await self._kube.request("POST", self.path, body=body))

    async def get(self, name: str) -> ImageJob:
        """Return the ImageJob with this name."""
        return ImageJob.model_validate(await self._kube.request("GET", f"{self.path}/{name}"))

    async def get_shard(self, name: str) -> Shard:
        """Return the shard of an ImageBatch with this name."""
        return Shard.model_validate(await self._kube.request("GET", f"{self.path}/{name}"))

    async def check(self) -> None:
        """Check that the API server responds and lets us read ImageJobs."""
        await self._kube.request("GET", self.path, query=[("limit", "1")])

    async def current_version(self) -> int:
        """Return the cluster's current resourceVersion; 0 if the API server does not tell it."""
        page = await self._kube.request("GET", self.path, query=[("limit", "1")])
        match page:
            case {"metadata": {"resourceVersion": str(version)}} if version.isdecimal():
                return int(version)
            case _:
                return 0

    async def patch_status(self, job: AnyJob, patch: StatusPatch) -> Json:
        """Change the status and return the changed object.

        Raises:
            ConflictError: the object has changed since `job` was read, so nothing was written.
        """
        return await patch_status(self._kube, self.path, job.metadata, patch)

    async def cancel(self, known: ObjectMeta) -> ImageJob:
        """Cancel an ImageJob by its spec, and return the changed ImageJob.

        Args:
            known: The ImageJob's metadata when it was read.

        Raises:
            ConflictError: The ImageJob has changed, or another one has the name. Nothing was
                written.
        """
        metadata = {"uid": known.uid, "resourceVersion": known.resource_version}
        body = {"metadata": metadata, "spec": {"cancel": True}}
        found = await self._kube.request("PATCH", f"{self.path}/{known.name}", body=body)
        return ImageJob.model_validate(found)

    async def delete(self, known: ObjectMeta) -> None:
        """Delete an ImageJob.

        Args:
            known: The ImageJob's metadata when it was read.

        Raises:
            ConflictError: The ImageJob has changed, or another one has the name. Nothing was
                deleted.
        """
        wanted = {"uid": known.uid, "resourceVersion": known.resource_version}
        body = {"preconditions": wanted}
        await self._kube.request("DELETE", f"{self.path}/{known.name}", body=body)
