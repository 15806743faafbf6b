"""Find ImageJobs whose deletion the watch missed, and jobs with tombstones."""

import asyncio
import logging
import time
from datetime import UTC, datetime

from vision_node_contract.clients.kube import KubeError
from vision_node_contract.history.database import HistoryError

from ..history.holds import Work
from ..history.link import HistoryLink
from ..history.store import HistoryStore
from .deletions import MAX_WAITING, Deletion, Deletions
from .live_jobs import LiveJobs

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 1800.0
"""Interval between reconciliations. The watch sees all deletions unless the archiver restarts."""

RETRY_SECONDS = 30.0
"""Interval between attempts at a reconciliation that has failed."""

TOMBSTONE_SECONDS = 1.0
"""Interval between looks for new tombstones, which the API or an administrator may insert."""

ROOM_SECONDS = 0.1
"""Interval at which a reconciliation checks whether the queue of deletions has space again."""

PAGE = 1000
"""Number of rows that are read at once."""


class Reconciliation:
    """Deletes rows whose ImageJobs don't exist although they were not evicted."""

    def __init__(
        self, store: HistoryStore, link: HistoryLink, live: LiveJobs, deletions: Deletions
    ) -> None:
        self._store = store
        self._link = link
        self._live = live
        self._deletions = deletions

    async def run(self) -> None:
        """Reconcile at the start and at intervals, and follow tombstones, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reconcile_periodically())
            tasks.create_task(self._follow_tombstones())

    async def _reconcile_periodically(self) -> None:
        while True:
            await self._live.synced.wait()
            await self._link.allowed(Work.CLEAN)
            pause = RECONCILE_SECONDS
            try:
                found = await self.reconcile()
            except HistoryError as error:
                self._link.report(error)
                pause = RETRY_SECONDS
            except KubeError as error:
                log.warning("no reconciliation: %s", error)
                pause = RETRY_SECONDS
            else:
                log.info("%d rows belong to ImageJobs that were deleted unseen", found)

            await asyncio.sleep(pause)

    async def reconcile(self) -> int:
        """Pass rows without ImageJobs to the deletions; return their number.

        Raises:
            HistoryUnavailableError: The database is unavailable.
            KubeError: The API server does not say whose history this is.
        """
        found, after = 0, None
        while await self._link.check():
            page = await self._store.in_etcd(after, PAGE)
            missing = [it for it in page if self._live.get(it.uid) is None]
            for it in missing:
                self._deletions.add(Deletion(it.uid, it.name))
            found += len(missing)

            if len(page) < PAGE:
                break
            after = page[-1].uid
            await self._until_there_is_room()

        return found

    async def _until_there_is_room(self) -> None:
        while len(self._deletions) > MAX_WAITING - PAGE and self._link.allows(Work.CLEAN):  # noqa: ASYNC110
            await asyncio.sleep(ROOM_SECONDS)

    async def _follow_tombstones(self) -> None:
        cleaned_at = -RECONCILE_SECONDS
        while True:
            await asyncio.sleep(TOMBSTONE_SECONDS)
            await self._link.allowed(Work.DELETE)
            try:
                await self.clean()
                if time.monotonic() - cleaned_at >= RECONCILE_SECONDS:
                    cleaned_at = time.monotonic()
                    await self._store.drop_old_tombstones(datetime.now(UTC))
                    await self._store.drop_old_usage(datetime.now(UTC))
            except HistoryError as error:
                self._link.report(error)

    async def clean(self) -> None:
        """Delete what tombstones name.

        Raises:
            HistoryUnavailableError: The database is unavailable.
        """
        await self._deletions.delete_jobs(await self._store.to_clean(PAGE))
