"""Search for images by words, beginning with the newest ones.

The index can't return matches in the order of time. So each word is stored together with the number
of its chunk, which stands for a period of time. A search looks into one chunk, then into two, four
and so on, until it has found enough.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from vision_node_contract.history.database import (
    ANSWER_SECONDS,
    STATEMENT_SECONDS,
    HistoryUnavailableError,
)
from vision_node_contract.history.lexemes import QueryWord, query_text

from .history_rows import ImageRow, Part, Position
from .job_filter import BEFORE_ALL, EVERYTHING, JobFilter
from .scan import PIECE_BODIES

C = TypeVar("C")

SEARCH_SECONDS = ANSWER_SECONDS - STATEMENT_SECONDS - 0.5
"""How long a search may take before its last statement, in seconds. So a slow search ends before
the time limit of its transaction, which would look like a database that does not answer."""

MAX_GROUP = 64
"""Maximum number of chunks in one statement, which is a million images, times the number of words.
PostgreSQL compares each image that has some of the words with the words of all chunks: with seven
frequent words, 64 chunks at once take 1.4 s, and nine at a time 0.6 s."""

FILTERED_SECONDS = 0.05
"""How long a search with a filter goes on, in seconds. Then it ends with what it has found, because
no index says which matches are wanted."""

# The first chunk begins at minus infinity, which is no time in Python.
_CHUNKS = """
    SELECT id, CASE WHEN isfinite(starts_at) THEN starts_at END
    FROM chunks
    WHERE starts_at <= %(at)s
      AND (%(after)s::timestamptz IS NULL OR starts_at >= (
        SELECT max(starts_at) FROM chunks WHERE starts_at <= %(after)s))
    ORDER BY starts_at DESC
"""

# The index collects all rows that have a word before it looks at their owner, which is slow for a
# common word. So chunks without images of the owner are left out.
_OF_OWNER = """
    SELECT id
    FROM unnest(%s::int[], %s::text[]) AS chunk (id, query)
    WHERE EXISTS (SELECT FROM images WHERE search @@ query::tsquery)
"""

# MATERIALIZED makes PostgreSQL sort what the words' index has found before it reads whole rows.
_MATCHES = """
    WITH m AS MATERIALIZED (
      SELECT uid, image_index, at
      FROM images
      WHERE search @@ %(query)s::tsquery AND (at, uid, image_index) < (%(at)s, %(uid)s, %(index)s)
        AND {condition}
    ), t AS MATERIALIZED (
      SELECT * FROM m ORDER BY at DESC, uid DESC, image_index DESC LIMIT %(limit)s
    )
    SELECT uid, image_index, i.at, name, custom_id, describer, phase, reason, excerpt,
      EXISTS (SELECT FROM tombstones WHERE tombstones.uid = i.uid)
        OR NOT ({body_condition}) AS is_hidden
    FROM t JOIN images i USING (uid, image_index)
    ORDER BY i.at DESC, uid DESC, image_index DESC
