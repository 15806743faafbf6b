"""The transactions of the history's store, and the lock that all writers of rows take."""

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection
from vision_node_contract.history.database import Database, HistoryError, HistoryUnavailableError
from vision_node_contract.history.schema import SCHEMA_VERSION

from .row_counter import RowCounter


class Transactions:
    """Runs statements in transactions of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.counter = RowCounter()

    async def _fetch(self, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Run a query, and return its rows."""

        async def work(connection: AsyncConnection) -> list[tuple[Any, ...]]:
            return await fetch(connection, query, values)

        return await self._database.run(work)

    async def _execute(self, statement: LiteralString, *values: object) -> int:
        """Run a statement, and return how many rows it changed."""

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement, values)).rowcount

        return await self._database.run(work)


async def fetch(
    connection: AsyncConnection, query: LiteralString, values: Sequence[object] = ()
) -> list[tuple[Any, ...]]:
    """Run a query in a transaction, and return its rows."""
    return await (await connection.execute(query, values)).fetchall()


async def lock_owner(connection: AsyncConnection, counter: RowCounter) -> None:
    """Wait until no other transaction writes or deletes rows.

    This keeps the numbers of rows in `chunks` and `owner` right, and keeps rows of deleted jobs
    from appearing after the deletion.

    Raises:
        HistoryUnavailableError: The schema has no owner yet, or the database was restored.
        HistoryError: A newer archiver has updated the tables.
    """
    rows = await fetch(
        connection,
        "SELECT written, (SELECT max(version) FROM schema_version) FROM owner FOR UPDATE",
    )
    if rows:
        written, version = rows[0]
        require_known(version)
        counter.require(written)
    else:
        raise HistoryUnavailableError(
            "no release has claimed the schema yet; the archiver does so at its start",
            "HistoryNotReady",
        )


def require_known(version: int | None) -> None:
    """Check that this release knows the version of the tables.

    A newer archiver may have updated them while this one was running.

    Raises:
        HistoryError: The tables are newer (DatabaseTooNew).
    """
    if version is not None and version > SCHEMA_VERSION:
        raise HistoryError(
            "DatabaseTooNew",
            f"the tables have version {version}, but this release knows only versions up to"
            f" {SCHEMA_VERSION}",
        )
