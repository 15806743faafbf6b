"""Tests of unusual answers from providers, such as endless, compressed and truncated ones."""

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes.openai import ANSWER, success
from fakes.remote import PROVIDERS, setup_of
from fakes.serving import served
from pictures import encoded, halves
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Setup, load

PICTURE = encoded(halves(), "PNG")
CHUNK = b"x" * (1 << 20)
CHUNKS = 400
MAX_MEMORY_BYTES = 150 << 20


class Server:
    """Answers every request with the result of `respond`, and counts the requests."""

    def __init__(self) -> None:
        self.respond: Any = None
        self.request_count = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        self.request_count += 1
        answer: Response = self.respond(await request.body())
        return answer


async def endless() -> AsyncIterator[bytes]:
    """Yield far more data than any describer should read."""
    for _ in range(CHUNKS):
        yield CHUNK


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Server, str]]:
    server = Server()
    with served(server.app) as url:
        yield server, url


async def describe(provider: str, url: str) -> Description:
    describer = load(provider, setup_of(provider, url))
    try:
        found = await describer.describe(PICTURE, Options())  # type: ignore[misc]
        assert isinstance(found, Description)
        return found
    finally:
        await describer.close()


async def describe_error(provider: str, url: str) -> DescribeError:
    with pytest.raises(DescribeError) as caught:
        await describe(provider, url)
    assert len(caught.value.message) < 600
    return caught.value


@contextmanager
def memory_below(max_bytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < max_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_endless_answer_is_cut_off(
    running: tuple[Server, str], provider: str, status: int
) -> None:
    server, url = running
    server.respond = lambda _: StreamingResponse(endless(), status, media_type="application/json")
    with memory_below(MAX_MEMORY_BYTES):
        error = await describe_error(provider, url)
    assert error.reason.retryable
    assert "longer than" in error.message


@pytest.mark.parametrize("provider", ["openai", "http", "google"])
async def test_small_answer_that_decompresses_to_a_huge_one_is_cut_off(
    running: tuple[Server, str], provider: str
) -> None:
    server, url = running
    bomb = gzip.compress(CHUNKS * CHUNK, 1)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    server.respond = lambda _: Response(bomb, headers=headers)
    with memory_below(MAX_MEMORY_BYTES):
        assert "longer than" in (await describe_error(provider, url)).message


@pytest.mark.parametrize("provider", ["openai", "http"])
async def test_compressed_answer_is_read(running: tuple[Server, str], provider: str) -> None:
    server, url = running

    def compressed(body: bytes) -> Response:
        text = json.dumps(ANSWER)
        whole = success(json.loads(body), text).body if provider == "openai" else text.encode()
        return Response(gzip.compress(bytes(whole)), headers={"content-encoding": "gzip"})

    server.respond = compressed
    assert (await describe(provider, url)).alt == ANSWER["alt"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_truncated_answer_is_a_retryable_error(
    running: tuple[Server, str], provider: str
) -> None:
    server, url = running
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    server.respond = lambda _: Response(gzip.compress(b"{}" * 1000)[:20], headers=headers)
    assert (await describe_error(provider, url)).reason.retryable


@pytest.mark.parametrize("provider", ["openai", "google", "rekognition"])
async def test_web_page_instead_of_an_answer_is_an_error(
    running: tuple[Server, str], provider: str
) -> None:
    """A login page must not be mistaken for an answer in which nothing was recognized."""
    server, url = running
    server.respond = lambda _: Response("<html>Log in</html>", media_type="text/html")
    assert (await describe_error(provider, url)).reason is Reason.PROVIDER_UNAVAILABLE


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_picture_is_not_sent_to_the_target_of_a_redirect(
    running: tuple[Server, str], provider: str, status: int
) -> None:
    server, url = running
    server.request_count = 0
    server.respond = lambda _: RedirectResponse(f"{url}/elsewhere", status)
    error = await describe_error(provider, url)

    assert server.request_count == 1
    assert error.reason is (
        Reason.REQUEST_REFUSED if provider == "http" else Reason.OPTIONS_INVALID
    )


@pytest.mark.parametrize(
    ("provider", "setting"), [("google", "endpoint"), ("rekognition", "endpoint")]
)
async def test_wrong_endpoint_is_named_in_the_error(
    running: tuple[Server, str], provider: str, setting: str
) -> None:
    server, url = running
    for answer in (Response("<h1>404</h1>", 404, media_type="text/html"), JSONResponse({}, 405)):
        server.respond = lambda _, answer=answer: answer
        error = await describe_error(provider, url)
        assert error.reason is Reason.OPTIONS_INVALID
        assert f"option `{setting}`" in error.message
        assert "looks wrong" in error.message


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (
            {"endpoint": "rekognition.local"},
            {"AWS_REGION": "eu-west-1"},
            "option `endpoint` is not an address",
        ),
        ({}, {"AWS_REGION": "eu west 1"}, "AWS_REGION is not a region"),
    ],
)
def test_invalid_settings_of_rekognition_are_rejected(
    options: Any, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(DescribeError, match=words) as caught:
        load("rekognition", Setup(options=options, environment=environment))
    assert caught.value.reason is Reason.OPTIONS_INVALID
