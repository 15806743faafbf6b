"""Mark the rows of ImageJobs that are being evicted from etcd.

A mark is the time at which an archiver marked the row, and it belongs to that archiver. Two
archivers may run for a moment while a node is unreachable. Without marks, the slower one would take
an eviction by the other one for a deletion by a user, and delete the data.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum

from psycopg import AsyncConnection
from vision_node_contract.history.database import Database

from .row_counter import RowCounter

TAKE_OVER = timedelta(seconds=60)
"""Age of a mark after which another archiver may evict the ImageJob. A request to the API server
and its retries take at most half of this time."""


class Mark(Enum):
    """What marking a row has found."""

    FRESH = "fresh"
    """The row was not marked before. If the ImageJob is gone, a user has deleted it."""
    TAKEN = "taken"
    """The row was marked a while ago. If the ImageJob is gone, it was evicted."""
    BUSY = "busy"
    """Another archiver marked the row just now, so it was left alone."""


class EvictionMarks:
    """Marks rows of the table jobs. All methods raise HistoryUnavailableError."""

    def __init__(self, database: Database, counter: RowCounter) -> None:
        self._database = database
        self._counter = counter

    async def mark(self, expiries: Mapping[str, datetime | None], now: datetime) -> dict[str, Mark]:
        """Mark the rows of ImageJobs that exist; return what was found, by uid.

        ImageJobs without a row are not in the result. `expiries` has the current end of each
        ImageJob's time to live, which may have changed since it was archived.
        """

        async def work(connection: AsyncConnection) -> tuple[dict[str, Mark], int]:
            cursor = await connection.execute(
                "SELECT uid::text, evicted_at FROM jobs WHERE uid = ANY(%s::uuid[])"
                " ORDER BY uid FOR UPDATE",
                (list(expiries),),
            )
            found = {uid: _mark(evicted, now) for uid, evicted in await cursor.fetchall()}
            marked = [uid for uid, mark in found.items() if mark is not Mark.BUSY]
            await connection.execute(
                "UPDATE jobs SET evicted_at = %s, expires_at = it.expires_at"
                " FROM unnest(%s::uuid[], %s::timestamptz[]) AS it (uid, expires_at)"
                " WHERE jobs.uid = it.uid",
                (now, marked, [expiries[uid] for uid in marked]),
            )
            return found, await self._counter.add(connection, len(marked))

        marks, counter = await self._database.run(work)
        self._counter.note(counter)
        return marks

    async def unmark(self, uids: Sequence[str], marked_at: datetime) -> set[str]:
        """Undo mark() for ImageJobs that were not evicted.

        Return those whose mark had not been replaced by another archiver's.

        `marked_at` is the `now` of mark().
        """

        async def work(connection: AsyncConnection) -> set[str]:
            cursor = await connection.execute(
                "UPDATE jobs SET evicted_at = NULL"
                " WHERE uid = ANY(%s::uuid[]) AND evicted_at = %s RETURNING uid::text",
                (list(uids), marked_at),
            )
            return {uid for (uid,) in await cursor.fetchall()}

        return await self._database.run(work)

    async def marked(self, uids: Collection[str]) -> set[str]:
        """Return those of these ImageJobs whose rows are marked, if no mark can be missing."""
        restarts = self._counter.restarts

        async def work(connection: AsyncConnection) -> set[str]:
            cursor = await connection.execute(
                "SELECT uid::text FROM jobs WHERE uid = ANY(%s::uuid[]) AND evicted_at IS NOT NULL",
                (list(uids),),
            )
            found = {uid for (uid,) in await cursor.fetchall()}
            await self._counter.check(connection, restarts)
            return found

        return await self._database.run(work)

    async def reset_resource_version(self, version: int) -> None:
        """Note that the API server's resourceVersions begin at `version`, after a restore."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute("UPDATE owner SET resource_version = %s", (version,))

        await self._database.run(work)


def _mark(evicted_at: datetime | None, now: datetime) -> Mark:
    if evicted_at is None:
        return Mark.FRESH

    return Mark.TAKEN if evicted_at < now - TAKE_OVER else Mark.BUSY
