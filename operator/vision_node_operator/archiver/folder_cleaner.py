"""Delete the objects in folders of ImageBatches."""

import asyncio
import logging
from collections import deque

from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.kube import KubeError
from vision_node_contract.clients.ownership import NotOursError

from ..runtime.storage_ownership import StorageOwnership

log = logging.getLogger(__name__)

MAX_WAITING = 1000
"""Maximum number of folders that wait for their deletion. If more ImageBatches are deleted at
once, the sweep deletes the remaining folders."""

MAX_LOGGED = 5
"""Number of failed deletions in a folder after which no more are logged. A page of the folder adds
up to as many. The total is always logged."""


class FolderCleaner:
    """Deletes folders one after the other. The sweep deletes what could not be deleted."""

    def __init__(self, bucket: Bucket, ownership: StorageOwnership) -> None:
        self._bucket = bucket
        self._ownership = ownership
        self._waiting: deque[str] = deque()
        self._added = asyncio.Event()

    def clean(self, folder: str) -> None:
        """Queue the deletion of all objects whose keys begin with `folder`."""
        if len(self._waiting) >= MAX_WAITING:
            log.warning("too many folders are to be deleted, so the sweep deletes %s", folder)
        elif folder not in self._waiting:
            self._waiting.append(folder)
            self._added.set()

    async def run(self) -> None:
        """Delete the queued folders until cancelled."""
        while True:
            await self._added.wait()
            self._added.clear()
            while self._waiting:
                await self._clean(self._waiting[0])
                self._waiting.popleft()

    async def _clean(self, folder: str) -> None:
        try:
            await self._ownership.require()
            deleted = await self.delete_below(folder)
        except NotOursError as error:
            log.warning("%s is kept: %s: %s", folder, error.reason, error)
        except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
            log.warning("could not delete %s, leaving it to the sweep: %s", folder, error)
        else:
            log.info("deleted %d objects below %s", deleted, folder)

    async def delete_below(self, folder: str) -> int:
        """Delete all objects below a folder of an ImageBatch, and return their number.

        Call this only after a check that the release owns its folders.

        Raises:
            StoreUnavailableError: The objects can't be listed.
            ValueError: `folder` is not in an ImageBatch's folder.
        """
        batches = self._bucket.folders.batches
        if not folder.startswith(batches) or not folder.endswith("/") or folder == batches:
            raise ValueError(f"{folder!r} is not in the folder of an ImageBatch")

        deleted = failed = 0
        async for objects in self._bucket.list_all(folder):
            # The folder is checked, because nothing outside it may be deleted, even if the bucket
            # lists it.
            keys = [it.key for it in objects if it.key.startswith(folder)]
            count = await self._delete(keys, may_log=failed < MAX_LOGGED)
            deleted += count
            failed += len(keys) - count

        if failed:
            log.warning("%d objects below %s could not be deleted", failed, folder)
        return deleted

    async def _delete(self, keys: list[str], *, may_log: bool) -> int:
        """Delete the objects of a page with one request, and return how many were deleted."""
        try:
            undeleted = await self._bucket.delete_many(keys)
        except StoreUnavailableError as error:
            if may_log:
                log.warning("could not delete %d objects: %s", len(keys), error)
            return 0

        for it in undeleted[: MAX_LOGGED * may_log]:
            log.warning("could not delete %s: %s", it.key, it.reason)
        return len(keys) - len(undeleted)
