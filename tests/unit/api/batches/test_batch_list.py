"""Tests of GET /batches in a release without a database."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from vision_node_api.services.batches.batches import Batches
from vision_node_api.watch import imagebatch_cache
from vision_node_contract.clients.kube import WatchEvent


def body(number: int, phase: str = "processing", **changes: Any) -> dict[str, Any]:
    """Return an ImageBatch that was created in this second of a minute."""
    created = changes.pop("created", f"2026-01-01T00:00:{number:02}Z")
    owner = changes.pop("owner", None)
    return {
        "metadata": {
            "name": f"batch-{number}",
            "uid": str(UUID(int=number)),
            "resourceVersion": "1",
            "creationTimestamp": created,
            "labels": {"vision-node.dev/owner": owner} if owner else {},
        },
        "spec": changes.pop("spec", {"prefix": "inbox/holiday/"}),
        "status": {"phase": phase, **changes},
    }


def report(batches: Batches, *bodies: dict[str, Any], kind: Any = "ADDED") -> None:
    batches.cache.observe(WatchEvent(kind, list(bodies)))


async def names(client: httpx.AsyncClient, **query: Any) -> list[str]:
    response = await client.get("/batches", params=query)
    assert response.status_code == 200, response.text
    return [it["name"] for it in response.json()["batches"]]


async def test_entry_has_what_a_list_of_batches_shows(
    client: httpx.AsyncClient, batches: Batches
) -> None:
    ended = {
        "images": {"total": 9, "done": 7, "failed": 2},
        "completionTime": "2026-01-01T00:01:00Z",
    }
    report(batches, body(1, "done", **ended), body(2, "queued", spec={"upload": {}}))
    report(batches, body(3, "queued", spec={"manifest": "inbox/list", "describer": "openai"}))
    listed, uploaded, done = (await client.get("/batches")).json()["batches"]

    assert done == {
        "name": "batch-1",
        "status": "done",
        "describer": "local",
        "source": "prefix",
        "images": {"total": 9, "done": 7, "failed": 2},
        "created_at": "2026-01-01T00:00:01Z",
        "completed_at": "2026-01-01T00:01:00Z",
    }
    assert (uploaded["source"], uploaded["images"]["total"]) == ("upload", 0)
    assert (listed["source"], listed["describer"]) == ("manifest", "openai")


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_have_every_batch_once(
    client: httpx.AsyncClient, batches: Batches, limit: int
) -> None:
    report(batches, *(body(it, created="2026-01-01T00:00:00Z") for it in (2, 1, 3)), body(4))
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = (await client.get("/batches", params=query)).json()
        found += [it["name"] for it in page["batches"]]
        if page["next"] is None:
            break
        assert len(page["batches"]) == limit
        query["cursor"] = page["next"]

    assert found == [f"batch-{it}" for it in (4, 3, 2, 1)]


async def test_batches_are_filtered_by_status_and_owner(
    client: httpx.AsyncClient, batches: Batches
) -> None:
    report(batches, body(1, "queued", owner="ada"), body(2, "done", owner="ada"), body(3, "queued"))
    assert await names(client, phase="queued") == ["batch-3", "batch-1"]
    assert await names(client, owner="ada") == ["batch-2", "batch-1"]
    assert await names(client, owner="ada", phase="queued") == ["batch-1"]
    assert await names(client, owner="bob") == []


async def test_changes_and_deletions_are_listed(
    client: httpx.AsyncClient, batches: Batches
) -> None:
    report(batches, body(1), body(2), body(3))
    report(batches, body(1, "done"), kind="MODIFIED")
    report(batches, body(2), kind="DELETED")
    assert await names(client) == ["batch-3", "batch-1"]
    assert await names(client, phase="done") == ["batch-1"]

    batches.cache.observe(WatchEvent("SYNCED", names=frozenset({"batch-1"})))
    assert await names(client) == ["batch-1"]


async def test_batches_that_do_not_fit_the_cache_are_listed(
    client: httpx.AsyncClient, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imagebatch_cache, "CACHE_BYTES", 3000)
    report(batches, *(body(it) for it in range(30)))
    assert await names(client) == [f"batch-{it}" for it in range(29, -1, -1)]


async def test_batch_that_this_version_can_not_read_is_not_listed(
    client: httpx.AsyncClient, batches: Batches
) -> None:
    report(batches, body(1), body(2, spec="nonsense"))
    assert await names(client) == ["batch-1"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "phase=running", "owner=a%20b", "limit=x"]
)
async def test_invalid_list_is_refused(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"/batches?{query}")
    assert (response.status_code, response.json()["reason"]) == (422, "InvalidRequest")


async def test_invalid_cursor_of_batches_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/batches?cursor=x")
    assert (response.status_code, response.json()["reason"]) == (400, "InvalidCursor")


async def test_list_waits_for_the_watch(client: httpx.AsyncClient, batches: Batches) -> None:
    batches.follower.listed = False
    response = await client.get("/batches")
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
    batches.follower.refusal = "The cluster has no ImageBatches. Upgrade the release."
    response = await client.get("/batches")
    assert (response.status_code, response.json()["reason"]) == (503, "BatchesUnavailable")


async def test_list_of_batches_is_documented(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/batches"]["get"]
    assert {it["name"] for it in operation["parameters"]} == {"limit", "cursor", "phase", "owner"}
    assert {"200", "400", "422", "503"} <= operation["responses"].keys()
