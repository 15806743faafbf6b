"""Delete stored objects that no ImageJob names.

When an ImageJob is deleted, its objects are deleted immediately or by a later sweep. ImageJobs have
no finalizers. With finalizers, deleting an ImageJob or the whole namespace would hang while the
operator is not running.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from vision_node_contract.bucket_keys import IMAGES_PREFIX, RESULTS_PREFIX, own_keys
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.models.imagejob import ImageJob

from ..state.job_queue import JobQueue

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1800.0
"""Interval between sweeps. It is long because a sweep lists all objects, and because orphans only
take up space."""

GRACE = timedelta(hours=1)
"""Minimum age of objects that a sweep deletes. The ImageJob or status that names a younger object
may not have been written yet."""


class GarbageCollector:
    """Deletes objects from the bucket."""

    def __init__(self, store: Bucket, imagejobs: ImageJobClient, kube: Kube) -> None:
        self._store = store
        self._imagejobs = imagejobs
        self._kube = kube
        self._tasks: set[asyncio.Task[None]] = set()

    def collect(self, job: ImageJob, job_queue: JobQueue) -> None:
        """Start deleting the objects of a deleted ImageJob.

        Its image is kept if another ImageJob names it.
        """
        keys = [key for key in own_keys(job) if not job_queue.is_image_named(key)]
        task = asyncio.create_task(self._delete(keys))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep_periodically(self) -> None:
        """Sweep at intervals until cancelled. Each sweep retries deletions that failed before."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                deleted = await self.sweep(datetime.now(UTC))
            except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
                log.warning("sweep failed, trying again in %.0f s: %s", SWEEP_SECONDS, error)
            else:
                log.info("deleted %d orphaned objects", deleted)

    async def sweep(self, now: datetime) -> int:
        """Delete all objects older than GRACE that no ImageJob names, and return their number.

        Objects are listed before ImageJobs, so that the objects of an ImageJob that is created in
        between are kept.

        Raises:
            StoreUnavailableError, KubeError: Listing failed, and nothing was deleted.
        """
        prefixes = (IMAGES_PREFIX, RESULTS_PREFIX)
        found = [key for p in prefixes for key in await self._store.list_older(p, now - GRACE)]

        named: set[str | None] = set()
        async for bodies, _ in self._kube.list_pages(self._imagejobs.path):
            named.update(key for body in bodies for key in _named_keys(body))

        orphans = [key for key in found if key not in named]
        await self._delete(orphans)
        return len(orphans)

    async def _delete(self, keys: list[str]) -> None:
        for key in keys:
            try:
                await self._store.delete(key)
            except (StoreUnavailableError, ObjectNotFoundError) as error:
                log.warning("could not delete %s, leaving it to the next sweep: %s", key, error)


def _named_keys(body: dict[str, Any]) -> Iterator[str | None]:
    """Yield the object keys that an ImageJob names, even if the ImageJob is invalid."""
    yield body.get("spec", {}).get("image", {}).get("key")
    yield ((body.get("status") or {}).get("result") or {}).get("key")
