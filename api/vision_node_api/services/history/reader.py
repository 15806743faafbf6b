"""Read the history: one method for each question."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from vision_node_contract.history.database import (
    ANSWER_SECONDS,
    Database,
    HistoryError,
    HistoryUnavailableError,
)
from vision_node_contract.history.schema import OLDEST_READABLE
from vision_node_contract.models.imagebatch import ImageBatch

from ..storage_health import OK
from .callback_rows import CallbackRow, find_callback
from .cursor import NEWEST
from .history_rows import (
    BatchImageRow,
    BatchQuery,
    BatchRow,
    FullRow,
    ImageRow,
    JobRow,
    Part,
    Position,
)
from .job_filter import JobFilter
from .outage_guard import OutageGuard
from .scan import IN_ORDER, Scan
from .search import Search, search
from .search_limit import SearchLimit
from .usage_rows import OF_ALL, OF_OWNER, UsageQuery, UsageRow

CHECK_SECONDS = 2.0
"""Time limit for a check in seconds. Most take a few milliseconds."""

_VERSION = "SELECT coalesce(max(version), 0) FROM schema_version"

# Without OFFSET, the planner would join the tombstones. If there are more of them than images, it
# expects that no image is left, and so reads all of both.
#
# The indexes of owners and names need `image_index < 0`, as the migration explains.
#
# `IS NOT FALSE` allows all owners if the parameter is null, and keeps the planner from using the
# index of owners, in which it would read all images of the owner.
_FIND_JOB = """
    SELECT uid, body, CASE WHEN %(with_result)s THEN result END AS result, archive_error
    FROM images
    WHERE image_index < 0 AND name = %(name)s AND (owner = %(owner)s::text) IS NOT FALSE
      AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = images.uid OFFSET 0)
    ORDER BY at DESC, uid DESC
    LIMIT 1
"""

_FIND_RESULT = """
    SELECT uid, body, result, archive_error
    FROM images
    WHERE uid = %(uid)s AND image_index = -1
      AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = images.uid OFFSET 0)
"""

_FIND_NAMED = """
    SELECT uid
    FROM images
    WHERE image_index < 0 AND name = %(name)s AND (owner = %(owner)s::text) IS NOT FALSE
      AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = images.uid OFFSET 0)
    LIMIT %(limit)s
"""

_FIND_BATCH = """
    SELECT body
    FROM batches
    WHERE name = %(name)s AND finished_at IS NOT NULL AND (owner = %(owner)s::text) IS NOT FALSE
      AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = batches.uid OFFSET 0)
    ORDER BY created_at DESC, uid DESC
    LIMIT 1
"""

_LIST = """
    SELECT uid, image_index, at, name, custom_id, describer, phase, reason, excerpt,
      false AS is_hidden
    FROM images
    WHERE image_index = -1 AND (at, uid) < (%(at)s, %(uid)s)
      AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = images.uid OFFSET 0)
    ORDER BY at DESC, uid DESC
    LIMIT %(limit)s
"""

_LIST_OF_OWNER = _LIST.replace("image_index = -1", "image_index < 0 AND owner = %(owner)s")

# There are few batches, because each stands for many images, so all of them are sorted. Only the
# bodies that the page needs are read: the inner query sorts references to them.
#
# The phase is compared as text, because PostgreSQL's functions for JSON fail for some characters. A
# text in the body can't look like it, because its quotes are escaped.
_LIST_BATCHES = """
    SELECT uid, created_at, body
    FROM (
      SELECT uid, created_at, body
      FROM batches
      WHERE finished_at IS NOT NULL AND (created_at, uid) < (%(at)s, %(uid)s)
        AND (%(owner)s::text IS NULL OR owner = %(owner)s)
        AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = batches.uid OFFSET 0)
      ORDER BY created_at DESC, uid DESC
      OFFSET 0
    ) sorted
    WHERE %(phase)s::text IS NULL OR body ~ %(phase)s
    LIMIT %(limit)s
"""

# One image of a batch, by the primary key.
_FIND_IMAGE = """
    SELECT body, result
    FROM images
    WHERE uid = %(uid)s AND image_index = %(index)s
      AND NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = images.uid OFFSET 0)
"""

_READ_ROWS = """
    SELECT uid, image_index, body, result, archive_error
    FROM unnest(%(uids)s::uuid[], %(indexes)s::int[]) AS wanted (uid, image_index)
    JOIN images USING (uid, image_index)
    WHERE NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = images.uid OFFSET 0)
