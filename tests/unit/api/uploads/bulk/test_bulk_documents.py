"""Tests of POST /batches with JSON."""

from typing import Any

import httpx
import pytest
from uploaded_batches import World
from vision_node_contract.models.description import Options


async def test_batch_of_a_folder_in_the_inbox(web: httpx.AsyncClient, world: World) -> None:
    body = {
        "prefix": "inbox/holiday/",
        "name": "holiday",
        "describer": "newest",
        "options": {"prompt": "p", "maxLength": 9, "text": False},
        "priority": 5,
        "maxFailedImages": 3,
        "ttlSecondsAfterFinished": 120,
        "suspend": True,
    }
    response = await web.post("/batches", json=body)
    assert response.status_code == 202, response.text
    answer = response.json()
    assert (answer["name"], answer["images"], answer["refused"]["count"]) == ("holiday", 0, 0)

    spec = world.batch("holiday").spec
    assert (spec.prefix, spec.upload, spec.describer) == ("inbox/holiday/", None, "newest")
    assert spec.options == Options(prompt="p", max_length=9, text=False)
    assert (spec.priority, spec.max_failed_images, spec.suspend) == (5, 3, True)
    assert spec.ttl_seconds_after_finished == 120


async def test_options_of_a_document_may_be_in_the_query(
    web: httpx.AsyncClient, world: World
) -> None:
    body = {"upload": {}, "name": "holiday", "options": {"prompt": "p"}}
    await web.post("/batches?prompt=q&maxLength=9&name=x&suspend=true", json=body)
    spec = world.batch("holiday").spec
    assert spec.options == Options(prompt="p", max_length=9)
    assert spec.suspend


@pytest.mark.parametrize("body", [{"manifest": "inbox/list.jsonl"}, {"upload": {}}])
async def test_batch_of_another_source(
    web: httpx.AsyncClient, world: World, body: dict[str, Any]
) -> None:
    answer = (await web.post("/batches", json=body)).json()
    batch = world.batch(answer["name"])
    assert batch.spec.manifest == body.get("manifest")
    assert batch.is_being_uploaded == ("upload" in body)


INVALID: dict[str, Any] = {
    "no source": {},
    "two sources": {"prefix": "inbox/a/", "upload": {}},
    "unknown member": {"upload": {}, "promt": "x"},
    "unknown option": {"upload": {}, "options": {"promt": "x"}},
    "wrong type": {"upload": {}, "priority": "high"},
    "too much": {"upload": {}, "maxAttempts": 11},
    "kept too long": {"upload": {}, "ttlSecondsAfterFinished": 10**7},
    "invalid name": {"upload": {}, "name": "a/b"},
    "no object": [],
}


@pytest.mark.parametrize("case", INVALID)
async def test_invalid_document_is_refused(web: httpx.AsyncClient, world: World, case: str) -> None:
    response = await web.post("/batches", json=INVALID[case])
    assert (response.status_code, response.json()["reason"]) == (422, "OptionsInvalid")
    assert world.api.bodies == {}


async def test_document_that_is_no_json_or_too_long_is_refused(web: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await web.post("/batches", content=b"{", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (422, "OptionsInvalid")
    answer = await web.post("/batches", content=b" " * 70_000, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (413, "DocumentTooLarge")


async def test_what_kubernetes_refuses_is_refused(web: httpx.AsyncClient, world: World) -> None:
    world.api.create_refusals = [
        (422, "prefix is wrong."),
        (403, "b is forbidden: exceeded quota: q"),
    ]
    answers = [await web.post("/batches", json={"prefix": "a"}) for _ in range(2)]
    assert [(it.status_code, it.json()["reason"]) for it in answers] == [
        (422, "BatchRefused"),
        (429, "QuotaExceeded"),
    ]
    assert "prefix is wrong" in answers[0].json()["detail"]
    assert answers[1].headers["retry-after"]


async def test_document_is_documented(web: httpx.AsyncClient) -> None:
    operation = (await web.get("/openapi.json")).json()["paths"]["/batches"]["post"]
    content = operation["requestBody"]["content"]
    assert content.keys() == {
        *("multipart/form-data", "application/x-tar", "application/zip", "application/json"),
    }
    document = content["application/json"]["schema"]["properties"]
    assert "$ref" not in str(document)
    assert "prompt" in str(document["options"])
    form = content["multipart/form-data"]["schema"]["properties"]
    assert form["files"]["type"] == "array"
    options = {it["name"] for it in operation["parameters"] if it["in"] == "query"}
    assert options == form.keys() - {"files"}
    assert {"name", "priority", "maxFailedImages", "prompt", "ttlSeconds"} <= options
