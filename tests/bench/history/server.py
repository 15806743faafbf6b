"""A PostgreSQL server with the chart's settings, on this machine."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from postgres import Postgres, serving_postgres
from vision_node_contract.history.database import Database, DatabaseSettings
from vision_node_contract.history.schema import schema_name
from vision_node_operator.archiver.history.migrate import migrate
from vision_node_operator.archiver.history.store import LIMITS, HistoryStore

from bench.history.invented import FOLDERS
from bench.measure import processes

SETTINGS = {
    "log_min_messages": "error",
    "max_connections": "100",
    # A quarter of the memory limit of 512 MiB.
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "autovacuum_max_workers": "2",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "checkpoint_timeout": "15min",
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
}
"""Those settings of the chart's PostgreSQL on which speed and cost depend, except for
wal_compression=lz4, which this server was built without."""

API_ROLE = "postgres"
OWNER = "0b0b0b0b-0000-4000-8000-000000000001"
"""The uid of the identity ConfigMap that has claimed the schema."""

SCHEMA = schema_name(FOLDERS.release_id)

TABLES = ("images", "jobs", "batches")


@contextmanager
def serving() -> Iterator[Postgres]:
    """Run a server whose database has the tables of a history without rows."""
    with serving_postgres(SETTINGS) as server:
        asyncio.run(_migrate(server))
        yield server


async def _migrate(server: Postgres) -> None:
    async with Database.open(DatabaseSettings(server.url()), SCHEMA, LIMITS) as database:
        await migrate(database, API_ROLE)
        await HistoryStore(database).claim(OWNER)


@contextmanager
def connected(server: Postgres) -> Iterator[psycopg.Connection]:
    """Connect to the schema; each statement is a transaction."""
    options = f"-c search_path={SCHEMA}"
    with psycopg.connect(server.url(), autocommit=True, options=options) as connection:
        yield connection


def cpu_seconds(server: Postgres) -> float:
    """Return the CPU time of all processes of the server, those that have ended included."""
    assert server.process is not None
    return processes.cpu_seconds(server.process.pid)


def restart_cold(server: Postgres) -> None:
    """Restart the server without anything in its memory, or in the kernel's cache of its files."""
    server.shut_down()
    os.sync()
    for path in server.data.rglob("*"):
        if path.is_file():
            drop_cached(path)
    server.start()


def drop_cached(path: os.PathLike[str]) -> None:
    """Let the kernel forget the pages of a file that it has cached."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)


def sizes(connection: psycopg.Connection) -> dict[str, int]:
    """Return the sizes in bytes of the tables, their texts that are stored apart, and indexes."""
    found: dict[str, int] = {}
    for table in TABLES:
        rows = connection.execute(
            "SELECT c.relname, pg_relation_size(c.oid),"
            " coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)"
            " FROM pg_class c WHERE c.oid = %s::regclass",
            (table,),
        ).fetchall()
        for name, heap, toast in rows:
            found[f"{name}: rows"] = heap
            found[f"{name}: large texts"] = toast
        indexes = connection.execute(
            "SELECT c.relname, pg_relation_size(c.oid) FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass"
            " ORDER BY 2 DESC",
            (table,),
        ).fetchall()
        found |= {f"{table}: index {name}": size for name, size in indexes}

    return found
