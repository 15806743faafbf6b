"""Tests of cancelling, suspending, resuming and deleting ImageBatches in etcd."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster
from batch_fixture import NAME, UID, Batch
from vision_node_api.services.batches.batches import Batches
from vision_node_contract.clients.kube import ConflictError, NotFoundError, UnavailableError

PATH = f"/batches/{NAME}"
CHANGES = {"cancel": {"cancel": True}, "suspend": {"suspend": True}, "resume": {"suspend": False}}
CONFLICT = ConflictError(409, "Conflict", NAME)
AWAY = UnavailableError(0, "NoAnswer", "no answer")


@pytest.fixture
def live(cluster: Cluster, batches: Batches, batch: Batch) -> Batch:
    """An ImageBatch in the API server and in the cache."""
    cluster.batches[NAME] = batch.body()
    batch.report(batches.cache)
    return batch


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("verb", CHANGES)
async def test_change_is_a_merge_patch_of_the_spec(
    client: httpx.AsyncClient, cluster: Cluster, verb: str
) -> None:
    response = await client.post(f"{PATH}/{verb}")
    assert (response.status_code, response.json()["name"]) == (200, NAME)
    patch = {"metadata": {"uid": UID}, "spec": CHANGES[verb]}
    assert cluster.batch_changes == [("PATCH", NAME, patch)]


@pytest.mark.usefixtures("live")
async def test_change_is_seen_at_once_and_may_be_repeated(client: httpx.AsyncClient) -> None:
    for verb, suspended in (("suspend", True), ("suspend", True), ("resume", False)):
        changed = (await client.post(f"{PATH}/{verb}")).json()
        assert changed["suspended"] == suspended
        assert (await client.get(PATH)).json() == changed


@pytest.mark.parametrize("phase", ["done", "failed"])
@pytest.mark.parametrize("verb", CHANGES)
async def test_finished_batch_can_not_be_changed(
    client: httpx.AsyncClient, cluster: Cluster, live: Batch, verb: str, phase: str
) -> None:
    live.phase = phase  # which the cache does not know yet
    cluster.batches[NAME] = live.body()
    response = await client.post(f"{PATH}/{verb}")

    assert (response.status_code, response.json()["reason"]) == (409, "BatchFinished")
    assert response.json()["batch_status"] == phase
    assert cluster.batch_changes == []


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("error", [CONFLICT, NotFoundError(404, "NotFound", NAME)])
async def test_change_of_a_replaced_batch_is_tried_again(
    client: httpx.AsyncClient, cluster: Cluster, error: Exception
) -> None:
    cluster.batch_refusals = [error]
    assert (await client.post(f"{PATH}/cancel")).status_code == 200
    cluster.batch_refusals = [error] * 9
    assert (await client.post(f"{PATH}/cancel")).json()["reason"] == "KubernetesUnavailable"


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("verb", [*CHANGES, ""])
async def test_unavailable_api_server_is_reported(
    client: httpx.AsyncClient, cluster: Cluster, verb: str
) -> None:
    cluster.batch_refusals = [AWAY]
    request = client.post(f"{PATH}/{verb}") if verb else client.delete(PATH)
    response = await request
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")


@pytest.mark.usefixtures("live")
async def test_deleted_batch_is_gone_at_once(client: httpx.AsyncClient, cluster: Cluster) -> None:
    response = await client.delete(PATH)
    assert (response.status_code, response.content) == (204, b"")
    assert cluster.batch_changes == [("DELETE", NAME, {"preconditions": {"uid": UID}})]

    assert (await client.get(PATH)).status_code == 404
    assert (await client.get("/batches")).json()["batches"] == []
    assert (await client.delete(PATH)).status_code == 404


async def test_replaced_batch_is_deleted(
    client: httpx.AsyncClient, cluster: Cluster, live: Batch
) -> None:
    cluster.batch_refusals = [CONFLICT]
    assert (await client.delete(PATH)).status_code == 204
    cluster.batches[NAME], cluster.batch_refusals = live.body(), [CONFLICT] * 9
    assert (await client.delete(PATH)).status_code == 503


@pytest.mark.usefixtures("live")
async def test_batch_that_another_client_deletes_is_gone(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    cluster.batch_refusals = [NotFoundError(404, "NotFound", NAME)]
    assert (await client.delete(PATH)).status_code == 204


PROBLEMS: dict[str, tuple[str, int, str]] = {
    "unknown": ("nothing", 404, "BatchNotFound"),
    "impossible": ("No..thing", 400, "InvalidName"),
}


@pytest.mark.parametrize("case", PROBLEMS)
@pytest.mark.parametrize("verb", [*CHANGES, ""])
async def test_batch_that_does_not_exist_can_not_be_changed(
    client: httpx.AsyncClient, cluster: Cluster, case: str, verb: str
) -> None:
    name, status, reason = PROBLEMS[case]
    path = f"/batches/{name}"
    response = await (client.post(f"{path}/{verb}") if verb else client.delete(path))
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert cluster.batch_changes == []


@pytest.mark.parametrize("verb", [*CHANGES, ""])
async def test_older_chart_is_reported_for_changes(
    client: httpx.AsyncClient, batches: Batches, verb: str
) -> None:
    batches.follower.refusal = "The API may not read ImageBatches. Upgrade the release."
    response = await (client.post(f"{PATH}/{verb}") if verb else client.delete(PATH))
    assert (response.status_code, response.json()["reason"]) == (503, "BatchesUnavailable")


async def test_changes_are_documented(client: httpx.AsyncClient) -> None:
    paths: dict[str, Any] = (await client.get("/openapi.json")).json()["paths"]
    for verb in CHANGES:
        responses = paths[f"/batches/{{name}}/{verb}"]["post"]["responses"]
        assert {"200", "404", "409", "503"} <= responses.keys()
    assert {"204", "404", "503"} <= paths["/batches/{name}"]["delete"]["responses"].keys()
