"""Delete old images in the release's inbox, except those that unfinished work needs."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import TERMINAL, ImageJob
from vision_node_contract.names import BATCH_PLURAL, PLURAL

from ..decisions.failed_deletions import FailedDeletions
from ..decisions.inbox_protection import InboxProtection, suspended_keeper
from .storage_ownership import StorageOwnership

log = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
"""Interval between sweeps. An object may outlive its retention period by this long. Listing the
inbox is cheap."""

PAGE_KEYS = 200
"""Number of objects per page of the inbox's list."""

NAMES_SECONDS = 1.0
"""How long a sweep may use the keys of unfinished ImageJobs and the prefixes of unfinished
ImageBatches before it reads them from the watch again. Deletions may be slow, and others may be
created meanwhile. Reading 20,000 keys takes 2 ms."""

MAX_PAGES = 500
"""Maximum number of pages per sweep. This is enough for 100,000 objects."""

MAX_DELETIONS = 5000
"""Maximum number of deletions per sweep. They take about a minute. The next sweep continues after
the last object that was checked."""

FAILURE_SECONDS = 60.0
"""Maximum time in seconds that a sweep spends on failed deletions. A refusal takes a few
milliseconds, so a sweep gets past ten thousand objects that can't be deleted. The next sweep
continues after them."""

CONTINUE_SECONDS = 10.0
"""Seconds until an unfinished sweep continues. During the pause, the bucket has time for images."""

MAX_LOGGED = 20
"""Maximum number of failed deletions to log per sweep. The total is always logged."""


@dataclass
class Swept:
    """The outcome of one sweep."""

    deleted: int = 0
    failed: int = 0
    failed_seconds: float = 0.0
    """Time spent on deletions that failed."""

    @property
    def is_enough(self) -> bool:
        """Whether this sweep has deleted enough objects, or spent enough time on failures."""
        return self.deleted >= MAX_DELETIONS or self.failed_seconds >= FAILURE_SECONDS


@dataclass(frozen=True, slots=True)
class Wanted:
    """The images that must stay in the inbox."""

    keys: frozenset[str]
    """Complete keys of the images of unfinished ImageJobs."""
    protection: InboxProtection
    """The images of unfinished ImageBatches."""

    def __contains__(self, key: str) -> bool:
        return key in self.keys or self.protection.covers(key)


NOTHING = Wanted(frozenset(), InboxProtection())
"""Nothing was listed, because no object on the page is due."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long objects stay in the inbox."""

    period: timedelta
    since: datetime
    """When a release that deletes old objects was first installed in this namespace. Older
    objects are treated as if they had been stored at this time, so that an upgrade does not delete
    them immediately."""

    def is_over(self, modified: datetime, now: datetime) -> bool:
        """Return whether an object that was stored at `modified` should be deleted."""
        return max(modified, self.since) < now - self.period


