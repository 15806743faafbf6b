"""Tests that an ImageJob's timeoutSeconds overrides its Describer's in calls to providers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from fakes import rekognition, vision
from fakes.openai import ANSWER, success
from fakes.remote import PROVIDERS, setup_of
from fakes.serving import served
from pictures import encoded, halves
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Describer, load
from vision_node_describer.describers.interface import attempt_seconds

PICTURE = encoded(halves(), "PNG")

LATE_SECONDS = 1.3
"""Delay of each answer. It exceeds boto3's timeout if the Describer has a timeout of 1 s."""


def answer_for(path: str, body: bytes) -> Response:
    if path.endswith("/chat/completions"):
        return success(json.loads(body), json.dumps(ANSWER))
    if path == "/describe":
        return JSONResponse(ANSWER)
    if path.endswith(":annotate"):
        return JSONResponse({"responses": [vision.FOUND]})
    return JSONResponse(rekognition.FOUND["DetectLabels"], media_type="application/x-amz-json-1.1")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    async def answer(request: Request) -> Response:
        body = await request.body()
        await asyncio.sleep(LATE_SECONDS)
        return answer_for(request.url.path, body)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])
    with served(app) as address:
        yield address


@asynccontextmanager
async def provider_describer(provider: str, url: str, seconds: float) -> AsyncIterator[Describer]:
    describer = load(provider, setup_of(provider, url, seconds))
    try:
        yield describer
    finally:
        await describer.close()


@contextmanager
def attempt_timeout(seconds: float) -> Iterator[None]:
    """Run the block as an attempt with the given timeout."""
    token = attempt_seconds.set(seconds)
    try:
        yield
    finally:
        attempt_seconds.reset(token)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_attempt_timeout_longer_than_the_describers_is_used(url: str, provider: str) -> None:
    with attempt_timeout(30):
        async with provider_describer(provider, url, seconds=1) as describer:
            found = await describer.describe(PICTURE, Options())  # type: ignore[misc]
    assert isinstance(found, Description)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_attempt_timeout_shorter_than_the_describers_is_used(url: str, provider: str) -> None:
    with attempt_timeout(0.2), pytest.raises(DescribeError) as caught:
        async with provider_describer(provider, url, seconds=60) as describer:
            await describer.describe(PICTURE, Options())  # type: ignore[misc]
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_describer_timeout_is_the_default(url: str, provider: str) -> None:
    async with provider_describer(provider, url, seconds=0.3) as describer:
        with pytest.raises(DescribeError) as caught:
            await describer.describe(PICTURE, Options())  # type: ignore[misc]
    assert caught.value.reason is Reason.PROVIDER_UNAVAILABLE
