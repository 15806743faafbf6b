"""The owner of the history, and how rows are added."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import LiteralString

from psycopg import AsyncConnection
from vision_node_contract.history.database import Database
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.history.schema import CHUNK_ROWS
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.names import OWNER_LABEL

from .announcing import NewDelivery, announce
from .answers import ArchivedBatch, Owner, Written
from .chunks import ChunkMap
from .marks import TAKE_OVER
from .row_writer import Entry, RowWriter, clean
from .transactions import Transactions, fetch, lock_owner, require_known

NOTHING = Written(rows=0, refused=0)

_ADD_BATCH = """
INSERT INTO batches (uid, name, owner, created_at, finished_at, expires_at, body)
SELECT %s, %s, %s, %s, %s, %s, %s
WHERE NOT EXISTS (SELECT FROM tombstones WHERE uid = %s)
ON CONFLICT (uid) DO UPDATE SET
    finished_at = excluded.finished_at, expires_at = excluded.expires_at, body = excluded.body
RETURNING uid::text, name, archived_index, evicted_at
"""


_KEEP_ALL = """
WITH existing AS (
    SELECT unnest(%s::uuid[]) AS uid
), kept AS (
    UPDATE jobs SET evicted_at = now()
    WHERE evicted_at IS NULL AND NOT EXISTS (SELECT FROM existing WHERE uid = jobs.uid)
    RETURNING 1
), kept_batches AS (
    UPDATE batches SET evicted_at = now()
    WHERE evicted_at IS NULL AND NOT EXISTS (SELECT FROM existing WHERE uid = batches.uid)
    RETURNING 1
)
SELECT (SELECT count(*) FROM kept) + (SELECT count(*) FROM kept_batches)
"""

# A young mark may belong to an eviction that is going on, so that it must stay.
_UNMARK: tuple[LiteralString, ...] = (
    "UPDATE jobs SET evicted_at = NULL WHERE uid = ANY(%s::uuid[]) AND evicted_at < now() - %s",
    "UPDATE batches SET evicted_at = NULL WHERE uid = ANY(%s::uuid[]) AND evicted_at < now() - %s",
)


class Archiving(Transactions):
    """Adds rows to the history of one release."""

    def __init__(self, database: Database, chunk_rows: int = CHUNK_ROWS) -> None:
        super().__init__(database)
        self._chunk_rows = chunk_rows
        self.on_announced: Callable[[], None] | None = None
        """Function to call after messages to callbacks were added; None if the release sends none,
        so that none are added."""

    async def read_owner(self) -> Owner | None:
        """Return the owner; None if the schema has none yet.

        Raises:
            HistoryError: A newer archiver has updated the tables.
        """
        rows = await self._fetch(
            "SELECT uid, written, resource_version, (SELECT max(version) FROM schema_version)"
            " FROM owner"
        )
        if not rows:
            return None

        *owner, version = rows[0]
        require_known(version)
        return Owner(*owner)

    async def claim(self, uid: str) -> None:
        """Make the release with this identity the owner of the schema."""
        await self._execute(
            "INSERT INTO owner (uid) VALUES (%s)"
            " ON CONFLICT (only_row) DO UPDATE SET uid = excluded.uid",
            uid,
        )

    async def keep_all(self, existing: Collection[str], live: Collection[str] = ()) -> int:
        """Mark all jobs and batches as evicted, except for the existing ones; return how many.

        This is called when a person has confirmed that the cluster or the database was restored.
        Then a row whose ImageJob this cluster does not have is no sign of a deletion.

        Args:
            existing: The uids of those whose rows are not to be marked.
            live: The uids of those in etcd. A restore may have brought them back after they were
                evicted, so marks older than TAKE_OVER are removed: deleting them is a deletion.
        """

        async def work(connection: AsyncConnection) -> int:
            rows = await fetch(connection, _KEEP_ALL, (list(existing),))
            for statement in _UNMARK:
                await connection.execute(statement, (list(live), TAKE_OVER))
            return int(rows[0][0])

        return await self._database.run(work)

    async def add_jobs(
        self, rows: Sequence[tuple[ImageRow, JobRow]], resource_version: int
    ) -> Written:
        """Add finished ImageJobs, and note the newest resourceVersion among them.

        Rows that exist already stay as they are, and those with a tombstone are not written. If
        PostgreSQL refuses what a row contains, the rows are halved until it is alone, and it is
        stored with `archive_error`. If even that is refused, it is counted and skipped.
        """
        entries = [Entry(image, job) for image, job in rows]
        oldest = min((it.image.at for it in entries), default=None)
        messages = [NewDelivery.of_job(image, job) for image, job in rows]

        async def work(connection: AsyncConnection) -> Written:
            await lock_owner(connection, self.counter)
            chunks = await ChunkMap.read(connection, oldest, self._chunk_rows)
            written = await RowWriter(connection, chunks).write(entries, newest=False)
            await self._announce(connection, messages)
            counter = await self.counter.add(connection, written.rows, resource_version)
            return replace(written, counter=counter)

        written = self._noted(await self._database.run(work))
        self._note_announced(messages)
        return written

    async def add_batch(self, batch: ImageBatch, body: str) -> ArchivedBatch | None:
        """Add an ImageBatch or update its row; return it, or None if there is a tombstone."""
        meta = batch.metadata
        now = datetime.now(UTC)
        finished = (batch.status.completion_time or now) if batch.finished else None
        stay = batch.spec.ttl(None)
        expires = finished + stay if finished and stay is not None else None
        values = (
            *(meta.uid, meta.name, meta.labels.get(OWNER_LABEL, "")),
            *(meta.creation_timestamp or now, finished, expires, clean(body), meta.uid),
        )
        messages = [NewDelivery.of_batch(batch)]

        async def work(connection: AsyncConnection) -> ArchivedBatch | None:
            await lock_owner(connection, self.counter)
            rows = await fetch(connection, _ADD_BATCH, values)
            await self._announce(connection, messages)
            return ArchivedBatch(*rows[0]) if rows else None

        archived = await self._database.run(work)
        self._note_announced(messages)
        return archived

    async def add_batch_images(
        self, uid: str, index: int, rows: Sequence[ImageRow], *, is_last: bool = True
    ) -> Written:
        """Add images of index object `index` of a batch in one transaction.

        With `is_last`, these are the last ones, and the index object is counted. Nothing happens
        unless `index` is the number of index objects that are archived already. Refused rows are
        treated as in `add_jobs`.
        """
        entries = [Entry(image, None) for image in rows]

        async def work(connection: AsyncConnection) -> Written:
            await lock_owner(connection, self.counter)
            counted = await fetch(
                connection,
                "UPDATE batches SET archived_index = archived_index + %s"
                " WHERE uid = %s AND archived_index = %s RETURNING 1",
                (int(is_last), uid, index),
            )
            if not counted:
                return NOTHING

            chunks = await ChunkMap.read(connection, None, self._chunk_rows)
            written = await RowWriter(connection, chunks).write(entries, newest=True)
            counter = await self.counter.add(connection, written.rows)
            return replace(written, counter=counter)

        return self._noted(await self._database.run(work))

    async def _announce(
        self, connection: AsyncConnection, messages: Sequence[NewDelivery | None]
    ) -> None:
        wanted = [it for it in messages if it]
        if wanted and self.on_announced:
            await announce(connection, wanted)

    def _note_announced(self, messages: Sequence[NewDelivery | None]) -> None:
        if self.on_announced and any(messages):
            self.on_announced()

    def _noted(self, written: Written) -> Written:
        self.counter.note(written.counter)
        return written
