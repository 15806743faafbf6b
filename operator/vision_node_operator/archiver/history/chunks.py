"""Assign images to chunks of time. vision_node_contract/history/lexemes.py explains chunks."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from psycopg import AsyncConnection

TICK = timedelta(microseconds=1)
"""The resolution of times in PostgreSQL."""

# Python has no -infinity; no image is older than the year 1.
_READ = """
SELECT id, greatest(starts_at, '0001-01-02Z'), rows, greatest(last_at, '0001-01-02Z')
FROM chunks
WHERE starts_at >= (
    SELECT max(starts_at) FROM chunks WHERE starts_at <= coalesce(%s::timestamptz, 'infinity'))
ORDER BY starts_at
"""
_SAVE = """
INSERT INTO chunks (id, starts_at, rows, last_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET rows = excluded.rows, last_at = excluded.last_at
"""


@dataclass(slots=True)
class Chunk:
    """A row of the table chunks."""

    id: int
    starts_at: datetime
    rows: int
    last_at: datetime


@dataclass(slots=True)
class ChunkMap:
    """The newest chunks during a transaction that has locked the table owner."""

    chunks: list[Chunk]
    """In order of time; never empty."""
    max_rows: int
    _changed: dict[int, Chunk] = field(default_factory=dict)

    @classmethod
    async def read(
        cls, connection: AsyncConnection, oldest: datetime | None, max_rows: int
    ) -> "ChunkMap":
        """Read the chunks of the images since `oldest`; only the newest chunk if it is None."""
        cursor = await connection.execute(_READ, (oldest,))
        return cls([Chunk(*row) for row in await cursor.fetchall()], max_rows)

    async def save(self, connection: AsyncConnection) -> None:
        """Write the chunks that have changed."""
        for it in self._changed.values():
            await connection.execute(_SAVE, (it.id, it.starts_at, it.rows, it.last_at))

    @property
    def newest(self) -> Chunk:
        """The newest chunk, which has room: if it was full, a new one begins."""
        chunk = self.chunks[-1]
        if chunk.rows >= self.max_rows:
            start = chunk.last_at + TICK
            chunk = Chunk(chunk.id + 1, start, 0, start - TICK)
            self.chunks.append(chunk)
            self._changed[chunk.id] = chunk

        return chunk

    def of(self, at: datetime) -> Chunk:
        """Return the chunk of an image with this time."""
        if at >= self.newest.starts_at:
            return self.chunks[-1]
        return next(it for it in reversed(self.chunks) if it.starts_at <= at)

    def room(self, chunk: Chunk) -> int:
        """Return how many images the chunk has room for. Only the newest one has a limit."""
        return self.max_rows - chunk.rows if chunk is self.chunks[-1] else self.max_rows

    def end(self, chunk: Chunk) -> datetime | None:
        """Return when the next chunk starts; None if this is the newest one."""
        place = self.chunks.index(chunk) + 1
        return self.chunks[place].starts_at if place < len(self.chunks) else None

    def count(self, chunk: Chunk, rows: int, last_at: datetime) -> None:
        """Note that `rows` images were written to the chunk."""
        chunk.rows += rows
        chunk.last_at = max(chunk.last_at, last_at)
        self._changed[chunk.id] = chunk
