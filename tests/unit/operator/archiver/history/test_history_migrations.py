"""The history's tables are created once, and updated in order; newer ones are left alone."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from history_database import API_ROLE, SCHEMA, open_database, rows_of, uid_of
from postgres import Postgres
from psycopg import sql
from vision_node_contract.history.database import (
    Database,
    HistoryError,
    HistoryUnavailableError,
)
from vision_node_contract.history.schema import SCHEMA_VERSION
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history.migrate import Migration, migrate, migrations
from vision_node_operator.archiver.history.store import HistoryStore

NEXT = Migration(
    SCHEMA_VERSION + 1,
    "ALTER TABLE images ADD COLUMN rating int NOT NULL DEFAULT 3; CREATE TABLE ratings (n int)",
)
BROKEN = Migration(SCHEMA_VERSION + 1, "CREATE TABLE half_done (n int); SELECT nonsense")


@pytest.fixture
def empty_url(postgres: Postgres, history_template: str) -> str:
    """The URL of a database without tables. The API's role exists."""
    return postgres.url(postgres.create_database())


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    """A pool of connections to a database without tables."""
    async with open_database(empty_url) as database:
        yield database


def answer(url: str, query: str) -> object:
    """Return the only value that a query of the superuser returns."""
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(SCHEMA)))
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def version(url: str) -> object:
    return answer(url, "SELECT max(version) FROM schema_version")


def test_versions_have_no_gaps() -> None:
    assert [it.version for it in migrations()] == list(range(1, SCHEMA_VERSION + 1))


async def test_tables_are_created_once(empty: Database, empty_url: str) -> None:
    assert await migrate(empty, API_ROLE) == SCHEMA_VERSION
    assert await migrate(empty, API_ROLE) == 0
    assert version(empty_url) == SCHEMA_VERSION


async def test_only_one_of_two_archivers_migrates(empty_url: str) -> None:
    async with open_database(empty_url) as one, open_database(empty_url) as other:
        ran = await asyncio.gather(*(migrate(it, API_ROLE) for it in (one, other, one, other)))

    assert sorted(ran) == [0, 0, 0, SCHEMA_VERSION]


async def test_rows_stay_when_tables_are_updated(
    history: HistoryStore, history_database: Database, history_url: str
) -> None:
    await history.add_jobs(rows_of(1), 1)

    assert await migrate(history_database, API_ROLE, [*migrations(), NEXT]) == 1

    assert version(history_url) == NEXT.version
    assert answer(history_url, "SELECT rating FROM images") == 3
    query = f"SELECT has_table_privilege('{API_ROLE}', 'ratings', 'SELECT')"
    assert answer(history_url, query) is True


async def test_failed_migration_changes_nothing(
    history_database: Database, history_url: str
) -> None:
    with pytest.raises(HistoryUnavailableError):
        await migrate(history_database, API_ROLE, [*migrations(), BROKEN])

    assert version(history_url) == SCHEMA_VERSION
    assert answer(history_url, "SELECT to_regclass('half_done')") is None


async def test_newer_tables_are_refused(history_database: Database, history_url: str) -> None:
    await migrate(history_database, API_ROLE, [*migrations(), NEXT])

    with pytest.raises(HistoryError, match=f"has version {NEXT.version}.*: upgrade to") as error:
        await migrate(history_database, API_ROLE)

    assert error.value.reason == "DatabaseTooNew"
    assert version(history_url) == NEXT.version


async def test_nothing_is_written_after_a_newer_archiver_has_migrated(
    history: HistoryStore, history_database: Database, history_url: str
) -> None:
    """For a moment, two archivers may run at the same time."""
    await history.add_jobs(rows_of(1), 1)
    await migrate(history_database, API_ROLE, [*migrations(), NEXT])
    batch = ImageBatch.model_validate({"metadata": {"name": "b", "uid": uid_of(9)}, "spec": {}})

    calls: list[Callable[[], Awaitable[object]]] = [
        history.read_owner,
        lambda: history.add_jobs(rows_of(2), 1),
        lambda: history.add_batch(batch, "{}"),
        lambda: history.add_batch_images(uid_of(9), 0, []),
        lambda: history.delete_jobs([uid_of(1)]),
        lambda: history.delete_batch_images(uid_of(9), 1),
    ]
    for call in calls:
        with pytest.raises(HistoryError, match=f"version {NEXT.version}") as error:
            await call()
        assert error.value.reason == "DatabaseTooNew"

    assert answer(history_url, "SELECT count(*) FROM jobs") == 1


