"""ImageJobs in one namespace: typed reads and guarded writes."""

from ..json_types import Json
from ..models.imagejob import ImageJob, ImageJobSpec
from ..models.transitions import StatusPatch
from ..names import PLURAL, path_of
from .kube import Kube


class ImageJobClient:
    """The ImageJobs of one namespace. Methods raise KubeError and its subclasses."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.path = path_of(PLURAL, namespace)
        self._kube = kube

    async def create(self, name: str, spec: ImageJobSpec, labels: dict[str, str]) -> ImageJob:
        """Create an ImageJob; it reads as queued at once (the CRD's default)."""
        body = ImageJob.manifest(name, spec, labels)
        return ImageJob.model_validate(await self._kube.request("POST", self.path, body=body))

    async def get(self, name: str) -> ImageJob:
        """Read one from the API server."""
        return ImageJob.model_validate(await self._kube.request("GET", f"{self.path}/{name}"))

    async def check(self) -> None:
        """Return if the API server answers and lets us read ImageJobs."""
        await self._kube.request("GET", self.path, query=[("limit", "1")])

    async def patch_status(self, job: ImageJob, patch: StatusPatch) -> Json:
        """Change the status and return the object as it is then.

        Raises:
            ConflictError: the object is no longer as `job` says; nothing was changed.
        """
        body = {
            "metadata": {"resourceVersion": job.metadata.resource_version},
            "status": patch,
        }
        path = f"{self.path}/{job.metadata.name}/status"
        return await self._kube.request("PATCH", path, body=body)
