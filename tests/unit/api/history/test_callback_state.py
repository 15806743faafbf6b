"""GET /jobs/{id} and GET /batches/{name} say what became of the message to a callback."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from api_archive import Archive, batch_body, job_body, put_into_etcd, report
from api_fakes import SETTINGS, Cluster, FakeBucket, batches_of, jobs_of
from history_database import SCHEMA
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_contract.callbacks.urls import CallbackRules
from vision_node_operator.archiver.history.store import HistoryStore

SPEC = {"callbackURL": "https://hooks.example.com/"}
PENDING = {"state": "pending", "attempts": 0, "last_error": None, "delivered_at": None}


@pytest.fixture
def rules() -> CallbackRules | None:
    return CallbackRules()


@pytest.fixture
def jobs(
    bucket: FakeBucket, cluster: Cluster, reader: HistoryReader, rules: CallbackRules | None
) -> Jobs:
    settings = replace(SETTINGS, callbacks=rules)
    return replace(jobs_of(cluster, bucket), history=reader, settings=settings)


@pytest.fixture
def batches(cluster: Cluster, jobs: Jobs, reader: HistoryReader) -> Batches:
    return replace(batches_of(cluster, jobs), history=reader, settings=jobs.settings)


@pytest.fixture
def archive(history: HistoryStore) -> Archive:
    history.on_announced = lambda: None
    return Archive(history)


@pytest.fixture
def database(history_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the archiver."""
    with psycopg.connect(history_url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {SCHEMA}".encode())
        yield connection


async def callback_of(client: httpx.AsyncClient, path: str = "/jobs/job-1") -> Any:
    response = await client.get(path)
    assert response.status_code == 200, response.text
    return response.json()["callback"]


async def test_job_without_a_callback_has_none(client: httpx.AsyncClient, archive: Archive) -> None:
    await archive.add(job_body(1))
    assert await callback_of(client) is None


@pytest.mark.parametrize("phase", ["queued", "done"])
async def test_message_is_pending_before_the_job_is_archived(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, phase: str
) -> None:
    body = job_body(1, phase=phase, spec=SPEC)
    put_into_etcd(cluster, body)
    report(jobs, body)
    assert await callback_of(client) == {**PENDING, "next_attempt_at": None}


async def test_state_follows_the_deliveries(
    client: httpx.AsyncClient, archive: Archive, database: psycopg.Connection
) -> None:
    await archive.add(job_body(1, spec=SPEC))
    found = await callback_of(client)
    assert found | PENDING == found
    assert found["next_attempt_at"]

    error = "ReceiverRefused: The receiver answered with status 500."
    database.execute("UPDATE deliveries SET attempts = 2, last_error = %s", (error,))
    found = await callback_of(client)
    assert (found["state"], found["attempts"], found["last_error"]) == ("pending", 2, error)

    database.execute(
        "UPDATE deliveries SET state = 'delivered', last_error = NULL, delivered_at = now()"
    )
    found = await callback_of(client)
    assert (found["state"], found["next_attempt_at"]) == ("delivered", None)
    assert found["delivered_at"]

    database.execute("UPDATE deliveries SET state = 'failed'")
    assert (await callback_of(client))["state"] == "failed"


async def test_batch_says_what_became_of_its_message(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    body = batch_body(1)
    await archive.add_batch(body)
    await archive.add_batch({**batch_body(2), "spec": {**body["spec"], **SPEC}})
    assert await callback_of(client, "/batches/batch-1") is None
    assert (await callback_of(client, "/batches/batch-2"))["state"] == "pending"


@pytest.mark.parametrize("path", ["/jobs/job-1", "/batches/batch-2"])
async def test_message_that_an_older_release_did_not_add_is_not_pending(
    client: httpx.AsyncClient, archive: Archive, history: HistoryStore, path: str
) -> None:
    """Its archiver knew nothing of callbacks, so nobody will send it."""
    history.on_announced = None
    await archive.add(job_body(1, spec=SPEC))
    body = batch_body(2)
    await archive.add_batch({**body, "spec": {**body["spec"], **SPEC}})

    found = await callback_of(client, path)
    assert (found["state"], found["attempts"], found["next_attempt_at"]) == ("failed", 0, None)
    assert found["last_error"].startswith("CallbacksNotAvailable: It was archived by a release")


@pytest.mark.parametrize("rules", [None])
async def test_release_without_webhooks_says_so(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    """Kubectl users can create ImageJobs with a callback nevertheless."""
    await archive.add(job_body(1, spec=SPEC))
    found = await callback_of(client)
    assert found["state"] == "failed"
    assert found["last_error"].startswith("CallbacksNotAvailable: ")


async def test_state_is_unknown_while_the_table_is_missing(
    client: httpx.AsyncClient, cluster: Cluster, jobs: Jobs, database: psycopg.Connection
) -> None:
    """During an upgrade, the API may be newer than the archiver."""
    database.execute("DROP TABLE deliveries; DELETE FROM schema_version WHERE version >= 4")
    body = job_body(1, spec=SPEC)
    put_into_etcd(cluster, body)
    report(jobs, body)
    found = await callback_of(client)
    assert found["state"] == "unknown"
    assert found["last_error"].startswith("HistoryNotReady: ")