async def test_schema_of_an_administrator_is_used(empty_url: str, postgres: Postgres) -> None:
    postgres.execute(
        f"CREATE ROLE plain LOGIN; CREATE SCHEMA {SCHEMA};"
        f" GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO plain",
        empty_url.rpartition("/")[2],
    )
    async with open_database(empty_url.replace("postgres@", "plain@")) as database:
        assert await migrate(database, API_ROLE) == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("role", "schema_owner", "words"),
    [
        ("missing_role", "archiver_1", "the role does not exist"),
        (API_ROLE, "postgres", "the schema belongs to another role"),
    ],
)
async def test_missing_rights_are_logged_with_the_statements(
    empty_url: str,
    postgres: Postgres,
    caplog: pytest.LogCaptureFixture,
    role: str,
    schema_owner: str,
    words: str,
) -> None:
    name = empty_url.rpartition("/")[2]
    user = f"archiver_for_{name}"
    owner = user if schema_owner == "archiver_1" else schema_owner
    postgres.execute(
        f"CREATE ROLE {user} LOGIN; CREATE SCHEMA {SCHEMA} AUTHORIZATION {owner};"
        f" GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {user}",
        name,
    )
    async with open_database(empty_url.replace("postgres@", f"{user}@")) as database:
        with caplog.at_level(logging.WARNING):
            assert await migrate(database, role) == SCHEMA_VERSION

    assert words in caplog.text
    assert f'GRANT USAGE ON SCHEMA "{SCHEMA}" TO "{role}"' in caplog.text


async def test_role_that_is_created_later_gets_its_rights(
    empty: Database, empty_url: str, postgres: Postgres
) -> None:
    await migrate(empty, "late_role")
    postgres.execute("CREATE ROLE late_role LOGIN")
    await migrate(empty, "late_role")

    query = f"SELECT has_table_privilege('late_role', '{SCHEMA}.images', 'SELECT')"
    assert answer(empty_url, query) is True


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM owner",
        "SELECT * FROM chunks",
        "SELECT * FROM images",
        "SELECT * FROM jobs",
        "SELECT * FROM batches",
        "SELECT * FROM tombstones",
        "SELECT * FROM schema_version",
        "INSERT INTO tombstones (uid, is_batch) VALUES (gen_random_uuid(), false)",
    ],
)
def test_api_may(history_url: str, statement: str) -> None:
    as_api(history_url, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM tombstones",
        "UPDATE tombstones SET cleaned_at = now()",
        "TRUNCATE tombstones",
        "DELETE FROM images",
        "UPDATE images SET name = 'x'",
        "INSERT INTO jobs (uid, name, finished_at) VALUES (gen_random_uuid(), 'x', now())",
        "DELETE FROM jobs",
        "UPDATE jobs SET evicted_at = now()",
        "UPDATE owner SET uid = 'x'",
        "INSERT INTO chunks (id, starts_at) VALUES (9, now())",
        "DELETE FROM batches",
        "INSERT INTO schema_version (version) VALUES (9)",
        "SELECT 1 FROM owner FOR UPDATE",
        "CREATE TABLE t (n int)",
        "DROP TABLE tombstones",
        "UPDATE deliveries SET url = 'https://example.com/'",
        "UPDATE deliveries SET claimed_until = now()",
        "INSERT INTO deliveries (id, uid, is_batch, host, url, event)"
        " VALUES (gen_random_uuid(), gen_random_uuid(), false, '-', '-', '-')",
        "DELETE FROM deliveries",
    ],
)
def test_api_may_not(history_url: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_api(history_url, statement)


def as_api(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("postgres@", f"{API_ROLE}@")) as connection:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(SCHEMA)))
        connection.execute(statement.encode())
