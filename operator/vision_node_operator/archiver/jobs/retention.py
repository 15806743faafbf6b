"""Delete the data of evicted jobs whose time to live has ended, and the images of older jobs."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from vision_node_contract.clients.kube import KubeError
from vision_node_contract.history.database import HistoryError

from ..history.holds import Work
from ..history.link import HistoryLink
from ..history.store import HistoryStore
from .deletions import GROUP, Deletions
from .live_jobs import LiveJobs

log = logging.getLogger(__name__)

ROUND_SECONDS = 10.0
"""Interval between rounds. Times to live are usually days, but may be seconds."""


MIN_ROUND_SECONDS = 1.0
"""Minimum time between rounds if images are not to be kept. A round costs ten requests to database,
bucket and API server, so it must not follow every group of rows of a busy release."""


class Retention:
    """Applies the times to live of data and of images.

    Args:
        store: The history.
        deletions: Deletes the data.
        live: The ImageJobs in etcd. The operator deletes those whose time to live has ended.
        default: The time to live of jobs that have none of their own; None means forever.
        image_stay: How long images stay after the end of their jobs; None means as long as these.
    """

    def __init__(
        self,
        store: HistoryStore,
        deletions: Deletions,
        live: LiveJobs,
        default: timedelta | None,
        image_stay: timedelta | None,
    ) -> None:
        self._store = store
        self._deletions = deletions
        self._live = live
        self._default = default
        self._image_stay = image_stay

    async def run(self, link: HistoryLink, archived: asyncio.Event) -> None:
        """Apply retention at intervals until cancelled.

        If images are not to be kept at all, they are deleted about a second after `archived` is
        set, which happens when jobs have been archived.
        """
        while True:
            await link.allowed(Work.CLEAN)
            try:
                if await link.check():
                    await self.apply(datetime.now(UTC))
            except HistoryError as error:
                link.report(error)
            except KubeError as error:
                log.warning("no retention: %s", error)

            await self._pause(archived)

    async def _pause(self, archived: asyncio.Event) -> None:
        if self._image_stay != timedelta():
            await asyncio.sleep(ROUND_SECONDS)
            return

        await asyncio.sleep(MIN_ROUND_SECONDS)
        try:
            async with asyncio.timeout(ROUND_SECONDS - MIN_ROUND_SECONDS):
                await archived.wait()
        except TimeoutError:
            return
        archived.clear()

    async def apply(self, now: datetime) -> None:
        """Delete what is due.

        Raises:
            HistoryUnavailableError: The database is unavailable.
        """
        await self._delete_jobs(now)
        if self._image_stay is not None:
            await self._delete_images(now - self._image_stay)

    async def _delete_jobs(self, now: datetime) -> None:
        while True:
            expired = await self._store.expired_jobs(now, self._default, GROUP)
            due = [it.uid for it in expired if self._live.get(it.uid) is None]
            await self._deletions.delete_jobs(due)
            if not due or len(expired) < GROUP:
                return

    async def _delete_images(self, end: datetime) -> None:
        """Delete the images of jobs that ended before `end`, unless another job needs them."""
        while True:
            jobs = await self._store.images_ended_before(end, GROUP)
            await self._store.forget_images([it.uid for it in jobs])
            keys = {it.image_key for it in jobs if it.image_key}
            await self._deletions.delete_images(
                [key for key in keys if not self._is_needed(key, end)]
            )
            if len(jobs) < GROUP:
                return

    def _is_needed(self, key: str, end: datetime) -> bool:
        naming = self._live.naming(key)
        return any(it.finished_at is None or it.finished_at > end for it in naming)
