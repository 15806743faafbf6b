"""Tests of ImageBatches that are no longer in etcd, but in the history."""

import httpx
import pytest
from api_archive import Archive, batch_body, uid_of
from api_fakes import Cluster
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.clients.kube import NotFoundError
from vision_node_contract.history.database import HistoryUnavailableError


async def test_archived_batch_is_answered_like_a_live_one(
    client: httpx.AsyncClient, cluster: Cluster, archive: Archive
) -> None:
    body = batch_body(7)
    await archive.add_batch(body)
    cluster.batches["batch-7"] = body
    live = await client.get("/batches/batch-7")
    del cluster.batches["batch-7"]
    archived = await client.get("/batches/batch-7")

    assert (archived.status_code, archived.json()) == (200, live.json())


async def test_results_of_an_archived_batch_are_read_from_the_bucket(
    client: httpx.AsyncClient, archive: Archive, batches: Batches
) -> None:
    await archive.add_batch(batch_body(7))
    response = await client.get("/batches/batch-7/results")
    assert (response.status_code, response.text) == (200, "")
    assert response.headers["vision-node-after"] == "0"


async def test_batch_that_was_deleted_while_unfinished_is_not_found(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    """A client that follows it would wait forever."""
    await archive.add_batch(batch_body(7, phase="processing", completionTime=None))
    for path in ("/batches/batch-7", "/batches/batch-7/results?follow=true"):
        response = await client.get(path)
        assert (response.status_code, response.json()["reason"]) == (404, "BatchNotFound")


async def test_batch_with_a_tombstone_is_not_found(
    client: httpx.AsyncClient, archive: Archive, reader: HistoryReader
) -> None:
    await archive.add_batch(batch_body(7))
    await reader.add_tombstone(uid_of(7), is_batch=True)
    assert (await client.get("/batches/batch-7")).status_code == 404
    assert await archive.store.to_clean(10, batches=True) == [uid_of(7)]


@pytest.mark.parametrize("name", ["x' OR '1'='1", "A", "%00", "x" * 10_000])
async def test_impossible_name_is_not_looked_up(
    client: httpx.AsyncClient, reader: HistoryReader, name: str
) -> None:
    response = await client.get(f"/batches/{name}")
    assert (response.status_code, response.json()["reason"]) == (400, "InvalidName")
    assert reader.outcomes.total() == 0


@pytest.mark.parametrize("verb", ["cancel", "suspend", "resume"])
async def test_archived_batch_can_not_be_changed(
    client: httpx.AsyncClient, archive: Archive, cluster: Cluster, verb: str
) -> None:
    await archive.add_batch(batch_body(7))
    response = await client.post(f"/batches/batch-7/{verb}")
    assert (response.status_code, response.json()["reason"]) == (409, "BatchFinished")
    assert cluster.batch_changes == []


async def test_archived_batch_is_deleted_with_a_tombstone(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    await archive.add_batch(batch_body(7))
    assert (await client.delete("/batches/batch-7")).status_code == 204
    assert await archive.store.to_clean(10, batches=True) == [uid_of(7)]
    assert (await client.get("/batches/batch-7")).status_code == 404
    assert (await client.delete("/batches/batch-7")).status_code == 404


async def test_deleted_batch_is_not_found_in_the_history(
    client: httpx.AsyncClient, archive: Archive, cluster: Cluster
) -> None:
    """The archiver sees the deletion later."""
    cluster.batches["batch-7"] = batch_body(7)
    await archive.add_batch(batch_body(7))
    assert (await client.delete("/batches/batch-7")).status_code == 204
    assert (await client.get("/batches/batch-7")).status_code == 404


async def test_batch_that_is_evicted_while_it_is_deleted_is_gone(
    client: httpx.AsyncClient, archive: Archive, cluster: Cluster
) -> None:
    cluster.batches["batch-7"] = batch_body(7)
    cluster.batch_refusals = [NotFoundError(404, "NotFound", "batch-7")]
    await archive.add_batch(batch_body(7))
    assert (await client.delete("/batches/batch-7")).status_code == 204
    assert await archive.store.to_clean(10, batches=True) == [uid_of(7)]


async def test_older_batch_with_the_same_name_is_kept(
    client: httpx.AsyncClient, archive: Archive, cluster: Cluster
) -> None:
    older, newer = batch_body(7), batch_body(8)
    older["metadata"]["name"] = newer["metadata"]["name"]
    await archive.add_batch(older)
    cluster.batches["batch-8"] = newer
    cluster.batch_refusals = [NotFoundError(404, "NotFound", "batch-8")]
    assert (await client.delete("/batches/batch-8")).status_code == 204
    assert await archive.store.to_clean(10, batches=True) == []


async def test_history_that_is_away_keeps_no_live_batch_from_being_deleted(
    client: httpx.AsyncClient,
    reader: HistoryReader,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise HistoryUnavailableError("gone")

    monkeypatch.setattr(reader._database, "run", fail)
    cluster.batches["batch-7"] = batch_body(7)
    assert (await client.delete("/batches/batch-7")).status_code == 204
    response = await client.delete("/batches/batch-7")
    assert (response.status_code, response.json()["reason"]) == (503, "HistoryUnavailable")
