"""Tests of GET /status and GET /result for an image of an ImageBatch."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from api_fakes import Cluster
from api_server import until
from batch_fixture import NAME, Batch
from fakes.s3 import S3
from fastapi import FastAPI
from vision_node_api.routes import jobs as jobs_routes
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

TIME = "2026-01-01T00:00:00Z"
WAIT = {"Prefer": "wait=30"}
POISON = IndexEntry.model_validate(
    {
        "shard": "holiday-0b1c-3",
        "ranges": "3",
        "failed": 1,
        "error": {"reason": "OutOfMemory", "message": "The worker ran out of memory."},
    }
)


def publish(batches: Batches, cluster: Cluster, batch: Batch, counted: str = "0-3") -> None:
    """Let the watch report the ImageBatch, of which these images are counted."""
    batch.status = {"counted": counted, "startTime": TIME, **batch.status}
    cluster.batches[NAME] = batch.body(creationTimestamp=TIME)
    batches.cache.observe(WatchEvent("MODIFIED", [cluster.batches[NAME]]))


@pytest.fixture
def running(batches: Batches, cluster: Cluster, batch: Batch) -> Batch:
    """A running batch of 10 images: 0 to 2 are done, and 3 has failed."""
    batch.count(batch.shard(0, 2))
    batch.count(POISON)
    publish(batches, cluster, batch)
    return batch


@pytest.mark.usefixtures("running")
async def test_status_of_images(client: httpx.AsyncClient) -> None:
    assert (await client.get("/status/holiday.1")).json() == {
        "job_id": "holiday.1",
        "status": "done",
        "describer": "local",
        "attempts": 0,
        "created_at": TIME,
        "started_at": TIME,
        "completed_at": None,
        "expires_at": None,
        "duration_seconds": None,
        "error": None,
        "waiting": None,
    }
    failed = (await client.get("/status/holiday.3")).json()
    assert (failed["status"], failed["error"]["reason"]) == ("failed", "OutOfMemory")
    assert (await client.get("/status/holiday.4")).json()["status"] == "processing"


async def test_image_is_waited_for(
    app: FastAPI,
    client: httpx.AsyncClient,
    batches: Batches,
    cluster: Cluster,
    running: Batch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_routes, "LOOK_SECONDS", 0.01)
    request = asyncio.create_task(client.get("/status/holiday.4", headers=WAIT))
    await until(lambda: app.state.waits.waiting == 1)
    publish(batches, cluster, running)  # another image has ended
    await asyncio.sleep(0.05)
    assert not request.done()

    running.count(running.shard(4, 4))
    running.status = {}
    publish(batches, cluster, running, counted="0-4")
    response = await request
    assert (response.json()["status"], response.headers["preference-applied"]) == (
        "done",
        "wait=30",
    )


@pytest.mark.usefixtures("running")
async def test_image_that_has_ended_is_not_waited_for(client: httpx.AsyncClient) -> None:
    for index, phase in ((1, "done"), (3, "failed")):
        response = await client.get(f"/status/holiday.{index}", headers=WAIT)
        assert response.json()["status"] == phase
        assert response.headers["preference-applied"] == "wait=30"

    assert (await client.get("/status/holiday.99", headers=WAIT)).status_code == 404


async def test_deletion_of_the_batch_ends_the_wait_for_an_image(
    app: FastAPI, client: httpx.AsyncClient, batches: Batches, cluster: Cluster, running: Batch
) -> None:
    request = asyncio.create_task(client.get("/status/holiday.4", headers=WAIT))
    await until(lambda: app.state.waits.waiting == 1)
    batches.cache.observe(WatchEvent("DELETED", [cluster.batches.pop(NAME)]))
    response = await request
    assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")


@pytest.mark.usefixtures("running")
async def test_result_of_an_image(client: httpx.AsyncClient) -> None:
    result = (await client.get("/result/holiday.1")).json()
    assert result == {
        "job_id": "holiday.1",
        "status": "done",
        "description": "",
        "_generated_by": "vision-node-gpt",
    }
    failed = await client.get("/result/holiday.3")
    assert (failed.status_code, failed.json()["reason"]) == (409, "OutOfMemory")
    assert failed.json()["job_status"] == "failed"
    early = await client.get("/result/holiday.4")
    assert (early.status_code, early.json()["reason"]) == (409, "NotDone")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "job_id",
    [
        *("holiday.10", "holiday.999999999", "holiday.9999999999", "holiday.01", "holiday.-1"),
        *("holiday.", "holiday", ".1", "holiday.x", "holiday.1.1", "other.1", "Holiday.1"),
        *("holiday.%D9%A1", "holiday.1%0A"),
    ],
)
async def test_image_that_does_not_exist_is_not_found(
    client: httpx.AsyncClient, job_id: str
) -> None:
    for path in ("status", "result"):
        response = await client.get(f"/{path}/{job_id}")
        assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")


@pytest.mark.usefixtures("running")
async def test_job_with_the_same_name_is_preferred(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    body = {
        "metadata": {"name": "holiday.1", "uid": "u"},
        "spec": {"image": {"key": "k"}, "describer": "metadata"},
        "status": {"phase": "processing"},
    }
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    cluster.jobs["holiday.1"] = ImageJob.model_validate(body)
    assert (await client.get("/status/holiday.1")).json()["describer"] == "metadata"
    assert (await client.get("/result/holiday.1")).json()["job_status"] == "processing"


async def test_batch_whose_name_has_a_dot_has_images(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    cluster.batches["a.1"] = {
        "metadata": {"name": "a.1", "uid": "u"},
        "spec": {"prefix": "inbox/"},
        "status": {"phase": "queued"},
    }
    assert (await client.get("/status/a.1.7")).json()["status"] == "queued"
    assert (await client.get("/status/a.1")).status_code == 404


WAITING = {
    "type": "Waiting",
    "status": "True",
    "reason": "CredentialsRefused",
    "message": "m",
    "lastTransitionTime": TIME,
}
STATES: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str | None]] = {
    "not listed": ("queued", {}, {"manifest": None}, "queued", None),
    "suspended": ("processing", {"suspend": True}, {}, "queued", None),
    "waiting": ("processing", {}, {"conditions": [WAITING]}, "queued", None),
    "running": ("processing", {}, {}, "processing", None),
    "cancelled": (
        "failed",
        {},
        {"conditions": [{**WAITING, "type": "Failed", "reason": "Cancelled"}]},
        "failed",
        "Cancelled",
    ),
}
"""Phase, spec and status of a batch, and the status and error of its last image."""


@pytest.mark.parametrize("case", STATES)
async def test_image_that_was_not_described_follows_its_batch(
    client: httpx.AsyncClient, batches: Batches, cluster: Cluster, batch: Batch, case: str
) -> None:
    batch.phase, spec, batch.status, expected, reason = STATES[case]
    batch.spec = {**batch.spec, **spec}
    batch.count(batch.shard(0, 0))
    publish(batches, cluster, batch, counted="0")
    found = (await client.get("/status/holiday.9")).json()

    assert (found["status"], (found["error"] or {}).get("reason")) == (expected, reason)
    waits = found["waiting"]["reason"] if found["waiting"] else None
    assert waits == ("CredentialsRefused" if case == "waiting" else None)
    result = await client.get("/result/holiday.9")
    assert (result.status_code, result.json()["reason"]) == (409, reason or "NotDone")


async def test_batch_that_failed_before_its_images_were_listed_has_none(
    client: httpx.AsyncClient, batches: Batches, cluster: Cluster, batch: Batch
) -> None:
    batch.phase, batch.status = "failed", {"manifest": None}
    publish(batches, cluster, batch, counted="")
    assert (await client.get("/status/holiday.0")).status_code == 404


async def test_few_index_objects_are_read(
    client: httpx.AsyncClient, batches: Batches, cluster: Cluster, s3: S3
) -> None:
    """Images are described roughly in their order."""
    batch = Batch(s3, total=200)
    for index in [*range(98), 99, 98, *range(100, 200)]:
        batch.count(batch.shard(index, index))
    batch.phase = "done"
    publish(batches, cluster, batch)

    for index, most in ((0, 1), (199, 1), (98, 3), (99, 3)):
        s3.requests.clear()
        assert (await client.get(f"/status/holiday.{index}")).json()["status"] == "done"
        assert sum("/index/" in it for it in s3.requests) <= most


async def test_parts_are_remembered(
    client: httpx.AsyncClient, batches: Batches, cluster: Cluster, s3: S3
) -> None:
    """If the images were described in the opposite order, all parts are read once."""
    batch = Batch(s3, total=20)
    for index in range(19, -1, -1):
        batch.count(batch.shard(index, index))
    batch.phase = "done"
    publish(batches, cluster, batch)
    assert (await client.get("/status/holiday.0")).json()["status"] == "done"

    s3.requests.clear()
    for index in range(20):
        assert (await client.get(f"/status/holiday.{index}")).json()["status"] == "done"
    assert sum("/index/" in it for it in s3.requests) == 20


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("results", (410, "ResultGone")),
        ("index", (410, "ResultGone")),
        ("overwritten", (502, "ResultChanged")),
        ("another line", (410, "ResultGone")),
        ("unreadable", (410, "ResultGone")),
    ],
)
async def test_lost_result_is_reported(
    client: httpx.AsyncClient,
    batches: Batches,
    cluster: Cluster,
    batch: Batch,
    s3: S3,
    lost: str,
    expected: tuple[int, str],
) -> None:
    entry = batch.shard(0, 0)
    key = str(entry.key)
    if lost == "another line":
        entry = batch.shard(1, 1, ranges="0")
    if lost == "unreadable":
        entry = batch.shard(0, 0, padding=5 << 20)
    batch.count(entry)
    publish(batches, cluster, batch)
    if lost == "results":
        del s3.objects[key]
    if lost == "index":
        del s3.objects[batch.folder.index(0)]
    if lost == "overwritten":
        s3.put(key, s3.objects[key].data.replace(b"vision", b"visiom"))

    response = await client.get("/result/holiday.0")
    assert (response.status_code, response.json()["reason"]) == expected
    status = (await client.get("/status/holiday.0")).json()
    assert (status["status"], status["error"]["reason"]) == ("failed", expected[1])


@pytest.mark.usefixtures("running")
async def test_unavailable_storage_is_reported_for_images(
    client: httpx.AsyncClient, s3: S3
) -> None:
    s3.fails = (503, "SlowDown")
    for path in ("status", "result"):
        response = await client.get(f"/{path}/holiday.1")
        assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")


async def test_older_chart_has_no_images_of_batches(
    client: httpx.AsyncClient, batches: Batches
) -> None:
    batches.follower.refusal = "The cluster has no ImageBatches."
    response = await client.get("/status/holiday.1")
    assert (response.status_code, response.json()["reason"]) == (404, "JobNotFound")


async def test_batch_that_was_created_again_has_new_images(
    client: httpx.AsyncClient, cluster: Cluster, running: Batch
) -> None:
    """The cache does not know it yet."""
    cluster.batches[NAME] = running.body(uid="another")
    response = await client.get("/status/holiday.1")
    assert (response.status_code, json.loads(response.content)["reason"]) == (404, "JobNotFound")
