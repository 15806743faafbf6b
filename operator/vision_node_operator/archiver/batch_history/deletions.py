"""Delete the data of ImageBatches: their rows, and their folders in the bucket."""

import logging

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.history.database import HistoryUnavailableError

from ..folder_cleaner import FolderCleaner
from ..history.store import HistoryStore
from .counts import BatchCounts

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Maximum number of deleted ImageBatches to remember. The others are found when the rows are
compared with the cluster."""

LOOKED_UP = 100
"""Maximum number of deleted ImageBatches whose rows are looked up in one statement."""

PIECE_ROWS = 5000
"""Maximum number of rows to delete in one transaction, which takes PostgreSQL some 100 ms."""

MIN_PIECE_ROWS = 100
"""Number of rows to delete in one transaction if PostgreSQL is too slow for more."""


class Deletions:
    """The deleted ImageBatches whose data must go, unless they were evicted."""

    def __init__(
        self,
        store: HistoryStore,
        cleaner: FolderCleaner,
        folders: BucketFolders,
        counts: BatchCounts,
    ) -> None:
        self._store = store
        self._cleaner = cleaner
        self._folders = folders
        self._counts = counts
        self._reported: dict[str, bool] = {}
        """Uids of ImageBatches that are gone, so they were deleted or evicted, and whether that was
        seen, rather than concluded from a request that did not find them."""
        self._unmarked: dict[str, None] = {}
        """Uids whose data must go, whatever their rows say."""
        self._tombstoned: dict[str, None] = {}
        """Uids with a tombstone, whose data is being deleted."""
        self._piece_rows = PIECE_ROWS

    def report(self, uid: str, *, is_seen: bool) -> None:
        """Note that an ImageBatch is gone. Its data goes unless its row is marked as evicted."""
        if not self._is_certain(uid) and self._has_room(uid):
            self._reported[uid] = is_seen or self._reported.get(uid, False)

    def drop_unseen(self) -> bool:
        """Forget what was only concluded, because of a hold; return whether there was any."""
        unseen = [uid for uid, is_seen in self._reported.items() if not is_seen]
        for uid in unseen:
            del self._reported[uid]

        return bool(unseen)

    def add(self, uid: str) -> None:
        """Delete the data of an ImageBatch, evicted or not."""
        self._reported.pop(uid, None)
        if not self._is_certain(uid) and self._has_room(uid):
            self._unmarked[uid] = None

    def _is_certain(self, uid: str) -> bool:
        return uid in self._unmarked or uid in self._tombstoned

    def _has_room(self, uid: str) -> bool:
        if len(self) < MAX_WAITING:
            return True

        log.warning("too many ImageBatches are being deleted, so the data of %s goes later", uid)
        return False

    def __len__(self) -> int:
        return len(self._reported) + len(self._unmarked) + len(self._tombstoned)

    async def step(self) -> None:
        """Do the next step.

        Raises:
            HistoryUnavailableError: The database does not answer; the step is done again.
        """
        if self._reported:
            await self._look_up()
        elif self._unmarked:
            await self._add_tombstones()
        elif self._tombstoned:
            await self._delete_piece(next(iter(self._tombstoned)))

    async def _look_up(self) -> None:
        uids = list(self._reported)[:LOOKED_UP]
        rows = await self._store.batch_rows(uids)
        evicted = {row.uid for row in rows if row.evicted_at}
        for uid in uids:
            is_waiting = uid in self._reported
            self._reported.pop(uid, None)
            if is_waiting and uid not in evicted:
                self._unmarked[uid] = None

    async def _add_tombstones(self) -> None:
        """Write tombstones, so that rows that are still being written don't bring the data back."""
        uids = list(self._unmarked)[:LOOKED_UP]
        await self._store.add_tombstones(uids, batches=True)
        for uid in uids:
            del self._unmarked[uid]
            self._tombstoned[uid] = None

    async def _delete_piece(self, uid: str) -> None:
        try:
            rows = await self._store.delete_batch_images(uid, self._piece_rows)
        except HistoryUnavailableError:
            self._piece_rows = max(MIN_PIECE_ROWS, self._piece_rows // 2)
            raise

        self._piece_rows = min(PIECE_ROWS, 2 * self._piece_rows)
        del self._tombstoned[uid]
        if rows:
            self._tombstoned[uid] = None  # others have their turn
        else:
            self._cleaner.clean(BatchFolder(self._folders, uid).prefix)
            self._counts.deleted += 1
            log.info("the rows of the deleted ImageBatch %s were deleted", uid)
