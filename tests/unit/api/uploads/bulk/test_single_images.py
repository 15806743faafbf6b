"""Tests of batches whose images are uploaded one by one."""

import asyncio

import httpx
import pytest
from api_fakes import LIMIT, picture
from uploaded_batches import World, document

PNG, JPEG = picture(), picture("JPEG")


@pytest.fixture
async def name(web: httpx.AsyncClient) -> str:
    created = await web.post("/batches", json={"upload": {}})
    assert created.status_code == 202
    return str(created.json()["name"])


async def test_images_are_uploaded_and_the_batch_is_started(
    web: httpx.AsyncClient, world: World, name: str
) -> None:
    images = {"a.png": PNG, "holiday/ü ber.jpg": JPEG, ".hidden": PNG, "x" * 300: PNG}
    statuses = [
        (await web.put(f"/batches/{name}/images/{it}", content=data)).status_code
        for it, data in images.items()
    ]
    assert statuses == [201] * 4
    again = await web.put(f"/batches/{name}/images/a.png", content=PNG + b"x")
    assert (again.status_code, again.content) == (204, b"")

    stored = await web.get(f"/batches/{name}/images")
    assert stored.headers["content-type"].startswith("application/jsonl")
    found = {it["customId"]: it["size"] for it in document(stored.content)}
    assert found == {it: len(data) + (it == "a.png") for it, data in images.items()}

    started = await web.post(f"/batches/{name}/start")
    assert started.status_code == 202
    assert started.json() == {
        "name": name,
        "uid": world.batch(name).metadata.uid,
        "status": "queued",
        "links": {"self": f"/batches/{name}", "results": f"/batches/{name}/results"},
    }
    upload = world.batch(name).spec.upload
    assert upload is not None
    assert (upload.complete, upload.attempt, upload.lists) == (True, None, 0)
    assert world.images(name) == {**images, "a.png": PNG + b"x"}

    assert (await web.post(f"/batches/{name}/start")).json() == started.json()
    assert len(world.api.patches) == 1
    late = await web.put(f"/batches/{name}/images/late.png", content=PNG)
    assert (late.status_code, late.json()["reason"]) == (409, "UploadComplete")


async def test_many_images_may_be_uploaded_at_the_same_time(
    web: httpx.AsyncClient, world: World, name: str
) -> None:
    paths = [f"/batches/{name}/images/{number}.png" for number in range(40)]
    answers = await asyncio.gather(*(web.put(path, content=PNG) for path in paths))
    assert {it.status_code for it in answers} == {201}
    await web.post(f"/batches/{name}/start")
    assert len(world.images(name)) == 40


REFUSED = {
    "no image": ("a.txt", b"a text that is long enough to be one", 415, "UnsupportedFormat"),
    "archive": ("a.zip", b"PK\3\4" + bytes(50), 415, "NestedArchive"),
    "empty": ("a.png", b"", 422, "EmptyFile"),
    "large": ("a.png", PNG + bytes(LIMIT), 413, "ImageTooLarge"),
    "very large": ("a.png", PNG + bytes(3 * LIMIT), 413, "ImageTooLarge"),
    "control character": ("a%01b.png", PNG, 422, "NameInvalid"),
    "line break": ("a%0Ab.png", PNG, 422, "NameInvalid"),
    "climbing": ("a%2F..%2F..%2Fb.png", PNG, 422, "NameInvalid"),
    "backslash": ("a%5Cb.png", PNG, 422, "NameInvalid"),
    "absolute": ("/a.png", PNG, 422, "NameInvalid"),
    "too many bytes": ("%E9%9B%AA" * 200, PNG, 422, "NameInvalid"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_image_that_is_not_acceptable_is_refused(
    web: httpx.AsyncClient, world: World, name: str, case: str
) -> None:
    path, data, status, reason = REFUSED[case]
    response = await web.put(f"/batches/{name}/images/{path}", content=data)
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    assert world.keys() == []


async def test_batch_without_images_can_not_be_started(
    web: httpx.AsyncClient, world: World, name: str
) -> None:
    response = await web.post(f"/batches/{name}/start")
    assert (response.status_code, response.json()["reason"]) == (422, "NoImages")
    assert world.batch(name).is_being_uploaded
    assert (await web.get(f"/batches/{name}/images")).content == b""


async def test_other_batches_take_no_images(web: httpx.AsyncClient, world: World) -> None:
    world.api.create("folder", prefix="inbox/a/")
    requests = (("PUT", "/images/a.png"), ("GET", "/images"), ("POST", "/start"))
    for batch, status, reason in (
        ("folder", 409, "NotAnUpload"),
        ("unknown", 404, "BatchNotFound"),
        ("No", 400, "InvalidName"),
    ):
        for method, path in requests:
            response = await web.request(method, f"/batches/{batch}{path}", content=PNG)
            assert (response.status_code, response.json()["reason"]) == (status, reason)


async def test_image_that_arrives_during_the_start_is_refused(
    web: httpx.AsyncClient, world: World, name: str
) -> None:
    """An image that is accepted was stored before the start, so it can't be missed."""

    async def start(key: str) -> None:
        if key.endswith("."):
            world.api.change(name, upload={"complete": True, "lists": 0})

    world.s3.before_put = start
    response = await web.put(f"/batches/{name}/images/a.png", content=PNG)
    assert (response.status_code, response.json()["reason"]) == (409, "UploadComplete")


async def test_storage_outage_is_reported(web: httpx.AsyncClient, world: World, name: str) -> None:
    world.s3.fails = (503, "SlowDown")
    put = await web.put(f"/batches/{name}/images/a.png", content=PNG)
    started = await web.post(f"/batches/{name}/start")
    listed = await web.get(f"/batches/{name}/images")
    assert {it.status_code for it in (put, started, listed)} == {503}
