"""Tests of submissions whose Idempotency-Key belongs to a job that is only in the history."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_archive import Archive, job_body, uid_of
from api_client import submit
from api_fakes import Cluster, FakeBucket, picture
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.job_name import new_job_name

PNG = picture()
KEY = {"Idempotency-Key": "order-17"}
NAME = new_job_name("order-17")


def archived(age: timedelta, **spec: Any) -> dict[str, Any]:
    """Return the job of an earlier submission of the same image."""
    image = {"key": "images/aaaabbbbcccc/1", "sha256": hashlib.sha256(PNG).hexdigest()}
    body = job_body(1, name=NAME, created=datetime.now(UTC) - age)
    return body | {"spec": {"image": image, "describer": "metadata", **spec}}


async def test_job_of_the_first_submission_is_returned(
    client: httpx.AsyncClient, cluster: Cluster, bucket: FakeBucket, archive: Archive
) -> None:
    await archive.add(archived(timedelta(hours=23)))
    response = await submit(client, PNG, headers=KEY)

    assert response.status_code == 202
    assert response.json() == {"job_id": NAME, "status": "done"}
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize(
    ("spec", "image", "fields"),
    [
        ({}, picture(size=(9, 9)), {}),
        ({"options": {"prompt": "Which breed?"}}, PNG, {}),
        ({"describer": "local"}, PNG, {"describer": "metadata"}),
    ],
)
async def test_key_of_another_request_is_refused(
    client: httpx.AsyncClient,
    cluster: Cluster,
    archive: Archive,
    spec: dict[str, Any],
    image: bytes,
    fields: dict[str, str],
) -> None:
    await archive.add(archived(timedelta(hours=1), **spec))
    response = await client.post("/submit", files={"image": image}, data=fields, headers=KEY)
    assert (response.status_code, response.json()["reason"]) == (422, "IdempotencyKeyReused")
    assert cluster.jobs == {}


async def test_describer_that_the_request_does_not_name_is_not_compared(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    await archive.add(archived(timedelta(hours=1), describer="local"))
    assert (await submit(client, PNG, headers=KEY)).json()["job_id"] == NAME


async def test_key_can_be_used_again_after_a_day(
    client: httpx.AsyncClient, cluster: Cluster, archive: Archive
) -> None:
    await archive.add(archived(timedelta(hours=24)))
    response = await submit(client, picture(size=(9, 9)), headers=KEY)
    assert response.json() == {"job_id": NAME, "status": "queued"}
    assert cluster.jobs.keys() == {NAME}


async def test_key_of_a_deleted_job_can_be_used_again(
    client: httpx.AsyncClient, cluster: Cluster, archive: Archive, reader: HistoryReader
) -> None:
    await archive.add(archived(timedelta(hours=1)))
    await reader.add_tombstone(uid_of(1))
    response = await submit(client, PNG, headers=KEY)
    assert response.json() == {"job_id": NAME, "status": "queued"}
    assert cluster.jobs.keys() == {NAME}
