"""Write the history: all statements of the archiver.

The archiver is the only writer of all tables except `tombstones`, where the API inserts rows, too.
Each method is one transaction. All raise HistoryUnavailableError while the database is unavailable.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vision_node_contract.history.database import Database
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.models.imagebatch import ImageBatch


@dataclass(frozen=True, slots=True)
class Owner:
    """The row of the table owner."""

    uid: str
    written: int
    resource_version: int


@dataclass(frozen=True, slots=True)
class ExpiredJob:
    """A job whose data is to be deleted."""

    uid: str
    name: str
    image_key: str | None
    result_key: str | None


@dataclass(frozen=True, slots=True)
class ArchivedBatch:
    """A row of the table batches, without the body."""

    uid: str
    name: str
    archived_index: int
    evicted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of writing rows."""

    rows: int
    """Number of new rows. Rows that existed before, or have a tombstone, are not among them."""
    refused: int
    """Number of rows that were stored without their result, because PostgreSQL refused it."""


class HistoryStore:
    """The history of one release."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Owner and counters.

    async def read_owner(self) -> Owner | None:
        """Return the owner; None if the schema has none yet."""
        raise NotImplementedError

    async def claim(self, uid: str) -> None:
        """Make the release with this identity the owner of the schema."""
        raise NotImplementedError

    async def keep_all(self, existing: Collection[str]) -> int:
        """Mark all jobs and batches as evicted, except for those with these uids; return how many.

        This is called when a person has confirmed that the cluster or the database was restored:
        what this cluster does not know was not deleted by anybody.
        """
        raise NotImplementedError

    # Archiving.

    async def add_jobs(
        self, rows: Sequence[tuple[ImageRow, JobRow]], resource_version: int
    ) -> Written:
        """Add finished ImageJobs, and note the newest resourceVersion among them.

        Rows that exist already stay as they are, and those with a tombstone are not written. If
        PostgreSQL refuses what a row contains, the rows are halved until it is alone, and it is
        stored with `archive_error`. If even that is refused, it is counted and skipped.
        """
        raise NotImplementedError

    async def add_batch(self, batch: ImageBatch, body: str) -> ArchivedBatch | None:
        """Add an ImageBatch or update its row; return it, or None if there is a tombstone."""
        raise NotImplementedError

    async def add_batch_images(self, uid: str, index: int, rows: Sequence[ImageRow]) -> Written:
        """Add the images of index object `index` of a batch, and count it, in one transaction.

        Nothing happens unless `index` is the number of index objects that are archived already.
        Refused rows are treated as in `add_jobs`.
        """
        raise NotImplementedError

    # Evicting.

    async def mark_evicted(self, uids: Sequence[str]) -> list[str]:
        """Mark archived jobs as evicted, and return the uids of those that are archived."""
        raise NotImplementedError

    async def unmark_evicted(self, uids: Sequence[str]) -> None:
        """Undo mark_evicted(), because the ImageJobs still exist."""
        raise NotImplementedError

    async def mark_batch_evicted(self, uid: str, *, evicted: bool) -> bool:
        """Mark a batch as evicted or not; return whether it is archived."""
        raise NotImplementedError

    # Deleting.

    async def in_etcd(self, after: str | None, limit: int) -> list[ExpiredJob]:
        """Return jobs that are not marked as evicted, in the order of uids, after `after`."""
        raise NotImplementedError

    async def batches_in_etcd(self) -> list[ArchivedBatch]:
        """Return up to 10,000 batches that are not marked as evicted."""
        raise NotImplementedError

    async def expired_jobs(
        self, now: datetime, default: timedelta | None, limit: int
    ) -> list[ExpiredJob]:
        """Return evicted jobs whose time to live has ended; `default` None means never."""
        raise NotImplementedError

    async def expired_batches(
        self, now: datetime, default: timedelta | None, limit: int
    ) -> list[ArchivedBatch]:
        """Return evicted batches whose time to live has ended; `default` None means never."""
        raise NotImplementedError

    async def images_ended_before(self, end: datetime, limit: int) -> list[ExpiredJob]:
        """Return jobs that ended before `end` and still have an image."""
        raise NotImplementedError

    async def forget_images(self, uids: Sequence[str]) -> None:
        """Note that the images of these jobs were deleted."""
        raise NotImplementedError

    async def add_tombstones(self, uids: Sequence[str], *, batches: bool = False) -> None:
        """Note that these jobs or batches are deleted, so that late rows don't bring them back."""
        raise NotImplementedError

    async def to_clean(self, limit: int) -> list[tuple[str, bool]]:
        """Return (uid, is_batch) of tombstones whose data has not been deleted yet."""
        raise NotImplementedError

    async def keys_of(self, uids: Sequence[str]) -> list[ExpiredJob]:
        """Return what the rows of these jobs name, marked as evicted or not."""
        raise NotImplementedError

    async def delete_jobs(self, uids: Sequence[str]) -> None:
        """Delete the rows of these jobs, and mark their tombstones as cleaned."""
        raise NotImplementedError

    async def delete_batch_images(self, uid: str, limit: int) -> int:
        """Delete up to `limit` rows of a batch; return how many. At 0, its own row goes, too."""
        raise NotImplementedError

    async def drop_old_tombstones(self, now: datetime) -> int:
        """Delete cleaned tombstones older than TOMBSTONE_DAYS; return how many."""
        raise NotImplementedError

    # Sweeps.

    async def named_images(self, keys: Collection[str]) -> set[str]:
        """Return those of these image keys that a job names."""
        raise NotImplementedError

    async def known_uids(self, uids: Collection[str], *, batches: bool = False) -> set[str]:
        """Return those of these uids that have a row in jobs, or in batches."""
        raise NotImplementedError

    async def count(self) -> int:
        """Return the estimated number of rows in images, without counting them."""
        raise NotImplementedError
