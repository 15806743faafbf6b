"""Tests of the inbox with owners, each of whom has a folder."""

from typing import Any

import httpx
import pytest
from fakes.s3 import S3
from owner_world import ANNA, BEN, PNG, access_of, client_as
from services.inbox.inbox_requests import GIF, imagejob, outcome, put
from starlette.types import ASGIApp
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.names import OWNER_LABEL

INBOX = "inbox/aaaabbbbcccc/"
FOLDER = f"{INBOX}owners/{ANNA}/"


async def names(client: httpx.AsyncClient, **query: Any) -> list[str]:
    found = (await client.get("/inbox", params=query)).json()
    return [it["name"] for it in found["objects"]]


async def test_names_are_relative_to_the_folder_of_the_owner(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient, s3: S3
) -> None:
    stored = await put(anna, "holiday/cat.png", PNG)
    assert stored.status_code == 201
    assert stored.json()["name"] == "holiday/cat.png"
    assert stored.json()["key"] == f"{FOLDER}holiday/cat.png"
    assert stored.headers["location"] == "/inbox/holiday/cat.png"
    assert [*s3.objects] == [f"{FOLDER}holiday/cat.png"]

    s3.put(f"{INBOX}other.png", PNG)
    s3.put(f"{INBOX}owners/{ANNA}x/other.png", PNG)
    assert await names(anna) == ["holiday/cat.png"]
    assert (await anna.get("/inbox/holiday/cat.png")).json()["key"] == stored.json()["key"]
    assert await names(admin) == [
        "other.png",
        f"owners/{ANNA}/holiday/cat.png",
        f"owners/{ANNA}x/other.png",
    ]
    assert (await admin.get(f"/inbox/owners/{ANNA}/holiday/cat.png")).status_code == 200
    assert (await anna.delete("/inbox/holiday/cat.png")).status_code == 204


async def test_images_of_older_releases_are_found_only_by_administrators(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient, s3: S3
) -> None:
    s3.put("inbox/old.png", PNG)
    for client, status in ((anna, 404), (admin, 200)):
        assert (await client.get("/inbox/old.png")).status_code == status
    assert (await anna.delete("/inbox/old.png")).status_code == 404
    assert "inbox/old.png" in s3.objects


@pytest.mark.parametrize("name", ["owners", "owners/photo.png"])
async def test_administrator_can_not_take_the_place_of_a_folder(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, name: str
) -> None:
    assert outcome(await put(admin, name, PNG)) == (422, "InvalidName")
    assert (await put(client, name, PNG)).status_code == 201  # without authentication


@pytest.mark.parametrize("name", ["owners", "owners/photo.png", f"owners/{BEN}/photo.png"])
async def test_owner_may_have_such_a_folder_in_its_own(
    anna: httpx.AsyncClient, s3: S3, name: str
) -> None:
    assert (await put(anna, name, PNG)).status_code == 201
    assert [*s3.objects] == [FOLDER + name]


async def test_administrator_stores_images_for_an_owner(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    assert (await put(admin, f"owners/{ANNA}/a.png", PNG)).status_code == 201
    assert await names(anna) == ["a.png"]


@pytest.mark.parametrize(
    ("size", "expected"), [(422, 201), (423, 422)], ids=["longest", "too long"]
)
async def test_longest_name_leaves_room_for_the_folder(
    served: ASGIApp, s3: S3, size: int, expected: int
) -> None:
    name = "/".join(["a" * 100] * 4) + "/" + "a" * (size - 404)
    async with client_as(served, access_of("o" * 63)) as client:
        assert (await put(client, name, PNG)).status_code == expected
    assert all(len(key) <= 512 for key in s3.objects)


async def test_cursor_of_another_folder_is_refused(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient, s3: S3
) -> None:
    for number in range(3):
        s3.put(f"{INBOX}{number}.png", PNG)
    cursor = (await admin.get("/inbox", params={"limit": 1})).json()["next_cursor"]
    refused = await anna.get("/inbox", params={"cursor": cursor})
    assert outcome(refused) == (422, "InvalidCursor")


async def test_error_names_only_own_users_of_an_image(
    anna: httpx.AsyncClient, admin: httpx.AsyncClient, jobs: Jobs, batches: Batches
) -> None:
    await put(anna, "a.png", PNG)
    for name, owner in (("job-of-anna", ANNA), ("job-of-ben", BEN)):
        body = imagejob(name, f"{FOLDER}a.png")
        body["metadata"] |= {"labels": {OWNER_LABEL: owner}, "resourceVersion": "1"}
        body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        jobs.cache.observe(WatchEvent("ADDED", [body]))

    refused = await put(anna, "a.png", GIF, "?replace=true")
    assert outcome(refused) == (409, "ObjectInUse")
    assert refused.json()["imagejobs"] == ["job-of-anna"]
    assert "job-of-ben" not in refused.text
    of_admin = await admin.delete(f"/inbox/owners/{ANNA}/a.png")
    assert of_admin.json()["imagejobs"] == ["job-of-anna", "job-of-ben"]

    jobs.cache.observe(WatchEvent("SYNCED", names=frozenset({"job-of-ben"}), version="2"))
    refused = await anna.delete("/inbox/a.png")
    assert outcome(refused) == (409, "ObjectInUse")
    assert refused.json()["imagejobs"] == []
    assert "unfinished work of others" in refused.json()["detail"]
