"""Tests of names of owners' objects: no owner can find out, or take, a name of another."""

from typing import Any

import httpx
import pytest
from api_fakes import Cluster, picture
from fakes.s3 import S3
from owner_world import ANNA, BEN, PNG
from vision_node_api.services.batches.batch_name import MAX_NAME_CHARACTERS
from vision_node_api.services.job_name import request_id
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.names import OWNER_LABEL

RAW = {"Content-Type": "image/png"}
BATCH_KEY = {"Idempotency-Key": "photo of the day"}
KEY = {**BATCH_KEY, **RAW}
FOLDERS = BucketFolders("aaaabbbbcccc")


async def create(client: httpx.AsyncClient, **document: Any) -> httpx.Response:
    return await client.post("/batches", json={"upload": {}, **document})


def reason(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("reason", "")


def test_ids_of_requests_without_owner_are_those_of_older_releases() -> None:
    assert request_id("photo of the day") == request_id("photo of the day", "")
    assert request_id("photo of the day") == "tt6jqyyn3d7lz3tjy6uek4niblecbyze"
    ids = {request_id("a", owner) for owner in ("", "b", "c")}
    assert len(ids) == 3


async def test_idempotency_keys_are_those_of_an_owner(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    ids = {}
    for name, client, image in (("anna", anna, PNG), ("ben", ben, picture("GIF"))):
        answers = [await client.post("/submit", content=image, headers=KEY) for _ in range(2)]
        assert [it.status_code for it in answers] == [202, 202]
        ids[name] = {it.json()["job_id"] for it in answers}
    assert [len(it) for it in ids.values()] == [1, 1]
    assert ids["anna"] != ids["ben"]


async def test_job_that_was_given_to_another_owner_is_not_returned_for_its_key(
    anna: httpx.AsyncClient, cluster: Cluster, s3: S3
) -> None:
    job_id = (await anna.post("/submit", content=PNG, headers=KEY)).json()["job_id"]
    give(cluster, job_id, BEN)
    before = set(s3.objects)

    again = await anna.post("/submit", content=PNG, headers=KEY)

    assert reason(again) == (422, "IdempotencyKeyReused")
    assert job_id not in again.text
    assert set(s3.objects) == before  # the image is not left behind


def give(cluster: Cluster, job_id: str, owner: str) -> None:
    """Change the owner of a job, as an administrator does with kubectl."""
    job = cluster.jobs[job_id]
    labels = {**job.metadata.labels, OWNER_LABEL: owner}
    metadata = job.metadata.model_copy(update={"labels": labels})
    cluster.jobs[job_id] = job.model_copy(update={"metadata": metadata})


async def test_name_of_a_batch_is_followed_by_a_hash_of_the_owner(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    names = []
    for client in (anna, ben, admin):
        created = await create(client, name="holiday")
        assert created.status_code == 202
        name = created.json()["name"]
        assert created.headers["location"] == f"/batches/{name}"
        assert (await client.get(f"/batches/{name}")).status_code == 200
        names.append(name)

    assert names[2] == "holiday"
    assert names[0] == "holiday-0899ff15b6"
    assert len(set(names)) == 3
    assert reason(await create(anna, name="holiday")) == (409, "BatchExists")


async def test_batch_is_found_by_the_name_that_its_owner_has_chosen(
    anna: httpx.AsyncClient, ben: httpx.AsyncClient
) -> None:
    name = (await create(anna, name="holiday")).json()["name"]

    assert (await anna.put("/batches/holiday/images/a.png", content=PNG)).status_code == 201
    assert "a.png" in (await anna.get("/batches/holiday/images")).text
    assert (await anna.get("/batches/holiday")).json()["name"] == name
    assert (await anna.post("/batches/holiday/suspend")).json()["suspended"]
    assert (await ben.get("/batches/holiday")).status_code == 404
    assert (await ben.get(f"/batches/{name}")).status_code == 404
    assert (await anna.delete("/batches/holiday")).status_code == 204
    assert (await anna.get(f"/batches/{name}")).status_code == 404


async def test_batch_is_created_once_for_a_key_and_a_name(anna: httpx.AsyncClient) -> None:
    answers = [
        await anna.post("/batches", json={"upload": {}, "name": "holiday"}, headers=BATCH_KEY)
        for _ in range(2)
    ]
    assert answers[0].json()["uid"] == answers[1].json()["uid"]


async def test_name_that_gets_too_long_is_refused(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    longest = "a" * MAX_NAME_CHARACTERS
    assert reason(await create(anna, name=longest)) == (422, "OptionsInvalid")
    assert "at most 242" in (await create(anna, name=longest)).json()["detail"]
    assert (await create(anna, name="a" * 242)).status_code == 202
    assert (await create(admin, name=longest)).status_code == 202


@pytest.mark.parametrize("document", [{}, {"name": "holiday"}])
async def test_batch_that_was_given_to_another_owner_is_not_returned_for_its_key(
    anna: httpx.AsyncClient, cluster: Cluster, document: dict[str, str]
) -> None:
    body = {"upload": {}, **document}
    created = (await anna.post("/batches", json=body, headers=BATCH_KEY)).json()
    cluster.batches[created["name"]]["metadata"]["labels"][OWNER_LABEL] = BEN

    again = await anna.post("/batches", json=body, headers=BATCH_KEY)

    assert reason(again) == (422, "IdempotencyKeyReused")
    assert created["uid"] not in again.text


async def test_retry_by_an_administrator_belongs_to_the_owner(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient, cluster: Cluster
) -> None:
    job_id = (await anna.post("/submit", content=PNG, headers=RAW)).json()["job_id"]
    finish(cluster, job_id)

    retried = await admin.post(f"/jobs/{job_id}/retry", headers=BATCH_KEY)

    assert retried.status_code == 202
    new = retried.json()["job_id"]
    assert cluster.jobs[new].metadata.labels[OWNER_LABEL] == ANNA
    assert (await anna.get(f"/status/{new}")).status_code == 200
    # The key is one of the owner, so that it creates nothing twice.
    assert (await anna.post(f"/jobs/{job_id}/retry", headers=BATCH_KEY)).json()["job_id"] == new


def finish(cluster: Cluster, job_id: str) -> None:
    job = cluster.jobs[job_id]
    status = job.status.model_copy(update={"phase": "failed"})
    cluster.jobs[job_id] = job.model_copy(update={"status": status})


async def test_labels_can_not_name_an_owner(anna: httpx.AsyncClient) -> None:
    labels = {"labels": f"{OWNER_LABEL}={BEN}"}
    refused = await anna.post("/submit", content=PNG, headers=RAW, params=labels)
    assert reason(refused) == (422, "OptionsInvalid")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inbox/holiday/", f"inbox/aaaabbbbcccc/owners/{ANNA}/holiday/"),
        ("inbox/", f"inbox/aaaabbbbcccc/owners/{ANNA}/"),
        (f"inbox/aaaabbbbcccc/owners/{ANNA}/a/", f"inbox/aaaabbbbcccc/owners/{ANNA}/a/"),
        (f"inbox/owners/{ANNA}/a/", f"inbox/aaaabbbbcccc/owners/{ANNA}/a/"),
        (f"inbox/owners/{BEN}/", f"inbox/aaaabbbbcccc/owners/{ANNA}/owners/{BEN}/"),
        (f"inbox/owners/{ANNA}", f"inbox/aaaabbbbcccc/owners/{ANNA}/owners/{ANNA}"),
        ("inbox/ddddeeeeffff/a/", f"inbox/aaaabbbbcccc/owners/{ANNA}/ddddeeeeffff/a/"),
        (f"inbox/aaaabbbbcccc/owners/{BEN}/", None),
        (f"inbox/aaaabbbbcccc/owners/{ANNA}", None),
        (f"inbox/aaaabbbbcccc/owners/{ANNA}x/", None),
        ("inbox/aaaabbbbcccc/owners/", None),
        ("inbox/aaaabbbbcccc/", None),
        ("images/aaaabbbbcccc/a", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("kind", ["prefix", "manifest"])
async def test_source_of_a_batch_is_in_the_folder_of_the_owner(
    anna: httpx.AsyncClient, cluster: Cluster, kind: str, source: str, expected: str | None
) -> None:
    created = await anna.post("/batches", json={kind: source})

    if expected is None:
        assert reason(created) == (422, "OptionsInvalid")
        assert not cluster.batches
    else:
        assert created.status_code == 202
        (body,) = cluster.batches.values()
        assert body["spec"][kind] == expected


async def test_administrator_uses_the_whole_inbox(
    admin: httpx.AsyncClient, cluster: Cluster
) -> None:
    for prefix in ("inbox/holiday/", f"inbox/aaaabbbbcccc/owners/{ANNA}/", "inbox/"):
        created = (await admin.post("/batches", json={"prefix": prefix})).json()
        assert cluster.batches[created["name"]]["spec"]["prefix"] == prefix
