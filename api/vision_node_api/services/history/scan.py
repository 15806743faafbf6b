"""Look for wanted rows in the order of a list, at a bounded number of them and in a bounded time.

Most filters have no index: a rare reason would have to be looked for in a million rows. So a scan
stops after a short time, and says which place it has reached. The next page continues there.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import LiteralString
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row

from .history_rows import ImageRow, Part, Position
from .job_filter import JobFilter

SCAN_SECONDS = 0.05
"""How long a scan goes on, in seconds. Then it ends with what it has found."""

PIECE_ROWS = 2000
"""Number of rows to look at in one statement, which takes a few milliseconds."""

PIECE_BODIES = 250
"""The same number if the bodies are looked at. They are compressed and stored apart from the rows,
so that each takes ten times as long."""

MAX_BATCHES = 100
"""Maximum number of batches with the same name whose images are listed."""

IN_ORDER: LiteralString = "SET LOCAL enable_sort = off"
"""Lets the planner use the indexes, which have the order of lists. If it expects few rows, it would
read all and sort."""

_NO_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a time in places of images that are sorted by their indexes."""

# The number shows where a piece ends: its last row is always returned, wanted or not. The rows flow
# through, because OFFSET 0 and the window need no sorting, so that reading stops at the limit.
_SCAN = """
    SELECT uid, image_index, at, name, custom_id, describer, phase, reason, excerpt,
      NOT is_wanted AS is_hidden, number
    FROM (
      SELECT *, {condition} AND NOT EXISTS (
        SELECT FROM tombstones WHERE tombstones.uid = numbered.uid OFFSET 0) AS is_wanted
      FROM (
        SELECT *, row_number() OVER () AS number
        FROM (
          SELECT uid, image_index, at, name, custom_id, owner, describer, phase, reason, excerpt,
            body
          FROM images
          WHERE {place}
          LIMIT %(piece)s
        ) piece
      ) numbered
      OFFSET 0
    ) checked
    WHERE is_wanted OR number = %(piece)s
    LIMIT %(limit)s
"""

# The indexes of owners need `image_index < 0`, as the migration explains.
_BY_TIME = "(at, uid) < (%(at)s, %(uid)s) {after} ORDER BY at DESC, uid DESC"
_OF_ALL = "image_index = -1 AND " + _BY_TIME
_OF_OWNER = "image_index < 0 AND owner = %(owner)s AND " + _BY_TIME
_OF_BATCH = "uid = %(uid)s AND image_index > %(index)s ORDER BY image_index"

_BATCHES = """
    SELECT uid
    FROM batches
    WHERE name = %(name)s AND (owner = %(owner)s::text) IS NOT FALSE
    ORDER BY created_at DESC
    LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class ScannedRow(ImageRow):
    """A row, and its number in the piece that was looked at."""

    number: int


@dataclass(frozen=True, slots=True)
class Scan:
    """A search for wanted rows over a connection in a transaction."""

    connection: AsyncConnection
    wanted: JobFilter
    limit: int
    """Maximum number of rows to find."""
    deadline: float = field(default_factory=lambda: time.monotonic() + SCAN_SECONDS)
    """Monotonic time at which the scan ends with what it has found, in seconds."""

    async def jobs(self, start: Position) -> Part[ImageRow]:
        """Find single images after a place, from the newest to the oldest."""
        place = (_OF_OWNER if self.wanted.owner else _OF_ALL).replace(
            "{after}", "AND at >= %(after)s" if self.wanted.after else ""
        )
        found: list[ImageRow] = []
        await self.connection.execute(IN_ORDER)
        return Part(found, await self._look(place, start, found))

    async def batch_images(self, name: str, start: Position | None) -> Part[ImageRow]:
        """Find images of the batches with this name by their indexes, after a place.

        If there are several batches, the images of one come after those of another.
        """
        values = {"name": name, "owner": self.wanted.owner or None, "limit": MAX_BATCHES}
        rows = await (await self.connection.execute(_BATCHES, values)).fetchall()
        found: list[ImageRow] = []
        await self.connection.execute(IN_ORDER)
        for uid in sorted(str(row[0]) for row in rows):
            if start and uid < start.uid:
                continue

            is_begun = start is not None and uid == start.uid
            first = start if start and is_begun else Position(_NO_TIME, uid)
            reached = await self._look(_OF_BATCH, first, found)
            if reached:
                return Part(found, reached)

        return Part(found, None)

    async def _look(
        self, place: LiteralString, start: Position, found: list[ImageRow]
    ) -> Position | None:
        """Add wanted rows to `found`; return the place that was reached, or None at the end."""
        while True:
            rows, is_end = await self._piece(place, start, self.limit - len(found))
            found += [row for row in rows if not row.is_hidden]
            if len(found) >= self.limit:
                return found[-1].position
            if is_end:
                return None

            start = rows[-1].position
            if time.monotonic() >= self.deadline:
                return start

    async def _piece(
        self, place: LiteralString, start: Position, limit: int
    ) -> tuple[list[ScannedRow], bool]:
        """Return the wanted rows of a piece and its last row, and whether the list ends there."""
        piece = PIECE_BODIES if self.wanted.labels else PIECE_ROWS
        condition = f"{self.wanted.condition()} AND {self.wanted.body_condition()}"
        statement = _SCAN.replace("{condition}", condition).replace("{place}", place)
        at = {"at": start.at, "uid": UUID(start.uid), "index": start.image_index}
        parameters = self.wanted.values() | at | {"piece": piece, "limit": limit}
        async with self.connection.cursor(row_factory=class_row(ScannedRow)) as cursor:
            await cursor.execute(statement, parameters)
            rows = await cursor.fetchall()

        is_full = len(rows) == limit or (bool(rows) and rows[-1].number == piece)
        return rows, not is_full
