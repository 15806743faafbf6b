"""Tests of the faults of PostgreSQL, on a real server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from faults.database import statements
from faults.database.psql import COMPLETE, PSQL, in_transaction
from postgres import Postgres
from psycopg import errors
from vision_node_contract.history.schema import schema_name

MIGRATION = Path("operator/vision_node_operator/archiver/history/migrations/0001_history.sql")
SCHEMA = schema_name("faults")

UIDS = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(4)]

IMAGE = (
    "INSERT INTO images (uid, image_index, at, name, describer, phase, body, excerpt, search) "
    "VALUES (%s, %s, now(), %s, 'd', 'done', '{}', '{}', '')"
)
JOB = "INSERT INTO jobs (uid, name, finished_at, evicted_at, image_key) VALUES (%s, %s, now(), "


@pytest.fixture
def connection(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Yield a connection to a database with the history's tables."""
    with psycopg.connect(postgres.url(postgres.create_database()), autocommit=True) as found:
        found.execute(f"CREATE SCHEMA {SCHEMA}")
        found.execute(f"SET search_path TO {SCHEMA}")
        found.execute(MIGRATION.read_text())
        yield found


def add(connection: psycopg.Connection, uid: str, evicted: str = "null") -> None:
    connection.execute(IMAGE, (uid, -1, f"name-{uid[-1]}"))
    connection.execute(JOB + f"{evicted}, 'images/1')", (uid, f"name-{uid[-1]}"))


def test_full_disk_fails_every_write_until_it_is_healed(connection: psycopg.Connection) -> None:
    for _ in range(2):  # an injection that is repeated changes nothing
        connection.execute(statements.FILL)

    with pytest.raises(errors.DiskFull):
        add(connection, UIDS[0])

    connection.execute(statements.HEAL)
    connection.execute(statements.HEAL)
    add(connection, UIDS[0])


def test_full_disk_fails_copy_and_updates(connection: psycopg.Connection) -> None:
    add(connection, UIDS[0])
    connection.execute(statements.FILL)
    with pytest.raises(errors.DiskFull):
        connection.execute("UPDATE jobs SET evicted_at = now()")
    with pytest.raises(errors.DiskFull), connection.cursor().copy("COPY jobs FROM STDIN"):
        pass


def test_slow_database_only_takes_longer(connection: psycopg.Connection) -> None:
    connection.execute(statements.SLOW_DOWN)
    connection.execute("SET statement_timeout = 1000")
    with pytest.raises(errors.QueryCanceled):
        add(connection, UIDS[0])


def test_closed_database_refuses_connections_until_it_is_reopened(postgres: Postgres) -> None:
    name = postgres.create_database()
    with psycopg.connect(postgres.url(name)) as client:
        postgres.execute(f"BEGIN; {statements.close(name)} COMMIT")
        postgres.execute(statements.disconnect(name))
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url(name))
    postgres.execute(statements.reopen(name))
    psycopg.connect(postgres.url(name)).close()


def test_restored_copy_has_the_old_rows_and_those_lost_are_known(
    postgres: Postgres, connection: psycopg.Connection
) -> None:
    add(connection, UIDS[0])
    add(connection, UIDS[1], "now()")
    copy = run(postgres, connection, "pg_dump", f"--schema={SCHEMA}")
    assert statements.copied_uids(copy, SCHEMA) == set(UIDS[:2])

    add(connection, UIDS[2], "now()")
    add(connection, UIDS[3])
    connection.execute("UPDATE jobs SET evicted_at = now() WHERE uid = %s", (UIDS[0],))
    script = in_transaction(statements.restore(copy, SCHEMA), SCHEMA)
    for _ in range(2):  # a restoration whose response was lost is repeated
        run(postgres, connection, *PSQL, stdin=script)

    rows = json_of(connection, statements.READ_ROWS)
    assert {row["uid"]: row["evicted"] for row in rows} == {UIDS[0]: False, UIDS[1]: True}
    assert column(connection, statements.READ_EVICTED) == set(UIDS[:3])
    connection.execute(statements.DROP_EVICTED)


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_restoration_that_is_cut_off_changes_nothing(
    postgres: Postgres, connection: psycopg.Connection, part: float
) -> None:
    copy = run(postgres, connection, "pg_dump", f"--schema={SCHEMA}")
    assert COMPLETE in copy
    add(connection, UIDS[0], "now()")
    script = in_transaction(statements.restore(copy, SCHEMA), SCHEMA)

    run(postgres, connection, *PSQL, stdin=script[: int(part * len(script))], status=None)
    assert column(connection, statements.READ_ARCHIVED_UIDS) == {UIDS[0]}


def test_rows_are_read_with_what_is_missing(connection: psycopg.Connection) -> None:
    add(connection, UIDS[0], "now()")
    connection.execute(IMAGE, (UIDS[1], -1, "without-job"))
    connection.execute(JOB + "null, null)", (UIDS[2], "without-image"))
    connection.execute(IMAGE, (UIDS[3], 0, "batch"))
    connection.execute(IMAGE, (UIDS[3], 1, "batch"))

    rows = {row["name"]: row for row in json_of(connection, statements.READ_ROWS)}
    assert rows["name-0"] == {
        "uid": UIDS[0],
        "name": "name-0",
        "phase": "done",
        "has_image_row": True,
        "has_job_row": True,
        "evicted": True,
        "image_key": "images/1",
        "result_key": None,
        "archive_error": None,
    }
    found = {name: (row["has_image_row"], row["has_job_row"]) for name, row in rows.items()}
    assert found == {
        "name-0": (True, True),
        "without-job": (True, False),
        "without-image": (False, True),
    }
    assert json_of(connection, statements.READ_BATCH_ROWS) == {"batch": 2}
    assert column(connection, statements.READ_ARCHIVED_UIDS) == {UIDS[0], UIDS[2]}


def json_of(connection: psycopg.Connection, query: str) -> Any:
    (found,) = connection.execute(query).fetchone() or (None,)
    return found if not isinstance(found, str) else json.loads(found)


def column(connection: psycopg.Connection, query: str) -> set[str]:
    return {str(value) for (value,) in connection.execute(query)}


def run(
    postgres: Postgres,
    connection: psycopg.Connection,
    *command: str,
    stdin: str = "",
    status: int | None = 0,
) -> str:
    """Run one of PostgreSQL's programs on the connection's database; check its exit status."""
    program = str(postgres.programs / command[0])
    url = f"--dbname={postgres.url(connection.info.dbname)}"
    done = subprocess.run(
        [program, *command[1:], url], input=stdin, capture_output=True, text=True, check=False
    )
    assert status in {None, done.returncode}, done.stderr
    return done.stdout
