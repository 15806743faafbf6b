"""Tests of uploads that end early: the client leaves, a dependency is away, or a limit is hit."""

import asyncio
import gc
from collections.abc import Callable

import httpx
import pytest
from api_fakes import LIMIT, picture
from api_server import Connection, until
from form_bytes import FORM_TYPE
from uploaded_batches import FORM, TAR, World, form_of, tar_of
from vision_node_api.services.batches.creation import BatchCreation
from vision_node_api.services.jobs import Jobs
from vision_node_contract import batch_uploads
from vision_node_contract.batch_uploads import LIST_LINES

PNG = picture()
LARGE = PNG + bytes(LIMIT - len(PNG))


def head(length: int, content_type: str, *headers: str) -> bytes:
    lines = ["POST /batches HTTP/1.1", "Host: api", f"Content-Length: {length}"]
    return "\r\n".join([*lines, f"Content-Type: {content_type}", *headers, "", ""]).encode()


@pytest.mark.parametrize("content_type", [FORM_TYPE, "application/x-tar"])
async def test_batch_is_deleted_if_the_client_leaves(
    port: int, world: World, jobs: Jobs, content_type: str
) -> None:
    files = {f"{number}.png": LARGE for number in range(3)}
    body = form_of(files) if content_type == FORM_TYPE else tar_of(files)
    async with Connection.open(port) as connection:
        await connection.send(head(len(body) + 9, content_type) + body[: 2 * LIMIT + 500])
        await until(lambda: bool(world.api.bodies))
        assert jobs.uploads.held_bytes > LIMIT

    await until(lambda: not world.api.bodies)
    await until(lambda: jobs.uploads.uploads == 0)
    assert jobs.uploads.held_bytes == 0
    gc.collect()
    assert not [it for it in gc.get_objects() if type(it) is bytes and len(it) > LIMIT]


async def test_batch_with_a_key_is_kept_if_the_client_leaves(
    port: int, world: World, jobs: Jobs
) -> None:
    body = form_of({"a.png": PNG, "b.png": LARGE})
    async with Connection.open(port) as connection:
        await connection.send(head(len(body), FORM_TYPE, "Idempotency-Key: k") + body[:-500])
        await until(lambda: bool(world.api.bodies))

    await until(lambda: jobs.uploads.uploads == 0)
    (name,) = world.api.bodies
    assert world.batch(name).is_being_uploaded


async def test_slow_client_is_refused(port: int, world: World, jobs: Jobs) -> None:
    body = form_of({"a.png": PNG, "b.png": LARGE})
    object.__setattr__(jobs.uploads.limits, "grace_seconds", 0.3)
    async with Connection.open(port) as connection:
        await connection.send(head(len(body), FORM_TYPE) + body[:-500])
        response = await connection.response()

    assert (response.status, response.json["reason"]) == (408, "UploadTooSlow")
    assert world.api.bodies == {}


async def test_storage_outage_in_the_middle_leaves_nothing_behind(
    web: httpx.AsyncClient, world: World, jobs: Jobs
) -> None:
    world.s3.fails = (503, "SlowDown")
    response = await web.post("/batches", content=form_of({"a.png": PNG}), headers=FORM)
    assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")
    assert response.headers["retry-after"]
    assert world.api.bodies == {}
    assert not jobs.storage.state.is_ok


async def test_storage_outage_of_a_pack_is_reported_while_the_body_arrives(
    web: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.services.batches.upload_writer.PACK_BYTES", 2 * LIMIT)

    async def fail(key: str) -> None:
        world.s3.fails = (507, "XMinioStorageFull")

    world.s3.before_list = fail
    world.s3.before_put = fail
    files = {f"{number}.png": LARGE for number in range(12)}
    response = await web.post("/batches", content=tar_of(files), headers=TAR)
    assert response.status_code == 503
    assert world.api.bodies == {}


@pytest.mark.parametrize("refusals", [[503], [503] * 9])
async def test_kubernetes_outage_leaves_an_upload_to_expire(
    web: httpx.AsyncClient, world: World, refusals: list[int]
) -> None:
    """A change that is refused once is tried again. Whether it was made may remain unknown."""
    world.api.refusals = refusals.copy()
    response = await web.post("/batches", content=form_of({"a.png": PNG}), headers=FORM)
    (name,) = world.api.bodies
    is_complete = len(refusals) == 1
    assert response.status_code == (202 if is_complete else 503)
    assert world.batch(name).is_being_uploaded != is_complete


async def test_kubernetes_outage_at_the_start_creates_nothing(
    web: httpx.AsyncClient, world: World
) -> None:
    world.api.create_refusals = [(503, "")]
    response = await web.post("/batches", content=form_of({"a.png": PNG}), headers=FORM)
    assert (response.status_code, response.json()["reason"]) == (503, "KubernetesUnavailable")
    assert (world.api.bodies, world.keys()) == ({}, [])


async def test_cluster_without_image_batches_is_reported(
    web: httpx.AsyncClient, creation: BatchCreation
) -> None:
    creation.batches.follower.refusal = "The cluster has no ImageBatches."
    response = await web.post("/batches", content=form_of({"a.png": PNG}), headers=FORM)
    assert (response.status_code, response.json()["reason"]) == (503, "BatchesUnavailable")


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
async def test_too_many_images_are_refused(
    web: httpx.AsyncClient, world: World, jobs: Jobs, key: dict[str, str]
) -> None:
    object.__setattr__(jobs.settings, "max_batch_images", 3)
    try:
        files = {f"{number}.png": PNG for number in range(4)}
        body = form_of(files)
        response = await web.post("/batches", content=body, headers={**FORM, **key})
        assert (response.status_code, response.json()["reason"]) == (413, "TooManyImages")
        assert world.api.bodies == {}

        files.popitem()
        response = await web.post("/batches", content=form_of(files), headers={**FORM, **key})
        assert response.json()["images"] == 3
    finally:
        object.__setattr__(jobs.settings, "max_batch_images", 1_000_000)


async def test_images_fill_packs_and_lists(
    web: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packs are stored while the upload arrives, and a large image is a pack of its own."""
    pack = 20_000
    assert pack < batch_uploads.PACK_BYTES
    monkeypatch.setattr("vision_node_api.services.batches.upload_writer.PACK_BYTES", pack)
    files = {f"{number}.png": PNG for number in range(LIST_LINES + 1)}
    files |= {"large.png": LARGE, "last.png": PNG}
    answer = (await web.post("/batches", content=tar_of(files), headers=TAR)).json()

    assert answer["images"] == LIST_LINES + 3
    assert world.images(answer["name"]) == files
    upload = world.batch(answer["name"]).spec.upload
    assert upload is not None
    assert upload.lists == 2
    packs = [len(it.data) for key, it in world.s3.objects.items() if "/p0" in key]
    assert packs.count(LIMIT) == 1
    assert all(it <= pack for it in packs if it != LIMIT)
    assert len(packs) < len(files) * len(PNG) / pack * 1.2 + 3


async def test_uploads_share_little_memory(
    web: httpx.AsyncClient, world: World, jobs: Jobs, limited: Callable[[int], None]
) -> None:
    """Without free memory, packs are stored early, so that all uploads make progress."""
    limited(0)
    files = {f"{number}.png": LARGE for number in range(10)}
    body = tar_of(files)
    answers = await asyncio.gather(
        *(web.post("/batches", content=body, headers=TAR) for _ in range(6))
    )
    assert {it.status_code for it in answers} == {202}
    assert all(world.images(it.json()["name"]) == files for it in answers)
    assert jobs.uploads.held_bytes == 0
