"""Tests of GET /batches: live batches and archived batches in one list, page by page."""

import json
from typing import Any

import httpx
import psycopg
import pytest
from api_archive import Archive, batch_body, uid_of
from history_database import SCHEMA
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.models.imagebatch import ImageBatch


def body(number: int, phase: str = "done", owner: str = "", **changes: Any) -> dict[str, Any]:
    """Return an ImageBatch that was created `number` seconds after the others."""
    ended = {} if phase in {"done", "failed"} else {"completionTime": None}
    found = batch_body(number, phase=phase, **ended, **changes)
    found["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
    found["metadata"]["labels"] = {"vision-node.dev/owner": owner} if owner else {}
    return found


def report(batches: Batches, *bodies: dict[str, Any], kind: Any = "ADDED") -> None:
    batches.cache.observe(WatchEvent(kind, list(bodies)))


async def pages(client: httpx.AsyncClient, **parameters: Any) -> list[list[str]]:
    """Return the names on each page, up to the last one."""
    found, cursor = [], None
    while True:
        query = parameters | ({"cursor": cursor} if cursor else {})
        response = await client.get("/batches", params=query)
        assert response.status_code == 200, response.text
        found.append([it["name"] for it in response.json()["batches"]])
        cursor = response.json()["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_pages_have_live_and_archived_batches_once(
    client: httpx.AsyncClient, batches: Batches, archive: Archive, limit: int
) -> None:
    bodies = {number: body(number) for number in range(1, 8)}
    for number in (1, 3, 5, 6):
        await archive.add_batch(bodies[number])
    report(batches, *(bodies[it] for it in (2, 3, 4, 6, 7)))

    found = await pages(client, limit=limit)
    assert [name for page in found for name in page] == [f"batch-{it}" for it in range(7, 0, -1)]
    assert all(len(page) == limit for page in found[:-1])


async def test_live_and_archived_batches_look_alike(
    client: httpx.AsyncClient, batches: Batches, archive: Archive
) -> None:
    found = body(1, "failed", images={"total": 9, "done": 1, "failed": 2})
    report(batches, found)
    live = (await client.get("/batches")).json()
    await archive.add_batch(found)
    assert (await client.get("/batches")).json() == live
    report(batches, found, kind="DELETED")
    assert (await client.get("/batches")).json() == live


async def test_end_of_a_batch_is_listed_before_the_watch_reports_it(
    client: httpx.AsyncClient, batches: Batches, archive: Archive
) -> None:
    report(batches, body(1, "processing"))
    await archive.add_batch(body(1, "processing"))
    assert (await client.get("/batches")).json()["batches"][0]["status"] == "processing"
    await archive.add_batch(body(1, "done"))
    assert (await client.get("/batches")).json()["batches"][0]["status"] == "done"


async def test_archived_batches_are_filtered(
    client: httpx.AsyncClient, batches: Batches, archive: Archive
) -> None:
    # A text can't look like another status.
    message = '"phase":"failed" "phase": "failed"'
    condition = {
        "type": "Complete",
        "status": "True",
        "reason": "Completed",
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await archive.add_batch(body(1, "done", owner="ada", conditions=[condition]))
    await archive.add_batch(body(2, "failed"))
    await archive.add_batch(body(3, "failed", owner="ada"))
    report(batches, body(4, "queued", owner="ada"))

    assert await pages(client, phase="done") == [["batch-1"]]
    assert await pages(client, phase="failed", limit=1) == [["batch-3"], ["batch-2"]]
    assert await pages(client, owner="ada", limit=2) == [["batch-4", "batch-3"], ["batch-1"]]
    assert await pages(client, owner="ada", phase="failed") == [["batch-3"]]
    assert await pages(client, owner="eve") == [[]]


async def test_compact_body_has_its_phase(client: httpx.AsyncClient, archive: Archive) -> None:
    """The archiver may write JSON with or without spaces."""
    found = body(1)
    text = json.dumps(found, separators=(",", ":"))
    assert await archive.store.add_batch(ImageBatch.model_validate(found), text)
    assert await pages(client, phase="done") == [["batch-1"]]
    assert await pages(client, phase="failed") == [[]]


async def test_unreadable_row_hides_no_other_batch(
    client: httpx.AsyncClient, archive: Archive, history_url: str
) -> None:
    for number in range(1, 5):
        await archive.add_batch(body(number))
    with psycopg.connect(history_url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {SCHEMA}".encode())
        connection.execute("UPDATE batches SET body = '[]' WHERE name <> 'batch-1'")

    found = await pages(client, limit=2)
    assert [name for page in found for name in page] == ["batch-1"]


async def test_deleted_batches_are_not_listed(
    client: httpx.AsyncClient, archive: Archive, reader: HistoryReader
) -> None:
    await archive.add_batch(body(1))
    await archive.add_batch(body(2))
    await reader.add_tombstone(uid_of(2), is_batch=True)
    assert await pages(client) == [["batch-1"]]


async def test_list_needs_the_history_only_for_finished_batches(
    client: httpx.AsyncClient,
    batches: Batches,
    reader: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise HistoryUnavailableError("gone")

    monkeypatch.setattr(reader._database, "run", fail)
    report(batches, body(1, "processing"))
    response = await client.get("/batches")
    assert (response.status_code, response.json()["reason"]) == (503, "HistoryUnavailable")
    assert await pages(client, phase="processing") == [["batch-1"]]
