"""Databases with the history's tables, and rows for them."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from postgres import Postgres
from psycopg import AsyncConnection, sql
from vision_node_contract.history.database import Database, DatabaseSettings
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.history.schema import SINGLE, schema_name
from vision_node_operator.archiver.history.migrate import migrate
from vision_node_operator.archiver.history.store import LIMITS, HistoryStore

SCHEMA = schema_name("h7k2p9q4")
API_ROLE = "vision_node_api"
OWNER = "0b0b0b0b-0000-4000-8000-000000000001"
"""The uid of the identity ConfigMap that has claimed the schema."""

START = datetime(2026, 1, 1, tzinfo=UTC)


def make_template(postgres: Postgres) -> str:
    """Create a database with empty tables and an owner; return its name.

    `postgres.create_database(template)` copies it within milliseconds.
    """
    name = postgres.create_database()
    postgres.execute(f"CREATE ROLE {API_ROLE} LOGIN")

    async def fill() -> None:
        async with open_database(postgres.url(name)) as database:
            await migrate(database, API_ROLE)
            await HistoryStore(database).claim(OWNER)

    # Fixtures of a session may be made while a test's event loop exists in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, fill()).result()
    return name


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """Open a pool of connections with the archiver's limits."""
    async with Database.open(DatabaseSettings(url), SCHEMA, LIMITS) as database:
        yield database


def uid_of(number: int) -> str:
    """Return a uid; they are in the order of the numbers."""
    return str(UUID(int=number))


def image_row(number: int, **changes: Any) -> ImageRow:
    """Return the row of a single image, created `number` seconds after START."""
    values: dict[str, Any] = {
        "uid": uid_of(number),
        "image_index": SINGLE,
        "at": START + timedelta(seconds=number),
        "name": f"job-{number}",
        "custom_id": None,
        "owner": "",
        "describer": "local",
        "phase": "done",
        "reason": None,
        "body": '{"metadata":{}}',
        "result": '{"caption":"A cat"}',
        "excerpt": "{}",
        "words": ("a", "cat"),
    }
    return ImageRow(**values | changes)


def job_row(number: int, **changes: Any) -> JobRow:
    """Return the lifecycle of the same image, which ended a second after its creation."""
    values: dict[str, Any] = {
        "uid": uid_of(number),
        "name": f"job-{number}",
        "finished_at": START + timedelta(seconds=number + 1),
        "expires_at": None,
        "image_key": f"images/h7k2p9q4/{number}",
        "result_key": None,
    }
    return JobRow(**values | changes)


def rows_of(*numbers: int, **changes: Any) -> list[tuple[ImageRow, JobRow]]:
    """Return the rows of several jobs. Changes concern the rows of images."""
    return [(image_row(it, **changes), job_row(it)) for it in numbers]


async def row_count(database: Database, source: LiteralString) -> int:
    """Return the number of rows of a table, or of what follows FROM in a query."""
    query = sql.SQL("SELECT count(*) FROM ") + sql.SQL(source)

    async def work(connection: AsyncConnection) -> int:
        row = await (await connection.execute(query)).fetchone()
        return row[0] if row else 0

    return await database.run(work)
