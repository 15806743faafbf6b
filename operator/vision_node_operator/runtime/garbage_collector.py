"""Delete stored objects that no ImageJob names.

When an ImageJob is deleted, its objects are deleted immediately or by a later sweep. ImageJobs have
no finalizers. With finalizers, deleting an ImageJob or the whole namespace would hang while the
operator is not running.

Sweeps list only the release's own folders in the bucket. Objects elsewhere belong to other
releases, to other programs or to an older release of this one.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Protocol

from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.clients.bulk_deletion import MAX_DELETIONS
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_contract.models.imagejob import ImageJob

from .storage_ownership import StorageOwnership

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1800.0
"""Interval between sweeps. It is long because a sweep lists all objects, and because orphans only
take up space."""

GRACE = timedelta(hours=1)
"""Minimum age of objects that a sweep deletes. The ImageJob or status that names a younger object
may not have been written yet."""

MAX_WAITING = 100_000
"""Maximum number of keys that wait for their deletion. They take some 15 MB. If more ImageJobs are
deleted at once, a sweep deletes the objects of the others."""

BATCH_KEYS = 10_000
"""Number of old objects for which a sweep lists the ImageJobs once. They are few enough to keep in
memory, and many enough that a sweep lists the ImageJobs only a few times."""

MAX_LOGGED = 5
"""Maximum number of failed deletions to log per request. The total is always logged."""

MAX_RETRIES = 100_000
"""Maximum number of keys of older releases to delete in the next sweep, because they could not be
deleted or did not fit. No sweep lists them, so they must be remembered."""


class KnownJobs(Protocol):
    """All ImageJobs that exist."""

    def is_image_named(self, key: str) -> bool:
        """Return whether an ImageJob names the image with this object key."""


async def name_nothing(_: list[str]) -> set[str]:
    """Return that nothing but ImageJobs names objects."""
    return set()


class GarbageCollector:
    """Deletes objects from the bucket.

    Args:
        store: The bucket.
        imagejobs: The ImageJobs' client.
        kube: The API server's client.
        ownership: Whether the folders belong to this release.
        also_named: Returns those of some keys that are named by something else than an ImageJob.
            Sweeps call it after listing the ImageJobs.
    """

    def __init__(
        self,
        store: Bucket,
        imagejobs: ImageJobClient,
        kube: Kube,
        ownership: StorageOwnership,
        also_named: Callable[[list[str]], Awaitable[set[str]]] = name_nothing,
    ) -> None:
        self._store = store
        self._imagejobs = imagejobs
        self._kube = kube
        self._folders = store.folders
        self._ownership = ownership
        self._also_named = also_named
        self._collected: deque[str] = deque()
        """Keys of deleted ImageJobs. Other ImageJobs may name the same images."""
        self._waiting: deque[str] = deque()
        """Keys that no ImageJob names."""
        self._deleter: asyncio.Task[None] | None = None
        self._retries: deque[str] = deque(maxlen=MAX_RETRIES)

    def collect(self, job: ImageJob) -> None:
        """Remember the objects of a deleted ImageJob, so that delete_unnamed() deletes them."""
        self.collect_keys(self._folders.own_keys(job))

    def collect_keys(self, keys: Iterable[str]) -> None:
        """Remember objects, so that delete_unnamed() deletes them."""
        for key in keys:
            if len(self._collected) + len(self._waiting) < MAX_WAITING:
                self._collected.append(key)
            else:
                self._leave_to_sweep(key)

    def delete_unnamed(self, jobs: KnownJobs) -> None:
        """Start deleting the remembered objects that no ImageJob names.

        Call this only while all ImageJobs are known. If the folders belong to another release, its
        ImageJobs may name the same objects, so these stay.
        """
        if not self._may_delete:
            return

        while self._collected:
            key = self._collected.popleft()
            if not jobs.is_image_named(key):
                self._waiting.append(key)

        self._start()

    def delete_keys(self, keys: Iterable[str]) -> None:
        """Start deleting objects, even if an ImageJob names them."""
        if self._may_delete:
            room = max(0, MAX_WAITING - len(self._collected) - len(self._waiting))
            self._waiting.extend(islice(keys, room))
            self._start()

    def _start(self) -> None:
        if self._waiting and (self._deleter is None or self._deleter.done()):
            self._deleter = asyncio.create_task(self._delete_waiting())

    @property
    def _may_delete(self) -> bool:
        has_id = self._folders.marker is not None
        owner = self._ownership
        return not has_id or (owner.was_checked and owner.is_ours is not False)

    async def sweep_periodically(self) -> None:
        """Sweep at intervals until cancelled. Each sweep retries deletions that failed before."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                deleted = await self.sweep(datetime.now(UTC))
            except NotOursError as error:
                log.warning("no sweep: %s: %s", error.reason, error)
            except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
                log.warning("sweep failed, trying again in %.0f s: %s", SWEEP_SECONDS, error)
            else:
                log.info("deleted %d orphaned objects", deleted)

    async def sweep(self, now: datetime) -> int:
        """Delete old objects in the release's folders that no ImageJob names; return their number.

        ImageJobs are listed after the objects, so that the objects of an ImageJob that is created
        in between are kept, even if the clock of the bucket is wrong.

        Raises:
            NotOursError: The folders belong to another release, and nothing was deleted.
            StoreUnavailableError, KubeError: Listing failed; the remaining objects are kept.
        """
        await self._ownership.require()
        deleted = await self._retry()
        due: list[str] = []
        for folder in (self._folders.images, self._folders.results):
            async for objects in self._store.list_all(folder):
                due += [it.key for it in objects if _is_old(it, folder, now)]
                if len(due) >= BATCH_KEYS:
                    deleted += await self._delete_orphans(due)
                    due.clear()

        deleted += await self._delete_orphans(due)
        return deleted

    async def _retry(self) -> int:
        """Delete the objects of older releases that could not be deleted before."""
        keys = [self._retries.popleft() for _ in range(len(self._retries))]
        try:
            return await self._delete_orphans(keys)
        except BaseException:
            # Deleting an object twice does no harm.
            self._retries.extend(keys)
            raise

    async def _delete_orphans(self, keys: list[str]) -> int:
        """Delete those of the objects that no ImageJob names, and return their number."""
        if not keys:
            return 0

        named = await self._named()
        rest = [key for key in keys if key not in named]
        named |= await self._also_named(rest)
        orphans = [key for key in rest if key not in named]
        parts = range(0, len(orphans), MAX_DELETIONS)
        return sum([await self._delete(orphans[at : at + MAX_DELETIONS]) for at in parts])

    async def _named(self) -> set[str | None]:
        """Return the keys that ImageJobs name."""
        named: set[str | None] = set()
        async for bodies, _ in self._kube.list_pages(self._imagejobs.path):
            named.update(key for body in bodies for key in _named_keys(body))

        return named

    async def _delete_waiting(self) -> None:
        """Delete one request's keys after the other. Others are added while a request runs."""
        while self._waiting:
            count = min(MAX_DELETIONS, len(self._waiting))
            await self._delete([self._waiting.popleft() for _ in range(count)])

    async def _delete(self, keys: list[str]) -> int:
        """Delete up to MAX_DELETIONS objects; return how many were deleted."""
        try:
            undeleted = await self._store.delete_many(keys)
        except StoreUnavailableError as error:
            log.warning("could not delete %d objects, trying again later: %s", len(keys), error)
            left = keys
        else:
            for it in undeleted[:MAX_LOGGED]:
                log.warning("could not delete %s: %s", it.key, it.reason)
            if undeleted:
                log.warning("left %d objects to the next sweep", len(undeleted))
            left = [it.key for it in undeleted]

        for key in left:
            self._leave_to_sweep(key)
        return len(keys) - len(left)

    def _leave_to_sweep(self, key: str) -> None:
        if not key.startswith((self._folders.images, self._folders.results)):
            self._retries.append(key)


def _is_old(found: StoredObject, folder: str, now: datetime) -> bool:
    # The folder is checked, because nothing outside it may be deleted, even if the bucket lists it.
    return found.modified < now - GRACE and found.key.startswith(folder)


def _named_keys(body: dict[str, Any]) -> Iterator[str | None]:
    """Yield the object keys that an ImageJob names, even if the ImageJob is invalid."""
    yield body.get("spec", {}).get("image", {}).get("key")
    yield ((body.get("status") or {}).get("result") or {}).get("key")
