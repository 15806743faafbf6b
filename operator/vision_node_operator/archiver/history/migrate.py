"""Create the history's tables, and update those of an older release."""

import logging
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString

from psycopg import AsyncConnection, sql
from vision_node_contract.history.database import Database, HistoryError, HistoryUnavailableError

from .transactions import fetch

log = logging.getLogger(__name__)

MIGRATION_SECONDS = 3600.0
"""Time limit for all migrations together, in seconds. A new index on a million rows takes a minute,
and an archiver may have to wait until another one has done it."""

LOCK = 0x766E6F64
"""First half of the key of the advisory lock. The second half is a hash of the schema's name."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A file NNNN_*.sql. It changes the tables from version NNNN - 1 to NNNN."""

    version: int
    statements: str


def migrations() -> list[Migration]:
    """Return this release's migrations, in order."""
    folder = files(__package__) / "migrations"
    found = [it for it in folder.iterdir() if it.name.endswith(".sql")]
    return [
        Migration(int(it.name.split("_")[0]), it.read_text(encoding="utf-8"))
        for it in sorted(found, key=lambda it: it.name)
    ]


async def migrate(database: Database, api_role: str, known: list[Migration] | None = None) -> int:
    """Create or update the release's tables, and return the number of migrations that ran.

    Several archivers may call this at the same time: one migrates, and the others wait for it.

    Args:
        database: The database. Its schema is created if it does not exist.
        api_role: The API's role, which gets the rights that it needs.
        known: The migrations; those of this release if None.

    Raises:
        HistoryError: The tables are newer than this release (DatabaseTooNew). Nothing was changed.
        HistoryUnavailableError: The database does not answer, or the archiver's role lacks rights.
    """
    steps = migrations() if known is None else known

    async def work(connection: AsyncConnection) -> int:
        return await _migrate(connection, database.schema, steps)

    ran = await database.run(work, seconds=MIGRATION_SECONDS)
    if ran:
        log.info("schema %s is now at version %d", database.schema, steps[-1].version)
    await _grant(database, api_role)
    return ran


async def _migrate(connection: AsyncConnection, schema: str, steps: list[Migration]) -> int:
    await _lock(connection, schema)

    # CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even if it exists.
    if not await _exists(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", schema):
        await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))

    version = await _version(connection)
    newest = steps[-1].version
    if version > newest:
        raise HistoryError("DatabaseTooNew", _too_new(schema, version, newest))

    missing = [it for it in steps if it.version > version]
    for step in missing:
        await connection.execute(step.statements.encode())
        await connection.execute(
            "INSERT INTO schema_version (version) VALUES (%s)", (step.version,)
        )

    return len(missing)


async def _lock(connection: AsyncConnection, schema: str) -> None:
    """Wait until no other archiver changes this schema's tables or rights."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, schema))


async def _version(connection: AsyncConnection) -> int:
    """Return the version of the tables; 0 if there are none."""
    if not await _exists(connection, "SELECT to_regclass(%s)", "schema_version"):
        await connection.execute(
            "CREATE TABLE schema_version (version int PRIMARY KEY,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
    rows = await fetch(connection, "SELECT coalesce(max(version), 0) FROM schema_version")
    return int(rows[0][0])


def _too_new(schema: str, version: int, newest: int) -> str:
    return (
        f"schema {schema} of the database has version {version}, but this release knows only"
        f" versions up to {newest}: upgrade to the release that wrote it or a newer one, or restore"
        f" the database from a backup of this release. Until then, nothing is archived"
    )


async def _grant(database: Database, api_role: str) -> None:
    """Grant the API's role its rights. Without them, only reading the history fails."""
    statements = _grants(database.schema, api_role)

    async def work(connection: AsyncConnection) -> str | None:
        await _lock(connection, database.schema)
        if not await _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", api_role):
            return "the role does not exist (CREATE ROLE … LOGIN PASSWORD '…' creates it)"
        for statement in statements:
            await connection.execute(statement)

        # PostgreSQL only warns if the schema belongs to another role.
        usage = await fetch(
            connection,
            "SELECT has_schema_privilege(%s, %s, 'USAGE')",
            (api_role, database.schema),
        )
        return None if usage[0][0] else "the schema belongs to another role"

    try:
        problem = await database.run(work)
    except HistoryUnavailableError as error:
        if error.reason != "DatabaseRightsMissing":
            raise
        problem = str(error)

    if problem:
        log.warning(
            "the API's role %s has no rights, so the API can't read the history: %s. As an"
            " administrator of the database, run: %s",
            *(api_role, problem, "; ".join(it.as_string() for it in statements)),
        )


def _grants(schema: str, role: str) -> list[sql.Composed]:
    """Return the statements for the API's rights.

    It reads everything, deletes by tombstones, and has messages to callbacks sent again. They are
    repeated at each start, because new tables need them, too.
    """
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    return [
        sql.SQL(it).format(**names)
        for it in (
            "GRANT USAGE ON SCHEMA {schema} TO {role}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "GRANT INSERT ON {schema}.tombstones TO {role}",
            "GRANT UPDATE (state, attempts, next_attempt_at, created_at)"
            " ON {schema}.deliveries TO {role}",
        )
    ]


async def _exists(connection: AsyncConnection, query: LiteralString, name: str) -> bool:
    rows = await fetch(connection, query, (name,))
    return bool(rows) and rows[0][0] is not None
