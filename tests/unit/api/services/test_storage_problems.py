"""Tests that problem documents contain the reason and the message of a bucket failure."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster, FakeBucket, picture
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.bucket import ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import STORAGE_REASONS, Reason


class FailingBucket(FakeBucket):
    """A fake bucket whose reads and writes raise `fails` if it is set."""

    fails: Exception | None = None

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        if self.fails:
            raise self.fails
        await super().put(key, data, media_type, sha256)

    async def get(self, key: str, max_bytes: int) -> bytes:
        if self.fails:
            raise self.fails
        return await super().get(key, max_bytes)


@pytest.fixture
def bucket() -> FailingBucket:
    return FailingBucket()


def failure(reason: Reason) -> StoreUnavailableError:
    return StoreUnavailableError(f"message of {reason}", reason, "TheCode")


async def submit(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/submit", files={"file": ("photo.png", picture())})


@pytest.mark.parametrize("reason", sorted(STORAGE_REASONS))
async def test_refused_submission_reports_the_reason_of_the_storage_failure(
    client: httpx.AsyncClient, bucket: FailingBucket, cluster: Cluster, jobs: Jobs, reason: Reason
) -> None:
    bucket.fails = failure(reason)
    response = await submit(client)
    problem = response.json()

    assert (response.status_code, problem["reason"]) == (503, reason)
    assert f"message of {reason}" in problem["detail"]
    assert cluster.jobs == {}
    assert jobs.storage.state.state == reason
    assert sum(n for key, n in jobs.storage.errors.items() if key.reason == reason) == 1

    bucket.fails = None
    assert (await submit(client)).status_code == 202
    assert jobs.storage.state.is_ok


@pytest.mark.parametrize("reason", sorted(STORAGE_REASONS))
async def test_retry_after_is_longer_if_an_administrator_has_to_act(
    client: httpx.AsyncClient, bucket: FailingBucket, reason: Reason
) -> None:
    bucket.fails = failure(reason)
    wanted = "2" if reason is Reason.STORAGE_UNAVAILABLE else "30"
    assert (await submit(client)).headers["retry-after"] == wanted


def job_with_stored_result() -> ImageJob:
    result = {"describer": "metadata", "summary": "s", "key": "results/u/1"}
    status: dict[str, Any] = {"phase": "done", "attempts": 1, "result": result}
    metadata = {"name": "job-a", "uid": "u", "resourceVersion": "1"}
    body = {"metadata": metadata, "spec": {"image": {"key": "images/a"}}, "status": status}
    return ImageJob.model_validate(body)


@pytest.mark.parametrize("reason", sorted(STORAGE_REASONS))
async def test_refused_result_reports_the_reason_of_the_storage_failure(
    client: httpx.AsyncClient, bucket: FailingBucket, cluster: Cluster, jobs: Jobs, reason: Reason
) -> None:
    cluster.jobs["job-a"] = job_with_stored_result()
    bucket.fails = failure(reason)
    response = await client.get("/result/job-a")
    assert (response.status_code, response.json()["reason"]) == (503, reason)
    assert jobs.storage.state.state == reason


async def test_deleted_result_does_not_affect_the_storage_state(
    client: httpx.AsyncClient, bucket: FailingBucket, cluster: Cluster, jobs: Jobs
) -> None:
    cluster.jobs["job-a"] = job_with_stored_result()
    bucket.fails = ObjectNotFoundError("no such object")
    response = await client.get("/result/job-a")
    assert (response.status_code, response.json()["reason"]) == (410, "ResultGone")
    assert jobs.storage.state.is_ok
