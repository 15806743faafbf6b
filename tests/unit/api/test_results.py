"""Results of jobs that this replica's watch shows late: the API server has the last word."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster
from vision_node_api.jobs import Jobs
from vision_node_contract.imagejob import ImageJob
from vision_node_contract.kube import Event, UnavailableError

INLINE = {"description": "d", "alt": "a", "caption": "c", "describer": "metadata", "seconds": 1}
DONE = {"phase": "done", "result": {"describer": "metadata", "summary": "s", "inline": INLINE}}
QUEUED, PROCESSING = {"phase": "queued"}, {"phase": "processing", "worker": "w"}
FAILED = {
    "phase": "failed",
    "error": {"reason": "ImageUnreadable", "message": "m", "retryable": False},
}
NOBODY: None = None
AWAY = UnavailableError(0, "NoAnswer", "away")

Status = dict[str, Any] | None


def body(status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "job-a", "uid": "u", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"image": {"key": "images/a"}}, "status": status}


CASES: dict[str, tuple[Status, Status | Exception, int, str | None]] = {
    "done at another replica": (PROCESSING, DONE, 200, None),
    "done before this watch showed it at all": (NOBODY, DONE, 200, None),
    "failed at another replica": (PROCESSING, FAILED, 409, "ImageUnreadable"),
    "really not done": (PROCESSING, PROCESSING, 409, "NotDone"),
    "really queued": (QUEUED, QUEUED, 409, "NotDone"),
    "deleted at another replica": (PROCESSING, NOBODY, 404, "JobNotFound"),
    "unknown": (NOBODY, NOBODY, 404, "JobNotFound"),
    "failed": (FAILED, FAILED, 409, "ImageUnreadable"),
    "failed, deleted, and done under the same idempotency key": (FAILED, DONE, 200, None),
    "failed and deleted": (FAILED, NOBODY, 404, "JobNotFound"),
    "unfinished, and the API server is away": (PROCESSING, AWAY, 503, "KubernetesUnavailable"),
    "unknown, and the API server is away": (NOBODY, AWAY, 503, "KubernetesUnavailable"),
    "failed, and the API server is away": (FAILED, AWAY, 409, "ImageUnreadable"),
    "done, and the API server is away": (DONE, AWAY, 200, None),
}
"""What the watch shows, what the API server has, and the answer."""


@pytest.mark.parametrize("case", CASES)
async def test_a_refusal_rests_on_what_the_api_server_has(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster, case: str
) -> None:
    shown, had, status, reason = CASES[case]
    if shown:
        jobs.cache.observe(Event("ADDED", [body(shown)]))
    if isinstance(had, Exception):
        cluster.get_fails = had
    elif had:
        cluster.jobs["job-a"] = ImageJob.model_validate(body(had))

    answer = await client.get("/result/job-a")
    assert (answer.status_code, answer.json().get("reason")) == (status, reason)


async def test_a_result_that_the_watch_shows_costs_the_api_server_nothing(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    jobs.cache.observe(Event("ADDED", [body(DONE)]))
    cluster.get_fails = AssertionError("asked")
    assert (await client.get("/result/job-a")).status_code == 200


async def test_states_are_told_as_the_watch_shows_them(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    """Clients ask for states again and again; a result is asked for once."""
    jobs.cache.observe(Event("ADDED", [body(PROCESSING)]))
    cluster.get_fails = AssertionError("asked")
    assert (await client.get("/status/job-a")).json()["status"] == "processing"
