"""Client for the ImageJobs with a single image, which are the API's jobs.

The other ImageJobs are shards of ImageBatches, which the API ignores: an ImageBatch may have
hundreds of them, and each exists for only a few seconds.
"""

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, NotFoundError, Selectors
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.shard import is_shard
from vision_node_contract.names import BATCH_LABEL

SINGLE = Selectors(labels=f"!{BATCH_LABEL}")
"""Selects the ImageJobs that are not shards."""


class SingleImageJobs(ImageJobClient):
    """Creates and reads ImageJobs with a single image."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        super().__init__(kube, namespace)
        self._requests = kube

    async def get(self, name: str) -> ImageJob:
        """Return the ImageJob with this name.

        Raises:
            NotFoundError: there is no such ImageJob, or it is a shard.
        """
        body = await self._requests.request("GET", f"{self.path}/{name}")
        if is_shard(body):
            raise NotFoundError(404, "NotFound", f"{name} is a shard of an ImageBatch")

        return ImageJob.model_validate(body)
