"""Delete the folders of ImageBatches whose deletion the watch missed."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.kube import KubeError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.models.imagejob import TERMINAL

from ..runtime.storage_ownership import StorageOwnership
from .batches import BatchClient
from .folder_cleaner import FolderCleaner
from .sweep_guard import HeldError, SweepGuard

log = logging.getLogger(__name__)

FIRST_SECONDS = 300.0
"""Time from the start to the first sweep. By then, queued ImageBatches have been frozen."""

SWEEP_SECONDS = 1800.0
"""Interval between sweeps, the same as the operator's. Orphans only take up space."""

GRACE = timedelta(hours=1)
"""Minimum age of all objects in a folder that a sweep deletes. A worker that does not yet know of
the deletion may still be writing to it."""


SWEEP_ERRORS = (
    StoreUnavailableError,
    ObjectNotFoundError,
    KubeError,
    HistoryUnavailableError,
)


class Sweep:
    """Deletes folders that belong to no ImageBatch, and the checkpoints of finished ones.

    Args:
        bucket: The bucket.
        batches: Client for ImageBatches.
        ownership: Checks that the folders are the release's own.
        cleaner: Deletes folders.
        guard: Says whether folders may be swept, and which ImageBatches are in the history; None if
            only etcd matters.
    """

    def __init__(
        self,
        bucket: Bucket,
        batches: BatchClient,
        ownership: StorageOwnership,
        cleaner: FolderCleaner,
        guard: SweepGuard | None = None,
    ) -> None:
        self._bucket = bucket
        self._batches = batches
        self._ownership = ownership
        self._cleaner = cleaner
        self._guard = guard

    async def run(self) -> None:
        """Sweep at intervals until cancelled."""
        pause = FIRST_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = SWEEP_SECONDS

            try:
                deleted = await self.sweep(datetime.now(UTC))
            except NotOursError as error:
                log.warning("no sweep: %s: %s", error.reason, error)
            except HeldError as error:
                log.warning("no sweep: %s", error)
            except SWEEP_ERRORS as error:
                log.warning("sweep failed, trying again in %.0f s: %s", pause, error)
            else:
                log.info("the sweep deleted %d objects", deleted)

    async def sweep(self, now: datetime) -> int:
        """Delete what no ImageBatch needs, and return the number of deleted objects.

        ImageBatches are listed after the folders, so that the folder of an ImageBatch that is
        created in between is kept. Their rows are looked for after that, so that the folder of one
        that is evicted in between is kept.

        Raises:
            NotOursError: The folders belong to another release, and nothing was deleted.
            HeldError: Sweeps must wait.
            StoreUnavailableError, KubeError, HistoryUnavailableError: Listing failed; the remaining
                objects are kept.
        """
        await self._ownership.require()
        deleted = 0
        async for uids in self._bucket.list_folders(self._bucket.folders.batches):
            if uids:
                deleted += await self._sweep_folders(uids, now)

        return deleted

    async def _sweep_folders(self, uids: list[str], now: datetime) -> int:
        finished = await self._are_finished()
        kept = await self._in_history([uid for uid in uids if uid not in finished])
        deleted = 0
        for uid in uids:
            folder = BatchFolder(self._bucket.folders, uid)
            is_orphan = uid not in finished and uid not in kept
            if is_orphan and await self._is_old(folder.prefix, now):
                deleted += await self._cleaner.delete_below(folder.prefix)
            elif finished.get(uid):
                deleted += await self._cleaner.delete_below(folder.checkpoints)

        return deleted

    async def _in_history(self, uids: list[str]) -> set[str]:
        """Return those of the ImageBatches that a row names."""
        if self._guard is None:
            return set()

        await self._guard.require()
        return await self._guard.kept(uids)

    async def _are_finished(self) -> dict[str, bool]:
        """Return whether each ImageBatch is finished, by uid. Invalid ones are unfinished."""
        found: dict[str, bool] = {}
        async for bodies in self._batches.list_bodies():
            for body in bodies:
                phase = (body.get("status") or {}).get("phase")
                found[body["metadata"]["uid"]] = phase in TERMINAL

        return found

    async def _is_old(self, prefix: str, now: datetime) -> bool:
        """Return whether all objects below the prefix are old."""
        async for objects in self._bucket.list_all(prefix):
            if any(it.modified >= now - GRACE for it in objects):
                return False

        return True
