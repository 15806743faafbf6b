"""Tests of GET /result while the watch lags, and after a stored result was overwritten."""

import asyncio
import hashlib
import json
import logging
from typing import Any

import httpx
import pytest
from api_fakes import Cluster, FakeBucket
from vision_node_api.services.jobs import Jobs
from vision_node_api.services.stored_result import LARGE_BYTES, MAX_LARGE_READS
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.kube import UnavailableError, WatchEvent
from vision_node_contract.models.imagejob import ImageJob

INLINE = {"description": "d", "alt": "a", "caption": "c", "describer": "metadata", "seconds": 1}
DONE = {"phase": "done", "result": {"describer": "metadata", "summary": "s", "inline": INLINE}}
QUEUED, PROCESSING = {"phase": "queued"}, {"phase": "processing", "worker": "w"}
FAILED = {
    "phase": "failed",
    "error": {"reason": "ImageUnreadable", "message": "m", "retryable": False},
}
MISSING: None = None
UNAVAILABLE = UnavailableError(0, "NoAnswer", "no answer")

Status = dict[str, Any] | None


def body(status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "job-a", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"image": {"key": "images/a"}}, "status": status}


CASES: dict[str, tuple[Status, Status | Exception, int, str | None]] = {
    "done, but the watch lags": (PROCESSING, DONE, 200, None),
    "done before the watch reported the job": (MISSING, DONE, 200, None),
    "failed, but the watch lags": (PROCESSING, FAILED, 409, "ImageUnreadable"),
    "processing": (PROCESSING, PROCESSING, 409, "NotDone"),
    "queued": (QUEUED, QUEUED, 409, "NotDone"),
    "deleted, but the watch lags": (PROCESSING, MISSING, 404, "JobNotFound"),
    "unknown": (MISSING, MISSING, 404, "JobNotFound"),
    "failed": (FAILED, FAILED, 409, "ImageUnreadable"),
    "failed and deleted, then created again and done": (FAILED, DONE, 200, None),
    "failed and deleted": (FAILED, MISSING, 404, "JobNotFound"),
    "unfinished, and the API server is unavailable": (
        PROCESSING,
        UNAVAILABLE,
        503,
        "KubernetesUnavailable",
    ),
    "unknown, and the API server is unavailable": (
        MISSING,
        UNAVAILABLE,
        503,
        "KubernetesUnavailable",
    ),
    "failed, and the API server is unavailable": (FAILED, UNAVAILABLE, 409, "ImageUnreadable"),
    "done, and the API server is unavailable": (DONE, UNAVAILABLE, 200, None),
}
"""The status in the cache, the status on the API server, and the expected response."""


@pytest.mark.parametrize("case", CASES)
async def test_api_server_is_queried_before_a_result_is_refused(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster, case: str
) -> None:
    watched, current, status, reason = CASES[case]
    if watched:
        jobs.cache.observe(WatchEvent("ADDED", [body(watched)]))

    if isinstance(current, Exception):
        cluster.get_fails = current
    elif current:
        cluster.jobs["job-a"] = ImageJob.model_validate(body(current))

    response = await client.get("/result/job-a")
    assert (response.status_code, response.json().get("reason")) == (status, reason)