class InboxExpiry:
    """Deletes objects whose retention period in the inbox is over.

    Args:
        store: The bucket.
        imagejobs: Client for ImageJobs.
        kube: Client for the API server.
        ownership: Checks that the release's inbox belongs to the release.
        retention: How long objects stay; None means forever.
        unfinished: Unfinished ImageJobs by name, kept up to date by the watch.
        batches: Returns all ImageBatches that the watch has reported.
    """

    def __init__(
        self,
        store: Bucket,
        imagejobs: ImageJobClient,
        kube: Kube,
        ownership: StorageOwnership,
        retention: Retention | None,
        unfinished: Mapping[str, ImageJob],
        batches: Callable[[], Iterable[ImageBatch]] = tuple,
    ) -> None:
        self._store = store
        self._imagejobs = imagejobs
        self._kube = kube
        self._ownership = ownership
        self._folder = store.folders.inbox
        self._retention = retention
        self._unfinished = unfinished
        self._batches = batches
        self._after = ""
        """The last key that was checked. If it is empty, the next sweep starts at the first key."""
        self._failed = FailedDeletions()

    @property
    def pause_seconds(self) -> float:
        """Seconds until the next sweep. It follows soon if the last sweep is unfinished."""
        return CONTINUE_SECONDS if self._after else SWEEP_SECONDS

    async def run(self) -> None:
        """Sweep at intervals until cancelled; return immediately if objects stay forever."""
        pause = SWEEP_SECONDS

        while self._retention:
            await asyncio.sleep(pause)
            pause = SWEEP_SECONDS

            try:
                swept = await self.sweep(datetime.now(UTC))
            except NotOursError as error:
                log.warning("inbox: no sweep: %s: %s", error.reason, error)
            except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
                log.warning("inbox: sweep failed, trying again in %.0f s: %s", pause, error)
            else:
                pause = self.pause_seconds
                if swept.deleted or swept.failed:
                    log.info(
                        "inbox: deleted %d old objects, failed to delete %d",
                        swept.deleted,
                        swept.failed,
                    )

    async def sweep(self, now: datetime) -> Swept:
        """Delete objects whose retention period is over; return the outcome.

        ImageJobs and ImageBatches are listed from the API server, so that even invalid ones protect
        their images. Those that are created after that come from the watch.

        Raises:
            NotOursError: The inbox belongs to another release, and nothing was deleted.
            StoreUnavailableError, KubeError: Listing failed; the remaining objects are not deleted.
        """
        await self._ownership.require()
        swept, listed = Swept(), None
        for _ in range(MAX_PAGES):
            page = await self._store.list_page(self._folder, self._after, PAGE_KEYS)
            if listed is None and any(self._is_due(found, now) for found in page.objects):
                listed = Wanted(await self._named_keys(), await self._listed_protection())
                continue  # read the page again, because objects may have been replaced meanwhile

            await self._sweep_page(page.objects, now, listed or NOTHING, swept)
            if swept.is_enough:
                break
            if page.is_last or not page.objects:
                self._after = ""
                break

        return swept

    async def _sweep_page(
        self, objects: list[StoredObject], now: datetime, listed: Wanted, swept: Swept
    ) -> None:
        wanted, read_at = self._wanted(listed), monotonic()
        for found in objects:
            self._after = found.key
            if monotonic() - read_at > NAMES_SECONDS:
                wanted, read_at = self._wanted(listed), monotonic()

            if self._is_due(found, now) and found.key not in wanted:
                await self._delete(found, now, swept)
            if swept.is_enough:
                return

    def _wanted(self, listed: Wanted) -> Wanted:
        """Return what was listed, and what the watch has reported since then."""
        keys = self._complete(job.spec.image.key for job in self._unfinished.values())
        protection = InboxProtection.by(self._batches(), self._store.folders)
        return Wanted(listed.keys | keys, listed.protection | protection)

    async def _delete(self, found: StoredObject, now: datetime, swept: Swept) -> None:
        started = monotonic()

        try:
            # The page may be a few seconds old, and the image may have been stored again since.
            latest = await self._store.list_page(found.key, "", 1)
            if any(it.key == found.key and self._is_old(it, now) for it in latest.objects):
                await self._store.delete(found.key)
                swept.deleted += 1
            self._failed.remove(found.key)
        except (StoreUnavailableError, ObjectNotFoundError) as error:
            self._failed.add(found.key, now)
            swept.failed += 1
            swept.failed_seconds += monotonic() - started
            if swept.failed <= MAX_LOGGED:
                log.warning("inbox: could not delete %s, trying again later: %s", found.key, error)

    def _is_due(self, found: StoredObject, now: datetime) -> bool:
        """Return whether an object is old, and not waiting because deleting it has failed."""
        return self._is_old(found, now) and self._failed.may_retry(found.key, now)

    def _is_old(self, found: StoredObject, now: datetime) -> bool:
        # The prefix is checked, because nothing outside the inbox may be deleted, even if the
        # bucket lists it.
        if self._retention is None or not found.key.startswith(self._folder):
            return False

        return self._retention.is_over(found.modified, now)

    async def _named_keys(self) -> frozenset[str]:
        named: frozenset[str] = frozenset()
        async for bodies, _ in self._kube.list_pages(self._imagejobs.path):
            named |= self._complete(key for body in bodies for key in _unfinished_key(body))
        return named

    async def _listed_protection(self) -> InboxProtection:
        protection, keepers = InboxProtection(), list[str]()
        path = self._imagejobs.path.removesuffix(PLURAL) + BATCH_PLURAL

        try:
            async for bodies, _ in self._kube.list_pages(path):
                for body in bodies:
                    protection |= InboxProtection.by_body(body, self._store.folders)
                    keepers += suspended_keeper(body)
        except KubeError as error:
            # The CRD or the rights come with the chart. Without them, nothing describes batches.
            if error.status not in {403, 404}:
                raise

        if keepers:
            log.warning(
                "the whole inbox is kept for %d suspended ImageBatches with a list of images, such "
                "as %s: resume, cancel or delete them",
                len(keepers),
                ", ".join(keepers[:MAX_LOGGED]),
            )
        return protection

    def _complete(self, keys: Iterable[str]) -> frozenset[str]:
        """Return the keys of images in the inbox, each with the release's id."""
        complete = self._store.folders.inbox_key
        return frozenset(complete(key) for key in keys if key.startswith(INBOX_PREFIX))


def _unfinished_key(body: dict[str, Any]) -> Iterator[str]:
    """Yield the key of an ImageJob's image, unless the ImageJob is finished."""
    match body:
        case {"status": {"phase": str(phase)}} if phase in TERMINAL:
            return
        case {"spec": {"image": {"key": str(key)}}}:
            yield key
