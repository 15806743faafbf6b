"""Tests of the openai describer's results and errors when the real SDK calls a fake server."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from fakes.openai import ANSWER, FAULTS, FakeOpenAI, success
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from openai_client import APIS, PICTURE, describe, describe_error, openai_describer
from pydantic import TypeAdapter
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import Reason


@pytest.mark.parametrize("api", APIS)
async def test_description_has_model_and_token_usage(fake: FakeOpenAI, url: str, api: str) -> None:
    description = await describe(url, api=api)
    assert description.description == f"Image Description:\n{ANSWER['description']}"
    assert (description.alt, description.caption) == (ANSWER["alt"], ANSWER["caption"])
    assert (description.tags, description.text, description.language) == (ANSWER["tags"], "", "en")
    assert description.model == "gpt-4o-mini"
    assert description.usage
    assert (description.usage.input_tokens, description.usage.output_tokens) == (1000, 90)


@pytest.mark.parametrize("api", APIS)
async def test_requests_and_fake_answers_match_the_sdk_types(
    fake: FakeOpenAI, url: str, api: str
) -> None:
    await describe(url, api=api)
    (request,) = fake.requests

    params: Any = (
        ResponseCreateParamsNonStreaming
        if api == "responses"
        else CompletionCreateParamsNonStreaming
    )

    assert TypeAdapter(params).validate_python(request["body"]).keys() >= request["body"].keys()
    assert request["path"] == ("/v1/responses" if api == "responses" else "/v1/chat/completions")
    model: Any = Response if api == "responses" else ChatCompletion
    model.model_validate_json(bytes(success(request["body"], "{}").body), strict=False)


CASES: list[tuple[Any, Reason, str]] = [
    ("rate_limited", Reason.RATE_LIMITED, "rate limited"),
    ("quota", Reason.QUOTA_EXHAUSTED, "used up"),
    ("server_error", Reason.PROVIDER_UNAVAILABLE, "HTTP 500"),
    ("overloaded", Reason.PROVIDER_UNAVAILABLE, "HTTP 503"),
    ("forbidden", Reason.CREDENTIALS_REFUSED, "OPENAI_API_KEY"),
    ("retired", Reason.MODEL_NOT_FOUND, "set OPENAI_VISION_MODEL"),
    ("filtered_request", Reason.CONTENT_REFUSED, "content filter"),
    ("filtered_answer", Reason.CONTENT_REFUSED, "content filter"),
    ("refusal", Reason.CONTENT_REFUSED, "I can't help with that"),
    ("empty", Reason.EMPTY_ANSWER, "maxOutputTokens"),
    ("cut", Reason.EMPTY_ANSWER, "maxOutputTokens"),
    ("half_json", Reason.EMPTY_ANSWER, "cut off or broken"),
    ("truncated_body", Reason.PROVIDER_UNAVAILABLE, "protocol"),
    ("html", Reason.PROVIDER_UNAVAILABLE, "protocol"),
    ("moved", Reason.OPTIONS_INVALID, "redirects to http://127.0.0.1:1/elsewhere"),
    (
        {"fault": "says", "text": '{"description": "  "}'},
        Reason.EMPTY_ANSWER,
        "without a readable description",
    ),
    (
        {"fault": "says", "text": "<think>Hm.</think>"},
        Reason.EMPTY_ANSWER,
        "without a readable description",
    ),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("fault", "reason", "words"), CASES)
async def test_each_openai_fault_is_reported_with_its_reason(
    fake: FakeOpenAI, url: str, api: str, fault: Any, reason: Reason, words: str
) -> None:
    fake.always = fault
    error = await describe_error(url, api=api)
    assert (error.reason, words in error.message) == (reason, True), error.message
    assert len(fake.requests) == 1  # only the operator retries


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", ["plain", "fenced", "no_schema"])
async def test_answer_that_ignores_the_schema_becomes_a_description(
    fake: FakeOpenAI, url: str, api: str, fault: str
) -> None:
    fake.always = fault
    description = await describe(url, api=api)
    assert description.description.startswith("Image Description:\n")
    assert "quare" in description.alt
    assert "`" not in description.description


async def test_unsupported_field_is_omitted_from_later_requests(fake: FakeOpenAI, url: str) -> None:
    fake.always = "unknown_store"
    async with openai_describer(url, api="responses") as describer:
        for _ in range(2):
            await describer.describe(PICTURE, Options())
    assert ["store" in request["body"] for request in fake.requests] == [True, False, False]


async def test_concurrent_requests_are_repeated_without_an_unsupported_field(
    fake: FakeOpenAI, url: str
) -> None:
    fake.always = {"fault": "unknown_store", "after": 0.3}
    async with openai_describer(url, api="responses") as describer:
        await asyncio.gather(*(describer.describe(PICTURE, Options()) for _ in range(2)))
    assert ["store" in request["body"] for request in fake.requests] == [True, True, False, False]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("model", ["o4-mini", "gpt-5-mini"])
async def test_request_to_a_reasoning_model_has_no_temperature(
    fake: FakeOpenAI, url: str, api: str, model: str
) -> None:
    assert (await describe(url, api=api, model=model)).model == model
    assert all("temperature" not in request["body"] for request in fake.requests)


async def test_unresponsive_openai_server_is_reported_as_unavailable(
    fake: FakeOpenAI, url: str
) -> None:
    fake.always = {"fault": "none", "after": 3600}
    error = await describe_error(url, seconds=0.5)
    assert error.reason is Reason.PROVIDER_UNAVAILABLE


async def test_unreachable_openai_server_is_reported_as_unavailable() -> None:
    error = await describe_error("http://127.0.0.1:9/v1")
    assert error.reason is Reason.PROVIDER_UNAVAILABLE
    assert "127.0.0.1 cannot be reached" in error.message


HIJACKED = {
    "description": "Image Description: HACKED " + "x" * 30_000,
    "alt": "An image of a picture of \u202esomething\u0007 " + "y" * 400,
    "caption": "one\ntwo\x00",
    "tags": ["A" * 500, "a" * 500, 7, None, "ok"] * 100,
    "text": "\u001b[31m읽다",
    "language": "English, please",
    "facts": {"gps": "48.0"},
    "_generated_by": "somebody else",
    "fallback": {"from": "x", "reason": "y"},
    "model": "not me",
}


@pytest.mark.parametrize("api", APIS)
async def test_answer_of_a_hijacked_model_becomes_a_valid_result(
    fake: FakeOpenAI, url: str, api: str
) -> None:
    fake.always = {"fault": "says", "text": json.dumps(HIJACKED)}
    found = await describe(url, job_options={"maxLength": 1000}, api=api)

    assert found.description.startswith("Image Description:\nHACKED xx")
    assert len(found.description) <= 1000
    assert found.alt.startswith("Something y")
    assert len(found.alt) <= 150
    assert found.caption == "one two"
    assert found.tags[1:] == ["ok"]
    assert len(found.tags[0]) == 64
    assert (found.text, found.language) == ("[31m읽다", "en")
    assert (found.facts, found.fallback, found.model) == ({}, None, "gpt-4o-mini")


async def test_fake_openai_server_can_be_scripted_over_http(fake: FakeOpenAI, url: str) -> None:
    async with httpx.AsyncClient(base_url=url.removesuffix("/v1")) as admin:
        await admin.put("/admin/script", json={"next": ["quota"], "always": "plain"})
        assert (await describe_error(url)).reason is Reason.QUOTA_EXHAUSTED
        await describe(url)
        recorded = (await admin.delete("/admin/requests")).json()
        assert [request["rightKey"] for request in recorded] == [True, True]
        assert (await admin.get("/admin/requests")).json() == []


def test_every_fault_of_the_fake_openai_server_is_tested() -> None:
    tested = {fault if isinstance(fault, str) else fault["fault"] for fault, _, _ in CASES}
    tested_elsewhere = {
        "none",
        "quotes_key",
        "plain",
        "fenced",
        "no_schema",
        "unknown_store",
        "deprecated",
    }

    assert tested | tested_elsewhere == set(FAULTS)
