"""Evict an ImageBatch: delete it from the cluster, while its rows and its folder stay."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from vision_node_contract.clients.kube import ConflictError, KubeError, UnavailableError

from ..batches import BatchClient
from ..history.store import HistoryStore
from ..manifests.freeze_errors import BatchGoneError
from .counts import BatchCounts
from .evictions import MARK_AGE
from .holds import Holds
from .live_batch import LiveBatch

log = logging.getLogger(__name__)


class Evictor:
    """Evicts ImageBatches, one at a time.

    The mark in the row is committed before the ImageBatch is deleted, so whoever sees the deletion
    knows that the data is to stay.

    Args:
        batches: Client for ImageBatches.
        store: The database.
        holds: Stores in the bucket that there are new marks.
        counts: Counts evictions.
    """

    def __init__(
        self, batches: BatchClient, store: HistoryStore, holds: Holds, counts: BatchCounts
    ) -> None:
        self._batches = batches
        self._store = store
        self._holds = holds
        self._counts = counts

    async def evict(self, live: LiveBatch) -> None:
        """Evict an archived ImageBatch, unless it has changed since its row was written.

        Raises:
            HistoryUnavailableError: The database does not answer.
            KubeError: The ImageBatch was not deleted, and another attempt may succeed.
        """
        restarts = self._store.counter.restarts
        is_first = await self._store.mark_batch_evicted(live.uid, evicted=True)
        if not is_first and not await self._may_go_on(live):
            return

        # A check may have accepted the counter of a restored database, which lacks the mark.
        if not await self._holds.record() or self._store.counter.restarts != restarts:
            await self.keep(live)
            return

        # If the watch reports the deletion before the answer arrives, it is this one's.
        live.eviction = "asked"
        try:
            await self._batches.delete(live.name, live.uid, live.row_version)
        except BatchGoneError:
            if is_first:
                # If a user has deleted it, the watch says so, and the data goes. If not, etcd may
                # have been restored from a backup.
                log.info("ImageBatch %s was not evicted, because it is gone", live.name)
                await self.keep(live)
                return
        except ConflictError:
            # If an earlier request has deleted it, another one may have its name.
            if is_first or await self._exists(live):
                await self.keep(live)
            return
        except KubeError as error:
            await self._fail(live, error, is_first=is_first)
            raise

        live.eviction = "done"
        self._counts.evicted += 1
        log.info("ImageBatch %s was evicted; its results are in the history", live.name)

    async def _may_go_on(self, live: LiveBatch) -> bool:
        """Return whether an eviction may be continued that was begun before."""
        rows = await self._store.batch_rows([live.uid])
        live.row = rows[0] if rows else None
        mark = live.row.evicted_at if live.row else None
        if mark is None:
            return False

        return live.eviction == "asked" or datetime.now(UTC) - mark >= MARK_AGE

    async def _fail(self, live: LiveBatch, error: KubeError, *, is_first: bool) -> None:
        """Remove the mark if the request was refused, and no earlier one had an effect."""
        if isinstance(error, UnavailableError) and not error.is_refusal:
            live.eviction = "asked"
            return

        live.refused_at = datetime.now(UTC)
        if is_first or await self._exists(live):
            await self.keep(live)

    async def _exists(self, live: LiveBatch) -> bool:
        """Return whether an ImageBatch certainly exists."""
        try:
            await self._batches.read(live.name, live.uid)
        except (BatchGoneError, KubeError) as error:
            log.info("whether ImageBatch %s exists is unknown: %s", live.name, error)
            return False

        return True

    async def keep(self, live: LiveBatch) -> None:
        """Remove the mark of an ImageBatch that still exists, and write its row again.

        Raises:
            HistoryUnavailableError: The database does not answer, so the mark is removed later.
        """
        live.eviction = "unmark"
        await self._store.mark_batch_evicted(live.uid, evicted=False)

        live.eviction = "none"
        if live.row:
            live.row = replace(live.row, evicted_at=None)
        live.row_version = 0
