"""Mark rows as evicted, find those whose time to live has ended, and delete rows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from psycopg import AsyncConnection
from vision_node_contract.history.schema import TOMBSTONE_DAYS, USAGE_DAYS

from .answers import ArchivedBatch, ExpiredJob
from .transactions import Transactions, fetch, lock_owner

MAX_BATCHES_IN_ETCD = 10_000
"""Maximum number of batches that are returned at once. Each takes up to 32 KiB of etcd, so there
are far fewer."""

MAX_DROPPED_TOMBSTONES = 10_000
"""Maximum number of tombstones that a statement deletes, so that it takes less than a second."""

MAX_DROPPED_USAGE = 10_000
"""Maximum number of rows of the table usage that a statement deletes. Further ones are deleted by
the next call."""

# ctid, the place of a row, stays valid, because the rows of images are never changed. ORDER BY
# keeps the planner from reading the whole table, with all rows that were deleted before.
_DELETE_COUNTED = """
WITH gone AS (
    DELETE FROM images
    WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM images WHERE uid = ANY(%s::uuid[]) ORDER BY uid, image_index LIMIT %s))
    RETURNING at
), counts AS (
    SELECT (SELECT id FROM chunks WHERE starts_at <= at ORDER BY starts_at DESC LIMIT 1) AS id,
        count(*) AS rows
    FROM gone GROUP BY 1
), counted AS (
    UPDATE chunks SET rows = greatest(0, chunks.rows - counts.rows)
    FROM counts WHERE chunks.id = counts.id
)
SELECT count(*) FROM gone
"""

# The first chunk has no older one to which its times could belong, and the newest is being filled.
_DELETE_EMPTY_CHUNKS = """
DELETE FROM chunks WHERE rows = 0 AND id > 0 AND id < (SELECT max(id) FROM chunks)
"""


class Lifecycle(Transactions):
    """Evicts batches, and deletes jobs and batches. EvictionMarks evicts jobs."""

    async def mark_batch_evicted(self, uid: str, *, evicted: bool) -> bool:
        """Mark a batch as evicted or not; return whether this has changed its row."""
        values = (evicted, uid, evicted)

        async def work(connection: AsyncConnection) -> tuple[bool, int]:
            cursor = await connection.execute(
                "UPDATE batches SET evicted_at = CASE WHEN %s THEN now() END"
                " WHERE uid = %s AND (evicted_at IS NULL) = %s",
                values,
            )
            marks = cursor.rowcount if evicted else 0
            return cursor.rowcount > 0, await self.counter.add(connection, marks)

        has_changed, counter = await self._database.run(work)
        self.counter.note(counter)
        return has_changed

    async def batch_rows(self, uids: Sequence[str]) -> list[ArchivedBatch]:
        """Return the rows of these batches, marked as evicted or not."""
        restarts = self.counter.restarts

        async def work(connection: AsyncConnection) -> list[ArchivedBatch]:
            rows = await fetch(
                connection,
                "SELECT uid::text, name, archived_index, evicted_at FROM batches"
                " WHERE uid = ANY(%s::uuid[])",
                (list(uids),),
            )
            await self.counter.check(connection, restarts)
            return [ArchivedBatch(*row) for row in rows]

        return await self._database.run(work)

    async def in_etcd(self, after: str | None, limit: int) -> list[ExpiredJob]:
        """Return jobs that are not marked as evicted, in the order of uids, after `after`."""
        rows = await self._fetch(
            "SELECT uid::text, name, image_key, result_key FROM jobs"
            " WHERE evicted_at IS NULL AND (%s::uuid IS NULL OR uid > %s)"
            " ORDER BY jobs.uid LIMIT %s",
            *(after, after, limit),
        )
        return [ExpiredJob(*row) for row in rows]

    async def batches_in_etcd(self) -> list[ArchivedBatch]:
        """Return up to 10,000 batches that are not marked as evicted."""
        rows = await self._fetch(
            "SELECT uid::text, name, archived_index, evicted_at FROM batches"
            " WHERE evicted_at IS NULL ORDER BY batches.uid LIMIT %s",
            MAX_BATCHES_IN_ETCD,
        )
        return [ArchivedBatch(*row) for row in rows]

    async def expired_jobs(
        self, now: datetime, default: timedelta | None, limit: int
    ) -> list[ExpiredJob]:
        """Return evicted jobs whose time to live has ended; `default` None means never."""
        end = None if default is None else now - default
        rows = await self._fetch(
            "(SELECT uid::text, name, image_key, result_key FROM jobs"
            " WHERE expires_at <= %s AND evicted_at IS NOT NULL ORDER BY expires_at LIMIT %s)"
            " UNION ALL"
            " (SELECT uid::text, name, image_key, result_key FROM jobs"
            " WHERE expires_at IS NULL AND finished_at <= %s AND evicted_at IS NOT NULL"
            " ORDER BY finished_at LIMIT %s)"
            " LIMIT %s",
            *(now, limit, end, limit, limit),
        )
        return [ExpiredJob(*row) for row in rows]

    async def expired_batches(
        self, now: datetime, default: timedelta | None, limit: int
    ) -> list[ArchivedBatch]:
        """Return evicted batches whose time to live has ended; `default` None means never."""
        end = None if default is None else now - default
        rows = await self._fetch(
            "SELECT uid::text, name, archived_index, evicted_at FROM batches"
            " WHERE evicted_at IS NOT NULL"
            " AND (expires_at <= %s OR (expires_at IS NULL AND finished_at <= %s))"
            " ORDER BY finished_at LIMIT %s",
            *(now, end, limit),
        )
        return [ArchivedBatch(*row) for row in rows]

    async def images_ended_before(self, end: datetime, limit: int) -> list[ExpiredJob]:
        """Return jobs that ended before `end` and still have an image."""
        rows = await self._fetch(
            "SELECT uid::text, name, image_key, result_key FROM jobs"
            " WHERE image_key IS NOT NULL AND finished_at < %s ORDER BY finished_at LIMIT %s",
            *(end, limit),
        )
        return [ExpiredJob(*row) for row in rows]

    async def forget_images(self, uids: Sequence[str]) -> None:
        """Note that the images of these jobs were deleted."""
        await self._execute(
            "UPDATE jobs SET image_key = NULL WHERE uid = ANY(%s::uuid[])", list(uids)
        )

    async def add_tombstones(self, uids: Sequence[str], *, batches: bool = False) -> None:
        """Note that these jobs or batches are deleted, so that no late row brings them back."""
        await self._execute(
            "INSERT INTO tombstones (uid, is_batch) SELECT unnest(%s::uuid[]), %s"
            " ON CONFLICT DO NOTHING",
            *(list(uids), batches),
        )

    async def to_clean(self, limit: int, *, batches: bool = False) -> list[str]:
        """Return jobs or batches with tombstones whose data has not been deleted yet."""
        rows = await self._fetch(
            "SELECT uid::text FROM tombstones"
            " WHERE cleaned_at IS NULL AND is_batch = %s ORDER BY tombstones.uid LIMIT %s",
            *(batches, limit),
        )
        return [uid for (uid,) in rows]

    async def keys_of(self, uids: Sequence[str]) -> list[ExpiredJob]:
        """Return what the rows of these jobs name, marked as evicted or not."""
        rows = await self._fetch(
            "SELECT uid::text, name, image_key, result_key FROM jobs WHERE uid = ANY(%s::uuid[])",
            list(uids),
        )
        return [ExpiredJob(*row) for row in rows]

    async def delete_jobs(self, uids: Sequence[str]) -> None:
        """Delete the rows of these jobs, and mark their tombstones as cleaned."""
        gone = list(uids)

        async def work(connection: AsyncConnection) -> None:
            await lock_owner(connection, self.counter)
            await fetch(connection, _DELETE_COUNTED, (gone, len(gone)))
            await connection.execute(_DELETE_EMPTY_CHUNKS)
            await connection.execute("DELETE FROM jobs WHERE uid = ANY(%s::uuid[])", (gone,))
            await connection.execute("DELETE FROM deliveries WHERE uid = ANY(%s::uuid[])", (gone,))
            await _mark_cleaned(connection, gone)

        await self._database.run(work)

    async def delete_batch_images(self, uid: str, limit: int) -> int:
        """Delete up to `limit` rows of a batch; return how many. At 0, its own row goes, too."""

        async def work(connection: AsyncConnection) -> int:
            await lock_owner(connection, self.counter)
            rows = await fetch(connection, _DELETE_COUNTED, ([uid], limit))
            deleted = int(rows[0][0])
            await connection.execute(_DELETE_EMPTY_CHUNKS)
            if not deleted:
                await connection.execute("DELETE FROM batches WHERE uid = %s", (uid,))
                await connection.execute("DELETE FROM deliveries WHERE uid = %s", (uid,))
                await _mark_cleaned(connection, [uid])

            return deleted

        return await self._database.run(work)

    async def drop_old_tombstones(self, now: datetime) -> int:
        """Delete up to 10,000 cleaned tombstones older than TOMBSTONE_DAYS; return how many."""
        return await self._execute(
            "DELETE FROM tombstones WHERE uid IN (SELECT uid FROM tombstones"
            " WHERE deleted_at < %s AND cleaned_at IS NOT NULL ORDER BY deleted_at LIMIT %s)",
            *(now - timedelta(days=TOMBSTONE_DAYS), MAX_DROPPED_TOMBSTONES),
        )

    async def drop_old_usage(self, now: datetime) -> int:
        """Delete up to 10,000 rows of the table usage older than USAGE_DAYS; return how many."""
        oldest = now.astimezone(UTC).date() - timedelta(days=USAGE_DAYS)
        return await self._execute(
            "DELETE FROM usage WHERE ctid = ANY(ARRAY("
            "SELECT ctid FROM usage WHERE day < %s ORDER BY day LIMIT %s))",
            *(oldest, MAX_DROPPED_USAGE),
        )


async def _mark_cleaned(connection: AsyncConnection, uids: list[str]) -> None:
    await connection.execute(
        "UPDATE tombstones SET cleaned_at = now()"
        " WHERE uid = ANY(%s::uuid[]) AND cleaned_at IS NULL",
        (uids,),
    )