"""

_ADD_TOMBSTONE = "INSERT INTO tombstones (uid, is_batch) VALUES (%s, %s) ON CONFLICT DO NOTHING"

MAX_NAMESAKES = 1000
"""Maximum number of jobs with the same name. A name is used again if a client repeats an
Idempotency-Key after days."""

T = TypeVar("T")


class HistoryReader:
    """Reads the history of one release.

    All methods raise HistoryError if the database is away, is not ready, or takes too long.
    """

    def __init__(self, database: Database, guard: OutageGuard | None = None) -> None:
        self.outcomes = Counter({OK: 0})
        """Number of requests by outcome, which is `ok` or the reason of the error."""
        self._database = database
        self._guard = guard or OutageGuard()
        self._searches = SearchLimit()
        self._is_readable = False
        """Whether the schema had a version that can be read when it was last looked at."""

    async def check(self) -> None:
        """Check whether the history can be read."""

        async def read_nothing(connection: AsyncConnection) -> None:
            await _require_readable(connection)

        await self._run(read_nothing, CHECK_SECONDS)

    async def find_job(
        self,
        name: str,
        *,
        with_result: bool = False,
        seconds: float = ANSWER_SECONDS,
        owner: str | None = None,
    ) -> JobRow | None:
        """Return the newest job with this name; None if there is none.

        Only those of `owner` are looked at, unless it is None.
        """
        values = {"name": name, "with_result": with_result, "owner": owner}
        return await self._run(lambda it: _job_row(it, _FIND_JOB, values), seconds)

    async def find_result(self, uid: str) -> JobRow | None:
        """Return the job with this uid, together with its result; None if there is none."""
        return await self._run(lambda it: _job_row(it, _FIND_RESULT, {"uid": UUID(uid)}))

    async def find_reusable(self, reuse_key: str, limit: int, *, seconds: float) -> list[JobRow]:
        """Return up to `limit` jobs whose results can be reused for a key, the newest first.

        Their results are in their rows. Rows that older releases archived are not found.
        """
        query = Search((), reuse_key=reuse_key)

        async def read(connection: AsyncConnection) -> list[JobRow]:
            part = await search(connection, query, NEWEST, limit)
            rows = [await _job_row(connection, _FIND_RESULT, {"uid": it.uid}) for it in part.found]
            return [row for row in rows if row]

        return await self._run(read, seconds)

    async def uids_named(self, name: str, owner: str | None) -> set[str]:
        """Return the uids of all jobs with this name, up to MAX_NAMESAKES.

        Only those of `owner` are returned, unless it is None.
        """

        async def read(connection: AsyncConnection) -> set[str]:
            values = {"name": name, "limit": MAX_NAMESAKES, "owner": owner}
            rows = await (await connection.execute(_FIND_NAMED, values)).fetchall()
            return {str(row[0]) for row in rows}

        return await self._run(read)

    async def find_batch(self, name: str, owner: str | None) -> ImageBatch | None:
        """Return the newest finished ImageBatch with this name; None if there is none.

        Only those of `owner` are looked at, unless it is None.

        Raises:
            ValueError: This version can't read the row.
        """

        async def find(connection: AsyncConnection) -> str | None:
            values = {"name": name, "owner": owner}
            row = await (await connection.execute(_FIND_BATCH, values)).fetchone()
            return row[0] if row else None

        body = await self._run(find)
        return ImageBatch.model_validate_json(body) if body is not None else None

    async def list_jobs(self, before: Position, owner: str | None, limit: int) -> list[ImageRow]:
        """Return up to `limit` single images after a position, from the newest to the oldest."""
        values = {
            "at": before.at,
            "uid": UUID(before.uid),
            "owner": owner,
            "limit": limit,
        }

        async def read(connection: AsyncConnection) -> list[ImageRow]:
            await connection.execute(IN_ORDER)
            statement = _LIST_OF_OWNER if owner else _LIST
            async with connection.cursor(row_factory=class_row(ImageRow)) as cursor:
                await cursor.execute(statement.encode(), values)
                return await cursor.fetchall()

        return await self._run(read)

    async def find_callback(self, uid: str) -> CallbackRow:
        """Return the state of the message about a job or batch that has a callback."""
        return await self._run(lambda it: find_callback(it, uid))

    async def list_batches(self, wanted: BatchQuery) -> list[BatchRow]:
        """Return finished ImageBatches, from the newest to the oldest."""
        values = {
            "at": wanted.before.at,
            "uid": UUID(wanted.before.uid),
            "owner": wanted.owner or None,
            "phase": f'"phase": ?"{wanted.phase}"' if wanted.phase else None,
            "limit": wanted.limit,
        }

        async def read(connection: AsyncConnection) -> list[BatchRow]:
            await connection.execute(IN_ORDER)
            async with connection.cursor(row_factory=class_row(BatchRow)) as cursor:
                await cursor.execute(_LIST_BATCHES, values)
                return await cursor.fetchall()

        return await self._run(read)

    async def find_image(self, uid: str, index: int) -> BatchImageRow | None:
        """Return an image of the ImageBatch with this uid; None if there is no row of it."""
        values = {"uid": UUID(uid), "index": index}

        async def read(connection: AsyncConnection) -> BatchImageRow | None:
            async with connection.cursor(row_factory=class_row(BatchImageRow)) as cursor:
                await cursor.execute(_FIND_IMAGE, values)
                return await cursor.fetchone()

        return await self._run(read)

    async def find_jobs(self, wanted: JobFilter, start: Position, limit: int) -> Part[ImageRow]:
        """Return up to `limit` wanted single images after a place, from the newest to the oldest.

        If the filter has more than an owner, the part may end early.
        """
        if not wanted.is_selective:
            rows = await self.list_jobs(start, wanted.owner, limit)
            return Part(rows, rows[-1].position if len(rows) == limit else None)

        async with self._searches.searching():
            return await self._run(lambda it: Scan(it, wanted, limit).jobs(start))

    async def find_batch_images(
        self, wanted: JobFilter, start: Position | None, limit: int
    ) -> Part[ImageRow]:
        """Return up to `limit` wanted images of the batches with the name that the filter has.

        They are sorted by their indexes, and begin after a place. The part may end early.
        """
        name = wanted.batch or ""
        async with self._searches.searching():
            return await self._run(lambda it: Scan(it, wanted, limit).batch_images(name, start))

    async def read_rows(self, places: Sequence[Position]) -> list[FullRow]:
        """Return the complete rows of images, in no order. Deleted ones are missing."""
        values = {
            "uids": [UUID(it.uid) for it in places],
            "indexes": [it.image_index for it in places],
        }

        async def read(connection: AsyncConnection) -> list[FullRow]:
            async with connection.cursor(row_factory=class_row(FullRow)) as cursor:
                await cursor.execute(_READ_ROWS, values)
                return await cursor.fetchall()

        return await self._run(read)

    async def search(self, query: Search, before: Position, limit: int) -> Part[ImageRow]:
        """Return up to `limit` images that match, after a position, from the newest to the oldest.

        With a filter, the part may end early. Images that finished within the last two seconds may
        be missing.
        """
        async with self._searches.searching():
            return await self._run(lambda it: search(it, query, before, limit))

    async def read_usage(
        self, wanted: UsageQuery, *, seconds: float = ANSWER_SECONDS
    ) -> list[UsageRow]:
        """Return what was used, from the newest day to the oldest, by describer."""
        statement = OF_ALL if wanted.owner is None else OF_OWNER
        values = asdict(wanted)

        async def read(connection: AsyncConnection) -> list[UsageRow]:
            async with connection.cursor(row_factory=class_row(UsageRow)) as cursor:
                await cursor.execute(statement.encode(), values)
                return await cursor.fetchall()

        return await self._run(read, seconds)

    async def add_tombstone(self, uid: str, *, is_batch: bool = False) -> None:
        """Hide a job or batch, and let the archiver delete its data."""

        async def add(connection: AsyncConnection) -> None:
            await connection.execute(_ADD_TOMBSTONE, (UUID(uid), is_batch))

        await self._run(add)

    async def _run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        seconds: float = ANSWER_SECONDS,
    ) -> T:
        async def transaction(connection: AsyncConnection) -> T:
            if not self._is_readable:
                await _require_readable(connection)
            return await work(connection)

        try:
            result = await self._guard.run(lambda: self._database.run(transaction), seconds)
        except HistoryError as error:
            self.outcomes[error.reason] += 1
            self._is_readable = False
            raise

        self.outcomes[OK] += 1
        self._is_readable = True
        return result


async def _require_readable(connection: AsyncConnection) -> None:
    """Raise an error if this release can't read the schema because it is too old."""
    row = await (await connection.execute(_VERSION)).fetchone()
    version = row[0] if row else 0
    if version < OLDEST_READABLE:
        raise HistoryUnavailableError(
            f"the tables have version {version}, but this release needs {OLDEST_READABLE} at least",
            "HistoryNotReady",
        )


async def _job_row(
    connection: AsyncConnection, statement: str, values: dict[str, object]
) -> JobRow | None:
    async with connection.cursor(row_factory=class_row(JobRow)) as cursor:
        await cursor.execute(statement.encode(), values)
        return await cursor.fetchone()
