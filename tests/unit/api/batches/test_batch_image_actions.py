"""Tests of POST /jobs/{id}/cancel and /retry, and DELETE /jobs/{id}, for an image of a batch."""

import json
from typing import Any

import httpx
import pytest
from api_fakes import Cluster, picture
from batch_fixture import MANIFEST, NAME, Batch
from fakes.s3 import S3
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.names import REUSE_LABEL

PICTURE = picture()
KEY = "inbox/aaaabbbbcccc/holiday/{}.png"


@pytest.fixture
def running(batches: Batches, cluster: Cluster, jobs: Jobs, batch: Batch, s3: S3) -> Batch:
    """A running batch of 10 images: 0 to 2 are done, and 3 has failed."""
    jobs.describers.observe(WatchEvent("ADDED", [{"metadata": {"name": "local"}}]))
    lines = [
        {
            "index": index,
            "customId": f"sub/{index}.png",
            "key": KEY.format(index),
            "options": {"prompt": f"image {index}"},
        }
        for index in range(10)
    ]
    s3.put(f"{MANIFEST}000000000", b"".join(json.dumps(it).encode() + b"\n" for it in lines))
    for index in range(4):
        s3.put(KEY.format(index), PICTURE)

    batch.count(batch.shard(0, 2))
    error = {"reason": "OutOfMemory", "message": "The worker ran out of memory."}
    poison = {"shard": "holiday-0b1c-3", "ranges": "3", "failed": 1, "error": error}
    batch.count(IndexEntry.model_validate(poison))
    batch.spec |= {"options": {"prompt": "all", "language": "de"}, "maxAttempts": 2}
    batch.status = {"counted": "0-3", "startTime": "2026-01-01T00:00:00Z"}
    labels = {"vision-node.dev/owner": "ann", "vision-node.dev/request": "r"}
    cluster.batches[NAME] = batch.body(labels=labels)
    batches.cache.observe(WatchEvent("MODIFIED", [cluster.batches[NAME]]))
    return batch


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("index", [1, 3, 4])
@pytest.mark.parametrize("action", ["cancel", "delete"])
async def test_batch_is_cancelled_and_deleted_as_a_whole(
    client: httpx.AsyncClient, cluster: Cluster, index: int, action: str
) -> None:
    path = f"/jobs/holiday.{index}"
    request = client.delete(path) if action == "delete" else client.post(f"{path}/cancel")
    response = await request
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (409, "ImageOfBatch")
    assert f"POST /batches/{NAME}/cancel, DELETE /batches/{NAME}, or " in problem["detail"]
    assert problem["batch"] == NAME
    assert cluster.batch_changes == []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("index", [1, 3])
async def test_image_that_has_ended_is_described_again_as_a_single_job(
    client: httpx.AsyncClient, cluster: Cluster, s3: S3, index: int
) -> None:
    response = await client.post(f"/jobs/holiday.{index}/retry", json={"language": "en"})
    assert response.status_code == 202, response.text
    job = cluster.jobs[response.json()["job_id"]]

    spec: dict[str, Any] = job.spec.to_json()
    assert spec.pop("image")["fileName"] == f"{index}.png"
    assert spec == {
        "describer": "local",
        "options": {"prompt": f"image {index}", "language": "en"},
        "priority": 0,
        "maxAttempts": 2,
        "cancel": False,
        "retryOf": f"holiday.{index}",
    }
    labels = {name: it for name, it in job.metadata.labels.items() if name != REUSE_LABEL}
    assert labels == {"vision-node.dev/owner": "ann"}
    assert job.spec.image.key.startswith("images/aaaabbbbcccc/")
    assert s3.objects[job.spec.image.key].data == PICTURE


@pytest.mark.usefixtures("running")
async def test_same_key_creates_one_job_for_each_image(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    headers = {"Idempotency-Key": "k"}
    for index in (1, 3, 3, 1):
        response = await client.post(f"/jobs/holiday.{index}/retry", headers=headers)
        assert response.status_code == 202, response.text
    assert len(cluster.jobs) == 2


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("job_id", "expected"),
    [
        ("holiday.4", (409, "JobUnfinished")),
        ("holiday.10", (404, "JobNotFound")),
        ("other.1", (404, "JobNotFound")),
    ],
)
async def test_other_images_are_refused(
    client: httpx.AsyncClient, cluster: Cluster, job_id: str, expected: tuple[int, str]
) -> None:
    response = await client.post(f"/jobs/{job_id}/retry")
    assert (response.status_code, response.json()["reason"]) == expected
    assert cluster.jobs == {}


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("lost", [KEY.format(3), f"{MANIFEST}000000000"])
async def test_image_that_can_not_be_read_is_gone(
    client: httpx.AsyncClient, cluster: Cluster, s3: S3, lost: str
) -> None:
    del s3.objects[lost]
    response = await client.post("/jobs/holiday.3/retry")
    assert (response.status_code, response.json()["reason"]) == (410, "ImageGone")
    assert cluster.jobs == {}
