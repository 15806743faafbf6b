"""Deletion of old images under inbox/, except those that an unfinished ImageJob names."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube, KubeError
from vision_node_contract.models.imagejob import TERMINAL, ImageJob

log = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0
"""Interval between sweeps; an object may outlive its retention period by it. A list of the inbox is
cheap."""

PAGE_KEYS = 200
"""Objects per list. Each is looked up again before it is deleted."""

NAMES_SECONDS = 1.0
"""Interval at which the keys that unfinished ImageJobs name are read from the watch again:
deletions may be slow, and reading 20,000 keys takes 2 ms."""

MAX_PAGES = 500
"""Maximum pages of one sweep: a hundred thousand objects."""

MAX_REMOVALS = 5000
"""Maximum deletions of one sweep: a minute of the bucket's time. The next sweep continues there."""

MAX_FAILURES = 20
"""Failed deletions that end a sweep: further ones would only fill the bucket's log."""


@dataclass
class Swept:
    """The outcome of one sweep."""

    removed: int = 0
    failed: int = 0

    @property
    def is_enough(self) -> bool:
        """Whether to leave the rest to the next sweep."""
        return self.removed >= MAX_REMOVALS or self.failed >= MAX_FAILURES


class InboxExpiry:
    """Deletes objects whose retention period in the inbox is over.

    Args:
        store: The bucket.
        imagejobs: Client for ImageJobs.
        kube: Client for the API server.
        kept: How long an object stays; None: forever.
        since: When this namespace got a release that deletes old objects. What was stored before
        counts as
            stored then, so that an upgrade deletes nothing at once. None: nothing is deleted.
        unfinished: Unfinished ImageJobs as the watch shows them, by name.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        store: Bucket,
        imagejobs: ImageJobClient,
        kube: Kube,
        kept: timedelta | None,
        unfinished: Mapping[str, ImageJob],
        since: datetime | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._imagejobs = imagejobs
        self._kube = kube
        self._kept = kept if since else None
        self._unfinished = unfinished
        self._since = since
        self._clock = clock
        self._after = ""
        """The last key that was checked; empty: begin at the start of the inbox."""

    async def run(self) -> None:
        """Sweep repeatedly, or return at once if objects stay forever; the next sweep retries failures."""
        while self._kept:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                swept = await self.sweep(datetime.now(UTC))
            except (StoreUnavailableError, ObjectNotFoundError, KubeError) as error:
                log.warning("inbox: sweep failed, trying again in %.0f s: %s", SWEEP_SECONDS, error)
            else:
                if swept.removed or swept.failed:
                    log.info(
                        "inbox: removed %d old objects, failed to remove %d",
                        swept.removed,
                        swept.failed,
                    )

    async def sweep(self, now: datetime) -> Swept:
        """Delete objects whose retention period is over; return how many were deleted and how many failed.

        ImageJobs are listed from the API server, so that even invalid ones protect their images;
        the watch adds those that are created later.

        Raises:
            StoreUnavailableError, KubeError: a list failed; its objects stay.
        """
        swept, named = Swept(), None
        for _ in range(MAX_PAGES):
            page = await self._store.list_page(INBOX_PREFIX, self._after, PAGE_KEYS)
            if named is None and any(self._is_old(found, now) for found in page.objects):
                named = await self._named()
                continue  # that took a while, and objects may have been replaced: list the page again

            await self._sweep_page(page.objects, now, named or set(), swept)
            if swept.is_enough:
                break
            if page.is_last or not page.objects:
                self._after = ""
                break

        return swept

    async def _sweep_page(
        self, objects: list[StoredObject], now: datetime, named: set[str], swept: Swept
    ) -> None:
        wanted, read_at = self._wanted(named), self._clock()
        for found in objects:
            self._after = found.key
            if self._clock() - read_at > NAMES_SECONDS:
                wanted, read_at = self._wanted(named), self._clock()
            if self._is_old(found, now) and found.key not in wanted:
                await self._remove(found, now, swept)
            if swept.is_enough:
                return

    def _wanted(self, named: set[str]) -> set[str]:
        return named | {job.spec.image.key for job in self._unfinished.values()}

    async def _remove(self, found: StoredObject, now: datetime, swept: Swept) -> None:
        try:
            # The page may be some seconds old, and the image stored again since.
            latest = await self._store.list_page(found.key, "", 1)
            if any(it.key == found.key and self._is_old(it, now) for it in latest.objects):
                await self._store.delete(found.key)
                swept.removed += 1
        except (StoreUnavailableError, ObjectNotFoundError) as error:
            log.warning("inbox: could not delete %s, trying again later: %s", found.key, error)
            swept.failed += 1

    def _is_old(self, found: StoredObject, now: datetime) -> bool:
        is_ours = found.key.startswith(INBOX_PREFIX)  # whatever the bucket lists
        if not is_ours or self._kept is None or self._since is None:
            return False
        return max(found.modified, self._since) < now - self._kept

    async def _named(self) -> set[str]:
        named: set[str] = set()
        async for bodies, _ in self._kube.list_pages(self._imagejobs.path):
            named.update(key for body in bodies for key in _unfinished_key(body))
        return named


def _unfinished_key(body: dict[str, Any]) -> Iterator[str]:
    """Yield the key that an ImageJob names, unless it is finished."""
    match body:
        case {"status": {"phase": str(phase)}} if phase in TERMINAL:
            return
        case {"spec": {"image": {"key": str(key)}}}:
            yield key
