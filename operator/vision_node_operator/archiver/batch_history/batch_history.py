"""Archive ImageBatches, evict finished ones, and delete the data of deleted or expired ones."""

import asyncio
import json
import logging
import time
from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import KubeError, backoff
from vision_node_contract.history.database import (
    HistoryError,
    HistoryUnavailableError,
    RowRefusedError,
)
from vision_node_contract.history.records import without_inline_result
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagebatch import ImageBatch

from ..batches import BatchClient
from ..folder_cleaner import FolderCleaner
from ..history.store import HistoryStore
from ..manifests.freeze_errors import BatchGoneError
from .counts import BatchCounts
from .deletions import Deletions
from .evictions import to_evict
from .evictor import Evictor
from .holds import HeldError, Holds, Step
from .index_archiver import IndexArchiver
from .live_batch import LiveBatch
from .live_batches import LiveBatches

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
"""Maximum time between two rounds."""

EVICT_SECONDS = 1.0
"""Minimum time between two looks for ImageBatches to evict. All have to be looked at."""

EVICT_RETRY_SECONDS = 15.0
"""Time in seconds before the next look if the API server was unavailable for an eviction."""

MAX_EVICTIONS = 20
"""Maximum number of evictions in a row. They take some 10 ms each, and archiving waits."""

TOMBSTONE_SECONDS = 1.0
"""Interval between looks for tombstones that the API or an administrator has inserted."""

EXPIRE_SECONDS = 60.0
"""Interval between looks for expired rows."""

EXPIRED_AT_ONCE = 100
"""Maximum number of expired ImageBatches to delete per look."""

RECONCILE_SECONDS = 1800.0
"""Interval between comparisons of the rows with the cluster, the same as the sweep's."""

RETRY_SECONDS = (0.5, 30.0)
"""First and longest wait in seconds while the database is unavailable. The wait doubles with each
failure, with full jitter."""


@dataclass(frozen=True, slots=True)
class BatchRetention:
    """How long ImageBatches and their data stay."""

    cluster: timedelta
    """How long a finished ImageBatch stays in the cluster."""
    data: timedelta | None
    """How long its data stays if its spec doesn't say so; None means forever."""


@dataclass(frozen=True, slots=True)
class BatchStores:
    """Where ImageBatches and their data are."""

    batches: BatchClient
    bucket: Bucket
    cleaner: FolderCleaner
    database: HistoryStore


