"""Objects that nobody needs any more: removed with their ImageJob, or by the sweep if that was missed.

No finalizers: deleting an ImageJob, or the whole namespace, never hangs because the operator is
away.
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

from ..state.job_queue import Backlog

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1800.0
"""Orphans cost only space: there is no hurry, and a sweep lists everything."""

GRACE = timedelta(hours=1)
"""An upload whose ImageJob is only about to be created, or a result about to be committed, is no
orphan."""


class Garbage:
    """Removes objects from the bucket."""

    def __init__(self, store: Bucket, imagejobs: ImageJobClient, kube: Kube) -> None:
        self._store = store
        self._imagejobs = imagejobs
        self._kube = kube
        self._tasks: set[asyncio.Task[None]] = set()

    def collect(self, job: ImageJob, backlog: Backlog) -> None:
        """Begin to remove what belonged to a deleted ImageJob, but for an image that another one names."""
        keys = [key for key in own_keys(job) if not backlog.is_image_named(key)]
        task = asyncio.create_task(self._remove(keys))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep_now_and_then(self) -> None:
        """Sweep for ever; what fails is left for the next time."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                removed = await self.sweep(datetime.now(UTC))
            except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
                log.warning("sweep failed, the next one is in %.0f s: %s", SWEEP_SECONDS, error)
            else:
                log.info("swept %d orphaned objects", removed)

    async def sweep(self, now: datetime) -> int:
        """Remove every object older than the grace that no ImageJob names; return how many.

        Objects are listed before ImageJobs, so that an ImageJob created in between still counts.

        Raises:
            StoreUnavailableError, KubeError: a list could not be had; nothing was removed.
        """
        prefixes = (IMAGES_PREFIX, RESULTS_PREFIX)
        found = [key for p in prefixes for key in await self._store.list_older(p, now - GRACE)]
        named: set[str | None] = set()
        async for bodies, _ in self._kube.list_pages(self._imagejobs.path):
            named.update(key for body in bodies for key in _named(body))

        orphans = [key for key in found if key not in named]
        await self._remove(orphans)
        return len(orphans)

    async def _remove(self, keys: list[str]) -> None:
        for key in keys:
            try:
                await self._store.delete(key)
            except (StoreUnavailableError, ObjectNotFoundError) as error:
                log.warning("object %s stays behind until the sweep: %s", key, error)


def _named(body: dict[str, Any]) -> Iterator[str | None]:
    """Yield the keys that an ImageJob names, even one that we could not read whole."""
    yield body.get("spec", {}).get("image", {}).get("key")
    yield ((body.get("status") or {}).get("result") or {}).get("key")
