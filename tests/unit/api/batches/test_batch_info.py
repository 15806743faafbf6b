"""Tests of GET /batches/{name}."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster
from batch_fixture import Batch
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.batches.batches import Batches
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.clients.kube import KubeError, UnavailableError, WatchEvent

TIME = "2026-01-01T00:00:00Z"
FAILURE = {"index": 3, "customId": "photo-3.jpg", "reason": "ImageUnreadable", "message": "m"}


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "m",
        "lastTransitionTime": TIME,
    }


async def test_state_of_a_batch(client: httpx.AsyncClient, batches: Batches, batch: Batch) -> None:
    batch.status = {
        "images": {"total": 10, "done": 4, "failed": 1},
        "results": {"index": 2, "sizeBytes": 1234},
        "rate": "4.2/s",
        "usage": {"inputTokens": 7, "outputTokens": 8},
        "failures": [FAILURE],
        "conditions": [condition("Waiting", "True", "CredentialsRefused")],
        "startTime": TIME,
    }
    batches.cache.observe(WatchEvent("ADDED", [batch.body(creationTimestamp=TIME)]))

    assert (await client.get("/batches/holiday")).json() == {
        "name": "holiday",
        "uid": "0b1c",
        "status": "processing",
        "describer": "local",
        "source": {"prefix": "inbox/holiday/", "manifest": None, "upload": None},
        "images": {"total": 10, "done": 4, "failed": 1},
        "rate": 4.2,
        "remaining_seconds": None,
        "usage": {"input_tokens": 7, "output_tokens": 8},
        "suspended": False,
        "waiting": {"reason": "CredentialsRefused", "message": "m"},
        "error": None,
        "failures": [
            {"index": 3, "custom_id": "photo-3.jpg", "reason": "ImageUnreadable", "message": "m"}
        ],
        "conditions": [
            {
                "type": "Waiting",
                "status": "True",
                "reason": "CredentialsRefused",
                "message": "m",
                "last_transition_at": TIME,
            }
        ],
        "results": {"parts": 2, "size_bytes": 1234},
        "created_at": TIME,
        "started_at": TIME,
        "completed_at": None,
        "expires_at": None,
        "duration_seconds": None,
        "links": {"results": "/batches/holiday/results"},
        "callback": None,
    }


async def test_state_of_a_finished_batch(
    client: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.phase = "failed"
    batch.spec = {"manifest": "inbox/list.jsonl", "ttlSecondsAfterFinished": 3600, "suspend": True}
    conditions = [condition("Failed", "True", "Cancelled"), condition("Waiting", "True", "X")]
    batch.status = {"conditions": conditions, "completionTime": TIME, "duration": "13.042s"}
    batch.report(batches.cache)
    found = (await client.get("/batches/holiday")).json()

    assert found["error"] == {"reason": "Cancelled", "message": "m"}
    assert (found["waiting"], found["suspended"]) == (None, False)
    assert (found["expires_at"], found["duration_seconds"]) == ("2026-01-01T01:00:00Z", 13.042)
    assert found["source"] == {"prefix": None, "manifest": "inbox/list.jsonl", "upload": None}
    assert found["remaining_seconds"] == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 4.0),
        ({"rate": None}, None),
        ({"rate": "0/s"}, None),
        ({"rate": "1e999/s"}, None),
        ({"rate": "nan/s"}, None),
        ({"rate": "-1/s"}, None),
        ({"manifest": None, "images": None}, None),
        ({"conditions": [condition("Waiting", "True", "CredentialsRefused")]}, None),
        ({"conditions": [condition("Waiting", "False", "NotWaiting")]}, 4.0),
    ],
)
async def test_remaining_time_follows_from_the_rate(
    client: httpx.AsyncClient,
    batches: Batches,
    batch: Batch,
    change: dict[str, Any],
    expected: float | None,
) -> None:
    batch.status = {"images": {"total": 10, "done": 1, "failed": 1}, "rate": "2/s", **change}
    batch.report(batches.cache)
    assert (await client.get("/batches/holiday")).json()["remaining_seconds"] == expected


async def test_remaining_time_of_a_suspended_batch_is_unknown(
    client: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.spec["suspend"] = True
    batch.status = {"rate": "2/s"}
    batch.report(batches.cache)
    assert (await client.get("/batches/holiday")).json()["remaining_seconds"] is None


@pytest.mark.parametrize(
    ("upload", "manifest", "expected"),
    [
        ({}, None, {"complete": False, "images": None}),
        ({"complete": True, "attempt": "ab", "lists": 1}, None, {"complete": True, "images": None}),
        (
            {"complete": True, "attempt": "ab", "lists": 1},
            {"folder": "f", "images": 7, "sha256": "0" * 64},
            {"complete": True, "images": 7},
        ),
    ],
)
async def test_state_of_an_upload(
    client: httpx.AsyncClient,
    batches: Batches,
    batch: Batch,
    upload: dict[str, Any],
    manifest: dict[str, Any] | None,
    expected: dict[str, Any],
) -> None:
    batch.spec, batch.status = {"upload": upload}, {"manifest": manifest}
    batch.report(batches.cache)
    found = (await client.get("/batches/holiday")).json()
    assert found["source"] == {"prefix": None, "manifest": None, "upload": expected}


async def test_state_of_a_new_batch(client: httpx.AsyncClient, cluster: Cluster) -> None:
    spec = {"prefix": "inbox/"}
    cluster.batches["new"] = {"metadata": {"name": "new", "uid": "u"}, "spec": spec}
    found = (await client.get("/batches/new")).json()

    assert (found["status"], found["results"]["parts"]) == ("queued", 0)
    assert found["images"] == {"total": 0, "done": 0, "failed": 0}
    assert (await client.get("/batches/new/results")).content == b""


@pytest.mark.parametrize("rate", ["", "fast", "/s", "1e999/s", "nan/s"])
async def test_unreadable_rate_is_null(
    client: httpx.AsyncClient, batches: Batches, batch: Batch, rate: str
) -> None:
    batch.status = {"rate": rate}
    batch.report(batches.cache)
    assert (await client.get("/batches/holiday")).json()["rate"] is None


async def test_links_have_the_root_path(app: Any, batches: Batches, batch: Batch) -> None:
    batch.report(batches.cache)
    served = add_middleware(app, HttpSettings(root_path="/vision"), app.state.metrics)
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        found = (await client.get("/vision/batches/holiday")).json()
        assert found["links"]["results"] == "/vision/batches/holiday/results"
        assert (await client.get(found["links"]["results"])).status_code == 200


HOSTILE = ["Holiday", "a..", "-a", "a_b", "a%20b", "%2e%2e", "a%0d%0ab", "é", "a" * 254, "a%00"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", ["", "/results"])
async def test_name_that_no_batch_can_have_is_refused(
    client: httpx.AsyncClient, cluster: Cluster, name: str, suffix: str
) -> None:
    response = await client.get(f"/batches/{name}{suffix}")
    assert (response.status_code, response.json()["reason"]) == (400, "InvalidName")
    assert cluster.batch_reads == 0


@pytest.mark.parametrize("name", ["%2e%2e%2fimagejobs%2fx", "a/b", "a%2Fresults%2Fx"])
async def test_name_can_not_lead_to_another_path(
    client: httpx.AsyncClient, cluster: Cluster, name: str
) -> None:
    assert (await client.get(f"/batches/{name}")).status_code == 404
    assert cluster.batch_reads == 0


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999", "follow=perhaps"])
async def test_invalid_query_is_refused(
    client: httpx.AsyncClient, batches: Batches, batch: Batch, query: str
) -> None:
    batch.report(batches.cache)
    response = await client.get(f"/batches/holiday/results?{query}")
    assert (response.status_code, response.json()["reason"]) == (422, "InvalidRequest")


@pytest.mark.parametrize("suffix", ["", "/results"])
async def test_unknown_batch_is_looked_up_once(
    client: httpx.AsyncClient, cluster: Cluster, suffix: str
) -> None:
    response = await client.get(f"/batches/unknown{suffix}")
    assert (response.status_code, response.json()["reason"]) == (404, "BatchNotFound")
    assert cluster.batch_reads == 1


async def test_cached_batch_needs_no_request(
    client: httpx.AsyncClient, batches: Batches, batch: Batch, cluster: Cluster
) -> None:
    batch.report(batches.cache)
    for path in ("/batches/holiday", "/batches/holiday/results"):
        assert (await client.get(path)).status_code == 200
    assert cluster.batch_reads == 0


async def test_batch_that_this_version_can_not_read_is_a_problem(
    client: httpx.AsyncClient, batches: Batches, cluster: Cluster
) -> None:
    unreadable = {"metadata": {"name": "odd", "uid": "u"}, "spec": "nonsense"}
    cluster.batches["odd"] = unreadable
    for _ in range(2):
        response = await client.get("/batches/odd")
        assert (response.status_code, response.json()["reason"]) == (502, "BatchUnreadable")
        batches.cache.observe(WatchEvent("ADDED", [unreadable]))


@pytest.mark.parametrize(
    "error", [UnavailableError(0, "NoAnswer", "no answer"), KubeError(403, "Forbidden", "no")]
)
async def test_unknown_batch_is_refused_while_kubernetes_is_unavailable(
    client: httpx.AsyncClient, cluster: Cluster, error: KubeError
) -> None:
    cluster.get_fails = error
    response = await client.get("/batches/holiday")
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")


@pytest.mark.parametrize("suffix", ["", "/results"])
async def test_older_chart_is_reported(
    client: httpx.AsyncClient, batches: Batches, cluster: Cluster, suffix: str
) -> None:
    batches.follower.refusal = "The cluster has no ImageBatches. Upgrade the release."
    response = await client.get(f"/batches/holiday{suffix}")
    assert (response.status_code, response.json()["reason"]) == (503, "BatchesUnavailable")
    assert "Upgrade the release" in response.json()["detail"]
    assert cluster.batch_reads == 0


async def test_nothing_is_missing_before_the_first_list(
    client: httpx.AsyncClient, batches: Batches
) -> None:
    """An API server without ImageBatches answers 404, too."""
    batches.follower.listed = False
    response = await client.get("/batches/holiday")
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
