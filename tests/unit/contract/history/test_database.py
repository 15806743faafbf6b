import os
import socket
from collections.abc import AsyncIterator

import pytest
from postgres import Postgres
from psycopg import AsyncConnection
from vision_node_contract.history.database import (
    Database,
    DatabaseSettings,
    HistoryUnavailableError,
    Limits,
    RowRefusedError,
)

LIMITS = Limits(connections=2, statement_seconds=0.2, answer_seconds=2.0)


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    name = postgres.create_database()
    postgres.execute("CREATE SCHEMA vn; CREATE TABLE vn.t (a text CHECK (a <> 'bad'))", name)
    async with Database.open(DatabaseSettings(postgres.url(name)), "vn", LIMITS) as found:
        yield found


async def one(connection: AsyncConnection, statement: str) -> object:
    row = await (await connection.execute(statement.encode())).fetchone()
    return row[0] if row else None


async def test_transaction_is_committed(database: Database) -> None:
    await database.run(lambda it: it.execute("INSERT INTO t VALUES ('x')"))

    assert await database.run(lambda it: one(it, "SELECT count(*) FROM t")) == 1


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO t VALUES ('bad')", "INSERT INTO t VALUES (E'\\x00')", "SELECT 'planted'::int"],
)
async def test_refused_row_is_told_apart(database: Database, statement: str) -> None:
    with pytest.raises(RowRefusedError, match=r"^\w+ \(SQLSTATE \w+\)$"):  # no content
        await database.run(lambda it: one(it, statement))

    assert await database.run(lambda it: one(it, "SELECT count(*) FROM t")) == 0


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT pg_sleep(60)", "HistoryTooSlow"),
        ("SELECT * FROM missing", "HistoryNotReady"),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", "DatabaseFull"),
        ("DO $$ BEGIN RAISE SQLSTATE '42501'; END $$", "DatabaseRightsMissing"),
        ("DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$", "HistoryUnavailable"),
    ],
)
async def test_other_errors_concern_all_requests(
    database: Database, statement: str, reason: str
) -> None:
    with pytest.raises(HistoryUnavailableError) as error:
        await database.run(lambda it: one(it, statement))

    assert error.value.reason == reason


async def test_long_transaction_has_a_limit_of_its_own(database: Database) -> None:
    query = "SELECT pg_sleep(0.3) IS NULL"

    with pytest.raises(HistoryUnavailableError):
        await database.run(lambda it: one(it, query))
    assert await database.run(lambda it: one(it, query), seconds=30.0) is False
    with pytest.raises(HistoryUnavailableError):
        await database.run(lambda it: one(it, query), seconds=0.1)


async def test_server_ends_transaction_of_client_that_vanished(database: Database) -> None:
    query = "SELECT current_setting('idle_in_transaction_session_timeout')"

    assert await database.run(lambda it: one(it, query)) == "2s"
    assert await database.run(lambda it: one(it, query), seconds=30.0) == "30s"


async def test_server_that_vanishes_during_a_long_statement_is_noticed_within_a_minute(
    database: Database,
) -> None:
    """No packet of the client is on its way then, so only the kernel's probes can notice it."""

    async def options(connection: AsyncConnection) -> list[int]:
        with socket.socket(fileno=os.dup(connection.fileno())) as copy:
            assert copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            return [copy.getsockopt(socket.IPPROTO_TCP, it) for it in names]

    idle, interval, count = await database.run(options)
    assert idle + interval * count <= 60


async def test_database_that_comes_back_is_used_again(postgres: Postgres) -> None:
    name = postgres.create_database()
    async with Database.open(DatabaseSettings(postgres.url(name)), "vn", LIMITS) as database:
        await database.run(lambda it: one(it, "SELECT 1"))
        postgres.stop()
        with pytest.raises(HistoryUnavailableError):
            await database.run(lambda it: one(it, "SELECT 1"))

        postgres.start()
        while True:
            try:
                answer = await database.run(lambda it: one(it, "SELECT 1"))
            except HistoryUnavailableError:
                continue
            assert answer == 1
            break


def test_invalid_url_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@h:5432/x?nonsense")
    with pytest.raises(ValueError, match="DATABASE_URL is invalid") as error:
        DatabaseSettings.from_env()

    assert "secret" not in str(error.value)
    monkeypatch.delenv("DATABASE_URL")
    assert DatabaseSettings.from_env() is None