async def test_cached_result_needs_no_request_to_the_api_server(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    jobs.cache.observe(WatchEvent("ADDED", [body(DONE)]))
    cluster.get_fails = AssertionError("requested")
    assert (await client.get("/result/job-a")).status_code == 200


async def test_cached_status_needs_no_request_to_the_api_server(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    """Clients request the status of a job often, but its result only once."""
    jobs.cache.observe(WatchEvent("ADDED", [body(PROCESSING)]))
    cluster.get_fails = AssertionError("requested")
    assert (await client.get("/status/job-a")).json()["status"] == "processing"


STORED = json.dumps(INLINE).encode()
FORGED = json.dumps({**INLINE, "description": "what another worker wrote"}).encode()
LARGE = b'{"description":"' + b"x" * (16 << 20)
SHA256 = hashlib.sha256(STORED).hexdigest()

STORED_RESULTS: dict[str, tuple[dict[str, Any], bytes, int, str | None]] = {
    "unchanged": ({"sha256": SHA256, "sizeBytes": len(STORED)}, STORED, 200, None),
    "from an older worker, which reported no hash": ({}, STORED, 200, None),
    "from a worker that reported no size": ({"sha256": SHA256}, STORED, 200, None),
    "overwritten": ({"sha256": SHA256, "sizeBytes": len(STORED)}, FORGED, 502, "ResultChanged"),
    "overwritten with the same number of bytes": (
        {"sha256": SHA256, "sizeBytes": len(STORED)},
        STORED.replace(b'"d"', b'"e"'),
        502,
        "ResultChanged",
    ),
    "cut off": ({"sha256": SHA256, "sizeBytes": len(STORED)}, STORED[:-1], 502, "ResultChanged"),
    "emptied": ({"sha256": SHA256, "sizeBytes": len(STORED)}, b"", 502, "ResultChanged"),
    "overwritten with more bytes than the API reads": (
        {"sha256": SHA256},
        LARGE,
        502,
        "ResultChanged",
    ),
    "stored with more bytes than the API reads": (
        {"sha256": hashlib.sha256(LARGE).hexdigest(), "sizeBytes": len(LARGE)},
        LARGE,
        502,
        "ResultUnreadable",
    ),
    "unchanged, but not a result": (
        {"sha256": hashlib.sha256(b"x").hexdigest(), "sizeBytes": 1},
        b"x",
        502,
        "ResultUnreadable",
    ),
}
"""What the status says about the object, the actual object, and the expected response."""


@pytest.mark.parametrize("case", STORED_RESULTS)
async def test_stored_result_is_served_only_if_unchanged(
    client: httpx.AsyncClient,
    jobs: Jobs,
    bucket: FakeBucket,
    caplog: pytest.LogCaptureFixture,
    case: str,
) -> None:
    reported, stored, status, reason = STORED_RESULTS[case]
    bucket.objects["results/u/1"] = stored
    result = {"describer": "metadata", "summary": "s", "key": "results/u/1", **reported}
    jobs.cache.observe(
        WatchEvent("ADDED", [body({"phase": "done", "attempts": 1, "result": result})])
    )
    with caplog.at_level(logging.WARNING):
        response = await client.get("/result/job-a")

    content = response.json()

    assert (response.status_code, content.get("reason")) == (status, reason)
    assert "what another worker wrote" not in response.text
    assert (reason == "ResultChanged") == ("results/u/1" in caplog.text)


async def test_api_reads_no_more_bytes_than_the_worker_stored(
    jobs: Jobs, client: httpx.AsyncClient
) -> None:
    sizes: list[int] = []

    class RecordingBucket:
        folders = BucketFolders()

        async def get(self, key: str, max_bytes: int) -> bytes:
            sizes.append(max_bytes)
            return STORED

    object.__setattr__(jobs, "bucket", RecordingBucket())
    result = {
        "describer": "metadata",
        "summary": "s",
        "key": "results/u/1",
        "sha256": SHA256,
        "sizeBytes": len(STORED),
    }
    jobs.cache.observe(
        WatchEvent("ADDED", [body({"phase": "done", "attempts": 1, "result": result})])
    )
    assert (await client.get("/result/job-a")).status_code == 200
    assert sizes == [len(STORED)]


@pytest.mark.parametrize(
    ("size_bytes", "at_once"),
    [(LARGE_BYTES, 5), (LARGE_BYTES + 1, MAX_LARGE_READS), (None, MAX_LARGE_READS)],
)
async def test_only_a_few_large_results_are_read_at_the_same_time(
    jobs: Jobs, size_bytes: int | None, at_once: int
) -> None:
    """Each may take 100 MB, and clients may ask for any number of them."""
    reads: list[str] = []
    proceed = asyncio.Event()

    class SlowBucket:
        folders = BucketFolders()

        async def get(self, key: str, max_bytes: int) -> bytes:
            reads.append(key)
            await proceed.wait()
            return STORED

    object.__setattr__(jobs, "bucket", SlowBucket())
    result = {"describer": "metadata", "summary": "s", "key": "results/u/1"}
    stored = {**result, "sizeBytes": size_bytes} if size_bytes else result
    job = body({"phase": "done", "attempts": 1, "result": stored})
    jobs.cache.observe(WatchEvent("ADDED", [job]))

    async with asyncio.TaskGroup() as clients:
        results = [clients.create_task(jobs.result("job-a")) for _ in range(5)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(reads) == at_once
        proceed.set()

    assert len(reads) == 5
    assert all(it.result()["status"] == "done" for it in results)
