"""Tests of the names of uploaded batches, and of repeated uploads with an Idempotency-Key."""

import asyncio

import httpx
import pytest
from api_fakes import picture
from uploaded_batches import FORM, TAR, World, form_of, tar_of

PNG, JPEG = picture(), picture("JPEG")
KEYED = {**FORM, "Idempotency-Key": "k"}
BODY = form_of({"a.png": PNG, "b.jpg": JPEG})


async def test_repeated_upload_returns_the_same_batch(web: httpx.AsyncClient, world: World) -> None:
    first = (await web.post("/batches", content=BODY, headers=KEYED)).json()
    known = world.keys()
    response = await web.post("/batches", content=BODY, headers=KEYED)

    answer = response.json()
    assert (response.status_code, answer.keys()) == (202, first.keys())
    assert (answer["name"], answer["uid"]) == (first["name"], first["uid"])
    assert (len(world.api.bodies), world.keys()) == (1, known), "nothing was stored again"


async def test_repeat_continues_an_upload_that_broke(web: httpx.AsyncClient, world: World) -> None:
    whole = tar_of({"a.png": PNG, "b.jpg": JPEG})
    headers = {**TAR, "Idempotency-Key": "k"}
    broken = await web.post("/batches", content=whole[:1500], headers=headers)
    assert (broken.status_code, broken.json()["reason"]) == (400, "UploadBroken")
    (name,) = world.api.bodies
    assert world.batch(name).is_being_uploaded, "the batch waits for the next attempt"

    answer = (await web.post("/batches", content=whole, headers=headers)).json()
    assert (answer["name"], answer["images"]) == (name, 2)
    assert world.images(name) == {"a.png": PNG, "b.jpg": JPEG}


async def test_first_of_two_attempts_at_the_same_time_wins(
    web: httpx.AsyncClient, world: World
) -> None:
    answers = await asyncio.gather(
        *(web.post("/batches", content=BODY, headers=KEYED) for _ in range(4))
    )
    assert {it.status_code for it in answers} == {202}
    assert len({it.json()["uid"] for it in answers}) == 1
    assert len(world.api.patches) == 1
    assert world.images(answers[0].json()["name"]) == {"a.png": PNG, "b.jpg": JPEG}


@pytest.mark.parametrize(
    "other",
    [
        {"content": form_of({"a.png": PNG}, prompt="other"), "headers": KEYED},
        {"content": form_of({"a.png": PNG}, describer="newest"), "headers": KEYED},
        {"content": form_of({"a.png": PNG}, priority="1"), "headers": KEYED},
        {"json": {"prefix": "inbox/a/"}, "headers": {"Idempotency-Key": "k"}},
    ],
)
async def test_key_of_a_different_request_is_refused(
    web: httpx.AsyncClient, world: World, other: dict[str, object]
) -> None:
    await web.post("/batches", content=BODY, headers=KEYED)
    response = await web.post("/batches", **other)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["reason"]) == (422, "IdempotencyKeyReused")
    assert len(world.api.bodies) == 1


async def test_repeat_may_have_another_time_to_live(web: httpx.AsyncClient) -> None:
    await web.post("/batches", content=BODY, headers=KEYED)
    response = await web.post("/batches?ttlSeconds=99", content=BODY, headers=KEYED)
    assert response.status_code == 202


async def test_repeated_document_returns_the_same_batch(
    web: httpx.AsyncClient, world: World
) -> None:
    headers = {"Idempotency-Key": "k"}
    first, second = [
        (await web.post("/batches", json={"upload": {}, "name": "n"}, headers=headers)).json()
        for _ in range(2)
    ]
    assert first == second
    assert len(world.api.bodies) == 1


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "other"}])
async def test_name_of_another_batch_is_refused(
    web: httpx.AsyncClient, world: World, key: dict[str, str]
) -> None:
    await web.post("/batches?name=holiday", content=BODY, headers=KEYED)
    response = await web.post("/batches?name=holiday", content=BODY, headers={**FORM, **key})
    assert (response.status_code, response.json()["reason"]) == (409, "BatchExists")
    assert world.images("holiday") == {"a.png": PNG, "b.jpg": JPEG}


async def test_lost_answers_of_kubernetes_do_no_harm(web: httpx.AsyncClient, world: World) -> None:
    world.api.loses_created, world.api.loses_answers = 1, 1
    answer = await web.post("/batches", content=BODY, headers=FORM)
    assert answer.status_code == 202
    assert len(world.api.bodies) == 1
    assert world.images(answer.json()["name"]) == {"a.png": PNG, "b.jpg": JPEG}


async def test_change_of_the_batch_meanwhile_does_not_fail_the_upload(
    web: httpx.AsyncClient, world: World
) -> None:
    changed: list[str] = []

    async def suspend_once(name: str) -> None:
        if not changed:
            changed.append(name)
            world.api.change(name, suspend=True)

    world.api.before_patch = suspend_once
    answer = await web.post("/batches", content=BODY, headers=FORM)
    assert answer.status_code == 202
    (name,) = changed
    assert world.batch(name).spec.suspend
    assert world.images(name) == {"a.png": PNG, "b.jpg": JPEG}


async def test_batch_that_is_deleted_meanwhile_is_not_found(
    web: httpx.AsyncClient, world: World
) -> None:
    async def delete(name: str) -> None:
        world.api.delete(name)

    world.api.before_patch = delete
    answer = await web.post("/batches", content=BODY, headers=FORM)
    assert (answer.status_code, answer.json()["reason"]) == (404, "BatchNotFound")
