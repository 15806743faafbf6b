"""Tests of the API with older, newer and missing tables."""

import httpx
import pytest
from api_archive import Archive, batch_body, job_body
from history_database import API_ROLE
from vision_node_api.services.health import Health
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.history.database import Database
from vision_node_contract.history.schema import SCHEMA_VERSION
from vision_node_operator.archiver.history.migrate import Migration, migrate, migrations

PATHS = ("/status/job-1", "/result/job-1", "/jobs", "/jobs?q=cat", "/batches/batch-7")

NEWER = """
ALTER TABLE images ADD COLUMN score double precision NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN note text;
ALTER TABLE batches ADD COLUMN note text;
ALTER TABLE tombstones ADD COLUMN by_whom text NOT NULL DEFAULT '';
CREATE TABLE labels (uid uuid PRIMARY KEY, label text NOT NULL);
CREATE INDEX images_by_describer ON images (describer);
"""
"""What a later release may add: columns with defaults, tables and indexes."""


async def test_next_version_of_the_tables_can_be_read(
    client: httpx.AsyncClient, archive: Archive, history_database: Database, reader: HistoryReader
) -> None:
    await archive.add(job_body(1))
    await archive.add_batch(batch_body(7))
    before = [(await client.get(path)).json() for path in PATHS]
    next_version = Migration(SCHEMA_VERSION + 1, NEWER)
    assert await migrate(history_database, API_ROLE, [*migrations(), next_version]) == 1

    after = [await client.get(path) for path in PATHS]
    assert [it.status_code for it in after] == [200] * len(PATHS)
    assert [it.json() for it in after] == before
    await reader.add_tombstone(job_body(1)["metadata"]["uid"])
    assert (await client.get("/status/job-1")).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM schema_version",
        "DROP TABLE schema_version",
        "DROP SCHEMA {schema} CASCADE",
        "DROP TABLE images, batches CASCADE",
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
async def test_tables_that_cannot_be_read_are_not_ready(
    client: httpx.AsyncClient,
    health: Health,
    history_database: Database,
    reader: HistoryReader,
    change: str,
    *,
    is_known: bool,
) -> None:
    """The archiver may not have created them yet, or a backup brought back older ones."""
    if is_known:
        await reader.check()
    statement = change.format(schema=history_database.schema).encode()
    await history_database.run(lambda it: it.execute(statement))
    if "schema_version" in change:
        assert health.history
        await health.history.check_once()
        assert health.history.state.state == "HistoryNotReady"

    for path in PATHS:
        response = await client.get(path)
        assert (response.status_code, response.json()["reason"]) == (503, "HistoryNotReady"), path
        assert response.headers["retry-after"] == "30"


async def test_api_without_rights_says_so(
    client: httpx.AsyncClient, history_database: Database
) -> None:
    statement = f"REVOKE ALL ON ALL TABLES IN SCHEMA {history_database.schema} FROM {API_ROLE}"
    await history_database.run(lambda it: it.execute(statement.encode()))
    for path in PATHS:
        response = await client.get(path)
        assert (response.status_code, response.json()["reason"]) == (503, "DatabaseRightsMissing")