"""


@dataclass(frozen=True, slots=True)
class Search:
    """What to search for: images that have all the words."""

    words: Sequence[QueryWord]
    owner: str | None = None
    reuse_key: str | None = None
    """If set, only single images are found whose results can be reused for this key."""
    wanted: JobFilter = EVERYTHING
    """What the images must have besides the words."""

    @property
    def terms(self) -> int:
        """Number of terms that an image must have."""
        return len(self.words) + bool(self.owner) + bool(self.reuse_key)


class SearchedChunk(NamedTuple):
    """A chunk that a search looks into."""

    id: int
    starts_at: datetime | None
    """None for the oldest chunk."""


async def search(
    connection: AsyncConnection, query: Search, before: Position, limit: int
) -> Part[ImageRow]:
    """Return the newest images before a position that match, from the newest to the oldest.

    With a filter, the search ends after FILTERED_SECONDS with what it has found.

    Args:
        connection: A connection in a transaction.
        query: What to search for.
        before: Where to start.
        limit: Maximum number of images.

    Raises:
        HistoryUnavailableError: HistoryTooSlow if it took SEARCH_SECONDS and has not found enough.
    """
    begun = time.monotonic()
    chunks = await _chunks(connection, before, query.wanted)

    found: list[ImageRow] = []
    for chosen in groups_of(chunks, query):
        _require_time(begun + SEARCH_SECONDS)
        group = await _with_owner(connection, [it.id for it in chosen], query.owner)
        if group:
            text = query_text(group, query.words, query.owner, query.reuse_key)
            reached = await _add_matches(connection, query, text, before, limit, found, begun)
            if reached and len(found) < limit:
                return Part(found, reached)

        if len(found) >= limit:
            return Part(found[:limit], found[limit - 1].position)

        oldest = chosen[-1].starts_at
        is_late = time.monotonic() >= begun + FILTERED_SECONDS
        if query.wanted.is_selective and oldest and is_late:
            return Part(found, Position(oldest, BEFORE_ALL))

    return Part(found, None)


async def _chunks(
    connection: AsyncConnection, before: Position, wanted: JobFilter
) -> list[SearchedChunk]:
    """Return the chunks that may have wanted images before a position, the newest first."""
    values = {"at": before.at, "after": wanted.after}
    rows = await (await connection.execute(_CHUNKS, values)).fetchall()
    return [SearchedChunk(*row) for row in rows]


async def _add_matches(
    connection: AsyncConnection,
    query: Search,
    text: str,
    before: Position,
    limit: int,
    found: list[ImageRow],
    begun: float,
) -> Position | None:
    """Add the matches in a group of chunks until there are enough or no more.

    With labels, return the place that was reached if that takes longer than FILTERED_SECONDS.
    """
    labels = query.wanted.labels
    size = max(limit, PIECE_BODIES) if labels else limit
    is_complete = False
    while not is_complete and len(found) < limit:
        _require_time(begun + SEARCH_SECONDS)
        page = await _page(connection, query.wanted, text, before, size)
        found += [row for row in page if not row.is_hidden]
        is_complete = len(page) < size
        before = page[-1].position if page else before
        if labels and not is_complete and time.monotonic() >= begun + FILTERED_SECONDS:
            return before

    return None


async def _with_owner(
    connection: AsyncConnection, chunks: Sequence[int], owner: str | None
) -> Sequence[int]:
    """Return those of the chunks that have images of the owner; all of them without an owner."""
    if not owner:
        return chunks

    queries = [query_text([chunk], [], owner) for chunk in chunks]
    rows = await (await connection.execute(_OF_OWNER, (list(chunks), queries))).fetchall()
    found = {row[0] for row in rows}
    return [chunk for chunk in chunks if chunk in found]


async def _page(
    connection: AsyncConnection, wanted: JobFilter, text: str, before: Position, limit: int
) -> list[ImageRow]:
    values = wanted.values() | {
        "query": text,
        "at": before.at,
        "uid": UUID(before.uid),
        "index": before.image_index,
        "limit": limit,
    }
    async with connection.cursor(row_factory=class_row(ImageRow)) as cursor:
        statement = _MATCHES.replace("{condition}", wanted.condition())
        await cursor.execute(statement.replace("{body_condition}", wanted.body_condition()), values)
        return await cursor.fetchall()


def groups_of(chunks: Sequence[C], query: Search) -> Iterator[Sequence[C]]:
    """Yield the first chunk, the next two, the next four and so on, up to MAX_GROUP for a word."""
    largest = max(1, MAX_GROUP // query.terms)

    start, size = 0, 1
    while start < len(chunks):
        yield chunks[start : start + size]
        start += size
        size = min(size * 2, largest)


def _require_time(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise HistoryUnavailableError(
            f"the search has not found enough within {SEARCH_SECONDS:g} s", "HistoryTooSlow"
        )