class BatchHistory:
    """Keeps the history of ImageBatches.

    Args:
        stores: Where ImageBatches and their data are.
        holds: Knows what must wait.
        retention: How long ImageBatches and their data stay.
    """

    def __init__(self, stores: BatchStores, holds: Holds, retention: BatchRetention) -> None:
        self.counts = BatchCounts()
        self._stores = stores
        self._store = stores.database
        self._holds = holds
        self._retention = retention
        self._live = LiveBatches()
        folders = stores.bucket.folders
        self._deletions = Deletions(self._store, stores.cleaner, folders, self.counts)
        self._archiver = IndexArchiver(stores.bucket, self._store, holds, self.counts)
        self._evictor = Evictor(stores.batches, self._store, holds, self.counts)
        self._changed = asyncio.Event()
        self._due = dict.fromkeys(("evict", "expire", "reconcile"), 0.0)
        self._tombstones_due = 0.0
        """Monotonic times in seconds at which these steps are due."""
        self._held: dict[str, str | None] = {}
        """Holds that were logged."""

    # What happens to ImageBatches.

    def observe(self, body: Json, batch: ImageBatch | None) -> None:
        """Note that an ImageBatch exists or has changed; `batch` is None if it can't be read."""
        if earlier := self._live.observe(body, batch):
            self._miss(earlier)
        self._changed.set()

    def observe_all(self, names: Set[str], version: int) -> None:
        """Note that all ImageBatches have been observed, and that these are their names.

        `version` is the resourceVersion of the list.
        """
        # First the version: it may show that etcd was restored, and no user has deleted the others.
        self._holds.compare(version, self._live.newest_version)
        self._live.newest_version = version
        for live in self._live.missing(names):
            self._miss(live.uid)
        self._changed.set()

    def _miss(self, uid: str) -> None:
        """Note that an ImageBatch is gone, although its deletion was not seen.

        The rows are compared with the cluster soon, unless a hold forbids that.
        """
        self._live.remove(uid)
        self._due["reconcile"] = 0.0

    def observe_missing(self, uid: str) -> None:
        """Note that a request has found an ImageBatch to be gone, which is no proof of a deletion.

        The rows are compared with the cluster soon, unless a hold forbids that.
        """
        self._miss(uid)
        self._changed.set()

    def observe_deleted(self, uid: str) -> None:
        """Note that an ImageBatch is gone. Its data goes unless it was evicted."""
        live = self._live.remove(uid)
        if live is None:
            self._deletions.report(uid, is_seen=True)
        else:
            live.is_gone = True
            self._delete_unless_evicted(live)
        self._changed.set()

    def _delete_unless_evicted(self, live: LiveBatch) -> None:
        """Delete the data of an ImageBatch that is gone, unless this process has evicted it.

        The mark in its row also tells that, but the database may be restored meanwhile.
        """
        if live.eviction == "unmark":
            self._deletions.add(live.uid)
        elif live.eviction == "none":
            self._deletions.report(live.uid, is_seen=True)

    def delete(self, uid: str) -> None:
        """Delete the data of an ImageBatch, evicted or not, for example because of a tombstone."""
        self._deletions.add(uid)
        self._changed.set()

    def write_again(self) -> None:
        """Write all ImageBatches again, because the database may have lost their rows."""
        for live in self._live.by_uid.values():
            live.row, live.row_version = None, 0
            self._live.offer(live)
        self._changed.set()

    @property
    def live_uids(self) -> set[str]:
        """The uids of all ImageBatches in the cluster."""
        return set(self._live.by_uid)

    @property
    def is_complete(self) -> bool:
        """Whether all ImageBatches in the cluster are known."""
        return self._live.is_complete

    @property
    def waiting(self) -> int:
        """Number of ImageBatches that are not archived completely."""
        return self._live.waiting

    # What is done.

    async def run(self) -> None:
        """Work until cancelled."""
        failures = 0
        while True:
            self._changed.clear()
            try:
                is_idle = not await self.round()
            except HistoryError as error:
                pause = backoff(failures, *RETRY_SECONDS)
                log.warning(
                    "the history of ImageBatches waits for the database (%s), trying again in "
                    "%.1f s: %s",
                    *(error.reason, pause, error),
                )
                failures += 1
                await asyncio.sleep(pause)
            else:
                failures = 0
                if is_idle:
                    await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._changed.wait()
        except TimeoutError:
            return

    async def round(self) -> bool:
        """Do one step of each kind; return whether there may be more to do immediately.

        Raises:
            HistoryError: The database does not answer, or refused a request.
        """
        is_busy = False
        await self._follow_tombstones()
        if self._deletions and await self._is_held("clean") and self._deletions.drop_unseen():
            self._due["reconcile"] = 0.0
        if self._deletions and not await self._is_held("delete"):
            await self._deletions.step()
            is_busy = len(self._deletions) > 0

        if self._live.waiting and not await self._is_held("archive"):
            is_busy |= await self._archive_next()

        if self._live.is_complete and self._is_due() and not await self._is_held("clean"):
            await self._do_due_steps()

        return is_busy

    async def _follow_tombstones(self) -> None:
        """Find batches with tombstones whose data has not been deleted yet."""
        if self._tombstones_due > time.monotonic() or await self._is_held("delete"):
            return

        for uid in await self._store.to_clean(EXPIRED_AT_ONCE, batches=True):
            self._deletions.add(uid)
        self._tombstones_due = time.monotonic() + TOMBSTONE_SECONDS

    async def _is_held(self, step: Step) -> bool:
        """Return whether steps of a kind must wait, and log each change."""
        hold = await self._holds.hold(step)
        if hold and hold != self._held.get(step):
            log.warning("ImageBatches: steps of the kind %r wait: %s", step, hold)

        self._held[step] = hold
        return hold is not None

    # Archiving.

    async def _archive_next(self) -> bool:
        live = self._live.next_turn()
        if live is None:
            return False

        try:
            await self._archive(live)
        except BatchGoneError:
            self._miss(live.uid)
        except (StoreUnavailableError, KubeError, HeldError, RowRefusedError) as error:
            self._live.retry(live, error)
        except HistoryUnavailableError:
            # It may have been written or not.
            live.row = None
            self._live.offer(live)
            raise
        else:
            live.failures = 0

        return True

    async def _archive(self, live: LiveBatch) -> None:
        """Write the row of an ImageBatch, or the images of its next index object."""
        if live.needs_row:
            await self._write_row(live)
            return

        batch, row = live.batch, live.row
        if batch is None or row is None or row.archived_index >= live.index:
            return

        is_new = await self._archiver.archive(batch, row.archived_index)
        live.row = replace(row, archived_index=row.archived_index + 1) if is_new else None
        self._live.offer(live)

    async def _write_row(self, live: LiveBatch) -> None:
        batch, body = await self._stores.batches.read(live.name, live.uid)
        live.observe(batch, datetime.now(UTC))
        text = json.dumps(without_inline_result(body), separators=(",", ":"))
        row = await self._store.add_batch(batch, text)
        if row is None:
            # It has a tombstone, so it was deleted.
            self._live.remove(live.uid)
            return

        live.row, live.row_version = row, live.version
        if row.evicted_at and not batch.finished:
            # The cluster was restored from a backup, and the batch goes on.
            await self._evictor.keep(live)
        self._live.offer(live)

    # What is done at intervals.

    def _is_due(self) -> bool:
        return any(due <= time.monotonic() for due in self._due.values())

    async def _do_due_steps(self) -> None:
        steps = (
            ("evict", EVICT_SECONDS, self._evict),
            ("expire", EXPIRE_SECONDS, self._expire),
            ("reconcile", RECONCILE_SECONDS, self._reconcile),
        )
        for name, seconds, step in steps:
            if self._due[name] > time.monotonic():
                continue

            # First the time, because the step may become due again while it is done.
            self._due[name] = time.monotonic() + seconds
            try:
                await step()
            except HistoryError:
                self._due[name] = 0.0
                raise

    async def _evict(self) -> None:
        """Evict finished ImageBatches."""
        for live in self._live.refused():
            await self._evictor.keep(live)
            self._live.offer(live)

        found = to_evict(self._live, self._retention.cluster, datetime.now(UTC))
        for live in islice(found, MAX_EVICTIONS):
            # The sweep looks for checkpoints only in the folders of ImageBatches in the cluster.
            folder = BatchFolder(self._stores.bucket.folders, live.uid)
            self._stores.cleaner.clean(folder.checkpoints)
            try:
                await self._evictor.evict(live)
            except KubeError as error:
                log.warning("ImageBatch %s was not evicted, trying later: %s", live.name, error)
                if not error.is_refusal:
                    self._due["evict"] = time.monotonic() + EVICT_RETRY_SECONDS
                    return
            finally:
                if live.is_gone:
                    self._delete_unless_evicted(live)

            self._live.offer(live)

    async def _expire(self) -> None:
        """Delete evicted ImageBatches whose time to live has ended."""
        now = datetime.now(UTC)
        for row in await self._store.expired_batches(now, self._retention.data, EXPIRED_AT_ONCE):
            if row.uid not in self._live.by_uid:
                self._deletions.add(row.uid)

    async def _reconcile(self) -> None:
        """Find ImageBatches whose deletion the watch missed."""
        for row in await self._store.batches_in_etcd():
            if row.uid in self._live.by_uid:
                continue
            try:
                await self._stores.batches.read(row.name, row.uid)
            except BatchGoneError:
                self._deletions.report(row.uid, is_seen=False)
            except KubeError as error:
                log.warning("whether ImageBatch %s exists is unknown: %s", row.name, error)
