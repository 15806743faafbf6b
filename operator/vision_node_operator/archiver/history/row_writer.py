"""Write rows of images in bulk. A row that PostgreSQL refuses does not hold up the others."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from vision_node_contract.history.database import ROW_ERRORS, kind_of
from vision_node_contract.history.lexemes import vector_text
from vision_node_contract.history.records import ImageRow, JobRow

from .answers import Written
from .chunks import Chunk, ChunkMap
from .transactions import fetch
from .usage_sums import UsageSums

log = logging.getLogger(__name__)

PIECE_ROWS = 500
"""Maximum number of rows in a statement. More rows don't make a row cheaper."""

PIECE_BYTES = 8 << 20
"""Maximum size of a statement's texts, in characters, unless it has a single row. It bounds the
memory of archiver and server: a result may have 1 MiB."""

# One statement writes both tables, so an image never lacks the row of its lifecycle. Arrays in
# binary take less CPU time than COPY into a temporary table, for small groups only half as much.
_INSERT = """
WITH new AS (
    INSERT INTO images (
        uid, image_index, at, name, custom_id, owner, describer, phase, reason, body, excerpt,
        result, archive_error, search)
    SELECT
        uid, image_index, at, name, custom_id, owner, describer, phase, reason, body, excerpt,
        result, archive_error, search::tsvector
    FROM unnest(
        %t::uuid[], %b::int[], %b::timestamptz[], %b::text[], %b::text[], %b::text[], %b::text[],
        %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[]
    ) AS image (
        uid, image_index, at, name, custom_id, owner, describer, phase, reason, body, excerpt,
        result, archive_error, search)
    WHERE NOT EXISTS (SELECT FROM tombstones WHERE tombstones.uid = image.uid)
    ON CONFLICT DO NOTHING
    RETURNING uid, image_index, at
), added AS (
    INSERT INTO jobs (uid, name, finished_at, expires_at, image_key, result_key)
    SELECT job.* FROM unnest(
        %t::uuid[], %b::text[], %b::timestamptz[], %b::timestamptz[], %b::text[], %b::text[]
    ) AS job (uid, name, finished_at, expires_at, image_key, result_key)
    JOIN new USING (uid)
    ON CONFLICT DO NOTHING
)
SELECT count(*), max(at),
    CASE WHEN count(*) < %s THEN array_agg(uid::text || '/' || image_index::text) END
FROM new
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to write. The image of a batch has no row in `jobs`."""

    image: ImageRow
    job: JobRow | None

    @property
    def size(self) -> int:
        """The approximate size of the row's texts, in characters."""
        return len(self.image.body) + len(self.image.result or "")


class RowWriter:
    """Writes rows in one transaction, which has locked the table owner."""

    def __init__(self, connection: AsyncConnection, chunks: ChunkMap) -> None:
        self._connection = connection
        self._chunks = chunks
        self._written = 0
        self._refused = 0
        self._usage = UsageSums()

    async def write(self, entries: Sequence[Entry], *, newest: bool) -> Written:
        """Write the rows that don't exist yet and have no tombstone.

        With `newest`, all go to the newest chunk, and their time is its start at the earliest.
        """
        left = sorted(entries, key=lambda it: it.image.at)
        at = 0
        while at < len(left):
            chunk = self._chunks.newest if newest else self._chunks.of(left[at].image.at)
            piece = self._piece(left, at, chunk)
            await self._write_piece(piece, chunk)
            at += len(piece)

        await self._chunks.save(self._connection)
        await self._usage.save(self._connection)
        return Written(self._written, self._refused)

    def _piece(self, entries: list[Entry], start: int, chunk: Chunk) -> list[Entry]:
        """Return the next entries that go to this chunk with one statement; at least one."""
        end, size = self._chunks.end(chunk), 0
        stop = min(len(entries), start + min(PIECE_ROWS, self._chunks.room(chunk)))
        for at in range(start, stop):
            size += entries[at].size
            is_later = end is not None and entries[at].image.at >= end
            if at > start and (is_later or size > PIECE_BYTES):
                return entries[start:at]

        return entries[start:stop]

    async def _write_piece(self, piece: list[Entry], chunk: Chunk) -> None:
        """Write rows. If they are refused, halve them until the refused row is alone."""
        error = await self._insert(piece, chunk)
        if error is None:
            return

        if len(piece) > 1:
            half = len(piece) // 2
            await self._write_piece(piece[:half], chunk)
            await self._write_piece(piece[half:], chunk)
            return

        await self._write_refused(piece[0], chunk, error)

    async def _write_refused(self, entry: Entry, chunk: Chunk, error: str) -> None:
        uid, index = entry.image.uid, entry.image.image_index
        log.warning("PostgreSQL refused row %s %d, storing no result: %s", uid, index, error)
        self._refused += 1

        again = await self._insert([Entry(entry.image.refused(error), entry.job)], chunk)
        if again is not None:
            log.error("PostgreSQL refused row %s %d, it is skipped: %s", uid, index, again)

    async def _insert(self, piece: list[Entry], chunk: Chunk) -> str | None:
        """Insert rows; return the error if PostgreSQL refused them."""
        try:
            async with self._connection.transaction():
                answer = await fetch(self._connection, _INSERT, _values(piece, chunk))
        except ROW_ERRORS as error:
            return kind_of(error)

        rows, last_at, places = answer[0]
        if rows:
            self._written += rows
            self._chunks.count(chunk, rows, last_at)
            self._count_usage(piece if places is None else _at(piece, places))

        return None

    def _count_usage(self, new: Iterable[Entry]) -> None:
        for it in new:
            self._usage.add(it.image, it.job.finished_at if it.job else it.image.at)


def _at(piece: list[Entry], places: Iterable[str]) -> list[Entry]:
    """Return the entries of a piece that have these uids and indexes, each once."""
    found = {f"{it.image.uid}/{it.image.image_index}": it for it in reversed(piece)}
    return [found[place] for place in places]


def _values(piece: list[Entry], chunk: Chunk) -> list[object]:
    images = [it.image for it in piece]
    jobs = [it.job for it in piece if it.job is not None]
    return [
        [it.uid for it in images],
        [it.image_index for it in images],
        [max(it.at, chunk.starts_at) for it in images],
        [clean(it.name) for it in images],
        [clean(it.custom_id) for it in images],
        [clean(it.owner) for it in images],
        [clean(it.describer) for it in images],
        [it.phase for it in images],
        [clean(it.reason) for it in images],
        [clean(it.body) for it in images],
        [it.excerpt for it in images],
        [clean(it.result) for it in images],
        [clean(it.archive_error) for it in images],
        [vector_text(chunk.id, it.words, it.owner, it.reuse_key) for it in images],
        [it.uid for it in jobs],
        [clean(it.name) for it in jobs],
        [it.finished_at for it in jobs],
        [it.expires_at for it in jobs],
        [clean(it.image_key) for it in jobs],
        [clean(it.result_key) for it in jobs],
        len(piece),
    ]


def clean(text: str | None) -> str | None:
    """Return the text without what PostgreSQL's text can't hold: U+0000 and lone surrogates."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
