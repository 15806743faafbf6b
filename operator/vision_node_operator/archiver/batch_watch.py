"""Follow the ImageBatches of the namespace."""

from collections.abc import Set
from typing import Protocol

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.kube import Kube, WatchEvent
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagebatch import ImageBatch

from .batches import BatchClient, read_batch
from .endless_watch import watch
from .folder_cleaner import FolderCleaner
from .freeze_queue import FreezeQueue


class BatchObserver(Protocol):
    """Wants to know all ImageBatches. The queue tells it which are deleted."""

    def observe(self, body: Json, batch: ImageBatch | None) -> None:
        """Note that an ImageBatch exists or has changed; `batch` is None if it can't be read."""

    def observe_all(self, names: Set[str], version: int) -> None:
        """Note that all ImageBatches have been observed, and that these are their names.

        `version` is the resourceVersion of the list.
        """


class BatchWatch:
    """Passes changes of ImageBatches to the queue, to the cleaner and to an observer.

    Deletions that the watch misses are left to the sweep, and to the observer.
    """

    def __init__(
        self,
        kube: Kube,
        batches: BatchClient,
        cleaner: FolderCleaner,
        folders: BucketFolders,
        observer: BatchObserver | None = None,
    ) -> None:
        self._kube = kube
        self._batches = batches
        self._cleaner = cleaner
        self._folders = folders
        self._observer = observer

    async def run(self, queue: FreezeQueue) -> None:
        """Watch until cancelled."""
        async for event in watch(self._kube, self._batches.path, "ImageBatches"):
            self._observe(event, queue)

    async def relist(self, queue: FreezeQueue) -> None:
        """Offer all ImageBatches to the queue, which adds those that may be frozen.

        Raises:
            KubeError: The API server is unavailable or refused the request.
        """
        async for bodies in self._batches.list_bodies():
            for batch in filter(None, map(read_batch, bodies)):
                queue.offer(batch)

    def _observe(self, event: WatchEvent, queue: FreezeQueue) -> None:
        for body in event.objects:
            if event.type == "DELETED":
                queue.remove(body["metadata"]["uid"])
                continue

            batch = read_batch(body)
            if self._observer:
                self._observer.observe(body, batch)
            if batch:
                self._observe_batch(event, batch, queue)

        if self._observer and event.type == "SYNCED":
            self._observer.observe_all(event.names, int(event.version or "0"))

    def _observe_batch(self, event: WatchEvent, batch: ImageBatch, queue: FreezeQueue) -> None:
        queue.offer(batch)

        # The checkpoints of batches that were already finished when listed are left to the sweep.
        if event.type == "MODIFIED" and batch.finished and batch.status.manifest:
            self._cleaner.clean(BatchFolder(self._folders, batch.metadata.uid).checkpoints)
