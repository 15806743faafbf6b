"""Tests of how many rows PostgreSQL reads for a page of a list, or for a job.

With some statistics, the planner takes another index than the one that was made for a statement,
and then reads nearly all rows of the table.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from history_database import SCHEMA
from psycopg import AsyncConnection
from vision_node_api.services.history.cursor import NEWEST
from vision_node_api.services.history.history_rows import BatchQuery
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.history.search import Search
from vision_node_contract.history.database import Database
from vision_node_contract.history.lexemes import query_words

LIMIT = 51

SINGLES = """
    INSERT INTO images (uid, image_index, at, name, owner, describer, phase, body, excerpt, search)
    SELECT gen_random_uuid(), -1, '2026-01-01Z'::timestamptz + number * interval '1 s',
      'job-' || number, CASE WHEN number < 2000 THEN 'ada' ELSE '' END, 'local', 'done',
      repeat('x', 1000), '{}', array_to_tsvector(ARRAY['0:w' || (1000 + number % 150)])
    FROM generate_series(1, 6000) AS number
"""
"""Jobs, of which the oldest third belongs to ada."""
BATCH = """
    INSERT INTO images (uid, image_index, at, name, describer, phase, body, excerpt, search)
    SELECT gen_random_uuid(), number, '2026-02-01Z', 'holiday', 'local', 'done', '', '{}', ''
    FROM generate_series(1, 6000) AS number
"""
"""Images of a batch."""
TOMBSTONES = """
    INSERT INTO tombstones (uid, deleted_at, cleaned_at)
    SELECT gen_random_uuid(), now(), now() FROM generate_series(1, 18000)
"""
"""Tombstones of the last days. There are more of them than jobs, if these are kept for a day."""

BATCHES = """
    INSERT INTO batches (uid, name, owner, created_at, finished_at, evicted_at, body)
    SELECT gen_random_uuid(), 'batch-' || number, CASE WHEN number > 5900 THEN 'ada' ELSE '' END,
      '2026-01-01Z'::timestamptz + number * interval '1 s', '2026-02-01Z', now(), repeat('x', 1000)
    FROM generate_series(1, 6000) AS number
"""
"""Finished batches, of which the newest hundred belong to ada."""

Setup = tuple[str, ...]
STATISTICS: dict[str, Setup] = {
    "usual": (SINGLES, "ANALYZE"),
    "none": (SINGLES,),
    "with a batch": (SINGLES, BATCH, "ANALYZE"),
    "with tombstones": (SINGLES, TOMBSTONES, "ANALYZE"),
    "of an empty table": ("VACUUM ANALYZE", SINGLES, TOMBSTONES),
    "after a deletion": (SINGLES, TOMBSTONES, "DELETE FROM images WHERE at < '2026-01-01T01:30Z'"),
    "after a deletion and vacuum": (
        *(SINGLES, "DELETE FROM images WHERE at > '2026-01-01T00:01Z'", "VACUUM ANALYZE"),
        *(SINGLES, TOMBSTONES),
    ),
}
"""What happened to the tables before they are read."""


class Counting:
    """A database that counts the rows that each transaction reads."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.rows = 0

    async def run(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        async def counted(connection: AsyncConnection) -> Any:
            before = await rows_read(connection)
            result = await work(connection)
            self.rows = await rows_read(connection) - before
            return result

        return await self.database.run(counted)


async def rows_read(connection: AsyncConnection) -> int:
    """Return how many rows this connection has read from all tables lately."""
    cursor = await connection.execute(
        "SELECT sum(seq_tup_read + idx_tup_fetch)::int FROM pg_stat_xact_user_tables"
    )
    row = await cursor.fetchone()
    return row[0] if row else 0


@pytest.mark.parametrize("statistics", STATISTICS)
async def test_few_rows_are_read(
    statistics: str, history_url: str, reader: HistoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(history_url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {SCHEMA}".encode())
        for statement in (
            "ALTER TABLE images SET (autovacuum_enabled = off)",
            *STATISTICS[statistics],
        ):
            connection.execute(statement.encode())

    database = Counting(reader._database)
    monkeypatch.setattr(reader, "_database", database)
    reads = {
        "list": lambda: reader.list_jobs(NEWEST, None, LIMIT),
        "ada's": lambda: reader.list_jobs(NEWEST, "ada", LIMIT),
        "nobody's": lambda: reader.list_jobs(NEWEST, "bob", LIMIT),
        "job": lambda: reader.find_job("job-6000"),
        "no job": lambda: reader.find_job("job-0"),
        "batch": lambda: reader.find_job("holiday"),
        "search": lambda: reader.search(Search(query_words("w1042")), NEWEST, LIMIT),
        "no match": lambda: reader.search(Search(query_words("w2000")), NEWEST, LIMIT),
    }
    many = {}
    for name, read in reads.items():
        await read()
        if database.rows > 3 * LIMIT:
            many[name] = database.rows

    assert not many


@pytest.mark.parametrize("statistics", [(), ("ANALYZE",)], ids=["none", "usual"])
async def test_few_rows_are_read_for_a_page_of_batches(
    statistics: Setup, history_url: str, reader: HistoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(history_url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {SCHEMA}".encode())
        for statement in (
            "ALTER TABLE batches SET (autovacuum_enabled = off)",
            *(BATCHES, *statistics),
        ):
            connection.execute(statement.encode())

    database = Counting(reader._database)
    monkeypatch.setattr(reader, "_database", database)
    for owner in (None, "ada"):
        assert len(await reader.list_batches(BatchQuery(NEWEST, LIMIT, owner=owner))) == LIMIT
        assert database.rows <= 3 * LIMIT
