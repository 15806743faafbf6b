"""Tests of GET /status, /result and /describers."""

import json

import httpx
import pytest
from api_client import submit
from api_fakes import Cluster, FakeBucket, picture
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import KubeError, UnavailableError, WatchEvent

PNG = picture()


async def test_unknown_job_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/status/nope", "/result/nope", "/status/No..pe", "/result/%2e%2e%2fx"):
        response = await client.get(path)
        assert response.status_code == 404
        assert response.headers["Content-Type"] == "application/problem+json"


async def test_result_of_an_unfinished_job_is_refused(client: httpx.AsyncClient) -> None:
    job_id = (await submit(client, PNG)).json()["job_id"]
    response = await client.get(f"/result/{job_id}")
    assert (response.status_code, response.json()["reason"]) == (409, "NotDone")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("results/u/1", (200, "a cat")),
        ("results/u/2", (410, "ResultGone")),
        ("results/another/1", (410, "ResultGone")),
        ("images/another", (410, "ResultGone")),
        ("results/u/../another/1", (410, "ResultGone")),
    ],
)
async def test_only_the_jobs_own_result_is_served(
    client: httpx.AsyncClient, jobs: Jobs, bucket: FakeBucket, key: str, expected: tuple[int, str]
) -> None:
    """Without the admission policies, anyone who can write a job's status can set any key."""
    stored = {
        "description": "a cat",
        "alt": "",
        "caption": "",
        "describer": "metadata",
        "seconds": 1,
    }
    bucket.objects[key] = json.dumps(stored).encode()
    result = {"describer": "metadata", "summary": "", "key": key}
    status = {"phase": "done", "attempts": 1, "result": result}
    body = {
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"image": {"key": "k"}},
        "status": status,
    }
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    response = await client.get("/result/j")
    content = response.json()

    assert (response.status_code, content.get("reason") or content["description"]) == expected


async def test_describers_are_listed_with_their_state(
    client: httpx.AsyncClient, jobs: Jobs
) -> None:
    cause = {
        "reason": "InsufficientResources",
        "message": "exceeded quota",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    deprecated = {**cause, "type": "Deprecated", "status": "True", "message": "ends soon"}
    fallback_ready = {**cause, "type": "FallbackReady", "status": "True"}
    unready = {**cause, "type": "Ready", "status": "False"}
    conditions = [unready, deprecated, fallback_ready]
    describer_status = {"workers": 1, "queued": 3, "conditions": conditions}
    spec = {"provider": "openai", "model": "gpt-x", "fallback": "metadata"}
    body = {"metadata": {"name": "gpt"}, "spec": spec, "status": describer_status}
    jobs.describers.observe(WatchEvent("ADDED", [body]))
    gpt, metadata = (await client.get("/describers")).json()["describers"]

    assert gpt == {
        "name": "gpt",
        "provider": "openai",
        "model": "gpt-x",
        "ready": False,
        "reason": "InsufficientResources",
        "message": "exceeded quota",
        "fallback": "metadata",
        "warnings": ["ends soon"],
        "workers": 1,
        "queued": 3,
        "processing": 0,
        "default": False,
    }
    assert (metadata["name"], metadata["provider"], metadata["default"]) == (
        "metadata",
        "metadata",
        True,
    )

    jobs.describers.observe(WatchEvent("SYNCED", names=frozenset({"gpt"})))
    assert [found["name"] for found in (await client.get("/describers")).json()["describers"]] == [
        "gpt"
    ]


async def test_status_of_a_queued_job_contains_the_problem_of_its_describer(
    client: httpx.AsyncClient, jobs: Jobs
) -> None:
    job_id = (await submit(client, PNG)).json()["job_id"]
    assert (await client.get(f"/status/{job_id}")).json()["waiting"] is None

    cause = {
        "reason": "InsufficientResources",
        "message": "exceeded quota",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [{"type": "Ready", "status": "False", **cause}]}
    jobs.describers.observe(
        WatchEvent("MODIFIED", [{"metadata": {"name": "metadata"}, "status": status}])
    )
    waiting = (await client.get(f"/status/{job_id}")).json()["waiting"]

    assert waiting == {"reason": "InsufficientResources", "message": "exceeded quota"}


async def test_cached_status_equals_the_status_from_kubernetes(
    client: httpx.AsyncClient, jobs: Jobs, cluster: Cluster
) -> None:
    job_id = (await submit(client, PNG)).json()["job_id"]
    cached = await client.get(f"/status/{job_id}")
    jobs.cache.observe(WatchEvent("SYNCED"))
    jobs.cache.observe(WatchEvent("DELETED", [{"metadata": {"name": job_id}}]))
    # This response comes from Kubernetes, because the job is no longer cached.
    uncached = await client.get(f"/status/{job_id}")

    assert (cached.json(), cached.headers) == (uncached.json(), uncached.headers)

    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": job_id}, "spec": "nonsense"}]))
    unknown_duration = {
        "spec": {"image": {"key": "k"}},
        "status": {"phase": "done", "duration": "unknown"},
    }
    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": "b"}, **unknown_duration}]))

    assert (await client.get("/status/b")).json()["duration_seconds"] is None

    unreadable = await client.get(f"/status/{job_id}")
    assert (unreadable.status_code, unreadable.json()["reason"]) == (502, "JobUnreadable")


@pytest.mark.parametrize("path", ["/status/job-x", "/result/job-x"])
@pytest.mark.parametrize(
    "error", [UnavailableError(0, "NoAnswer", "no answer"), KubeError(403, "Forbidden", "no")]
)
async def test_reads_are_refused_while_kubernetes_is_unavailable(
    client: httpx.AsyncClient, cluster: Cluster, path: str, error: KubeError
) -> None:
    cluster.get_fails = error
    response = await client.get(path)
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
