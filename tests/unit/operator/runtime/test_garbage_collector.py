"""Tests of the garbage collector, which deletes the stored objects of deleted ImageJobs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from vision_node_contract.bucket_keys import own_keys
from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.models.imagejob import ImageJob
from vision_node_operator.runtime.garbage_collector import GRACE, GarbageCollector
from vision_node_operator.state.job_queue import JobQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def body(name: str, image: str, result: str | None = None) -> dict[str, Any]:
    stored = {"result": {"describer": "d", "summary": "s", "key": result}} if result else {}
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "5"},
        "spec": {"image": {"key": image}},
        "status": {"phase": "done" if result else "queued", "attempts": 1, **stored},
    }


class FakeBucket:
    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.unavailable = False

    async def delete(self, key: str) -> None:
        if self.unavailable:
            raise StoreUnavailableError("connection refused")
        self.keys.discard(key)

    async def list_older(self, prefix: str, than: datetime) -> list[str]:
        assert than == NOW - GRACE
        return [key for key in self.keys if key.startswith(prefix)]


class FakeCluster:
    path = "/imagejobs"

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = bodies

    async def list_pages(self, path: str) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        assert path == self.path
        for body in self.bodies:
            yield [body], "9"


def collector_of(bucket: FakeBucket, *bodies: dict[str, Any]) -> GarbageCollector:
    cluster = FakeCluster(*bodies)
    return GarbageCollector(bucket, cluster, cluster)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "result", "own"),
    [
        ("images/1", None, ["images/1"]),
        ("images/1", "results/j/1", ["images/1", "results/j/1"]),
        ("inbox/1", "results/j/1", ["results/j/1"]),
        ("inbox/1", None, []),
        ("images/1", "results/another/1", ["images/1"]),
        ("images/1", "results/j/../another/1", ["images/1"]),
        ("images/1", "images/another", ["images/1"]),
        ("results/another/1", None, []),
    ],
)
def test_own_keys_are_the_jobs_upload_and_result(
    image: str, result: str | None, own: list[str]
) -> None:
    assert own_keys(ImageJob.model_validate(body("j", image, result))) == own


async def collect(bucket: FakeBucket, deleted: dict[str, Any], *others: dict[str, Any]) -> None:
    job_queue = JobQueue()
    for other in (deleted, *others):
        job_queue.put(ImageJob.model_validate(other), NOW)
    job_queue.drop(deleted["metadata"]["name"])
    collector_of(bucket).collect(ImageJob.model_validate(deleted), job_queue)
    await asyncio.sleep(0.01)


async def test_objects_of_a_deleted_job_are_deleted() -> None:
    bucket = FakeBucket("images/1", "results/j/1", "images/2")
    await collect(bucket, body("j", "images/1", "results/j/1"), body("k", "images/2"))
    assert bucket.keys == {"images/2"}


async def test_image_that_another_job_uses_is_kept() -> None:
    bucket = FakeBucket("images/1", "results/j/1")
    await collect(bucket, body("j", "images/1", "results/j/1"), body("retry", "images/1"))
    assert bucket.keys == {"images/1"}


async def test_objects_remain_for_the_next_sweep_if_storage_is_unavailable() -> None:
    bucket = FakeBucket("images/1")
    bucket.unavailable = True
    await collect(bucket, body("j", "images/1"))
    assert bucket.keys == {"images/1"}


async def test_sweep_deletes_objects_that_no_job_uses() -> None:
    bucket = FakeBucket("images/1", "images/2", "results/u/1", "results/u/2", "inbox/1")
    swept = await collector_of(
        bucket, body("j", "images/1", "results/u/2"), body("k", "inbox/1")
    ).sweep(NOW)
    assert swept == 2
    assert bucket.keys == {"images/1", "results/u/2", "inbox/1"}


async def test_invalid_job_protects_its_objects() -> None:
    odd = body("j", "images/1")
    odd["status"] = {"attempts": "many", "result": {"key": "results/u/1"}}
    bucket = FakeBucket("images/1", "results/u/1")
    assert await collector_of(bucket, odd).sweep(NOW) == 0
