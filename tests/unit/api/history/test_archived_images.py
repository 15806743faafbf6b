"""Tests of GET /status and GET /result for images of batches whose rows are in the history."""

from typing import Any

import httpx
import pytest
from api_archive import NOW, Archive, batch_body
from api_fakes import Cluster
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.history.database import HistoryUnavailableError


@pytest.fixture
def body() -> dict[str, Any]:
    manifest = {"folder": "f", "images": 3, "sha256": "0" * 64}
    return batch_body(7, manifest=manifest, counted="0-1", results={"index": 1})


@pytest.fixture(autouse=True)
async def archived(archive: Archive, body: dict[str, Any]) -> None:
    """A batch whose first image has a result, and whose second has failed."""
    await archive.add_batch(body)
    await archive.add_images(body, {"a.jpg": "A cat", "b.jpg": None}, NOW)


async def test_image_of_an_evicted_batch_is_in_the_history(client: httpx.AsyncClient) -> None:
    assert (await client.get("/status/batch-7.0")).json()["status"] == "done"
    result = (await client.get("/result/batch-7.0")).json()
    assert (result["job_id"], result["caption"]) == ("batch-7.0", "A cat")

    failed = await client.get("/result/batch-7.1")
    assert (failed.status_code, failed.json()["reason"]) == (409, "ImageUnreadable")
    assert (await client.get("/status/batch-7.3")).status_code == 404


async def test_image_of_a_live_batch_is_found_in_the_history(
    client: httpx.AsyncClient, cluster: Cluster, body: dict[str, Any]
) -> None:
    cluster.batches["batch-7"] = body
    assert (await client.get("/result/batch-7.0")).json()["caption"] == "A cat"


async def test_image_without_a_row_is_read_from_the_bucket(client: httpx.AsyncClient) -> None:
    """Its result may be too large for the history; here, the bucket has lost it."""
    response = await client.get("/result/batch-7.2")
    assert (response.status_code, response.json()["reason"]) == (410, "ResultGone")


async def test_history_that_is_away_is_not_needed_for_live_batches(
    client: httpx.AsyncClient,
    cluster: Cluster,
    reader: HistoryReader,
    body: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster.batches["batch-7"] = body

    async def fail(*_: object, **__: object) -> None:
        raise HistoryUnavailableError("gone")

    monkeypatch.setattr(reader, "find_image", fail)
    response = await client.get("/result/batch-7.0")
    assert response.json()["reason"] == "ResultGone"  # the bucket was asked
