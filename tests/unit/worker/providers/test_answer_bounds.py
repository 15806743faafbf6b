"""No provider's answer is read without end, whatever it is sent as; each describer against a real socket."""

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes.openai import ANSWER, answered
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
PIECE = b"x" * (1 << 20)
PIECES = 400
MOST_BYTES = 150 << 20


class Server:
    """Answers any request by `say`."""

    def __init__(self) -> None:
        self.say: Any = None
        self.asked = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        self.asked += 1
        answer: Response = self.say(await request.body())
        return answer


async def endless() -> AsyncIterator[bytes]:
    """Yield far more than any describer should read."""
    for _ in range(PIECES):
        yield PIECE


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Server, str]]:
    server = Server()
    with served(server.app) as url:
        yield server, url


async def described(provider: str, url: str) -> Description:
    describer = load(provider, setup_of(provider, url))
    try:
        found = await describer.describe(PICTURE, Options())  # type: ignore[misc]
        assert isinstance(found, Description)
        return found
    finally:
        await describer.close()


async def refusal(provider: str, url: str) -> DescribeError:
    with pytest.raises(DescribeError) as caught:
        await described(provider, url)
    assert len(caught.value.message) < 600
    return caught.value


@contextmanager
def memory_below(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_without_end_is_given_up(
    running: tuple[Server, str], provider: str, status: int
) -> None:
    server, url = running
    server.say = lambda _: StreamingResponse(endless(), status, media_type="application/json")
    with memory_below(MOST_BYTES):
        error = await refusal(provider, url)
    assert error.reason.retryable
    assert "longer than" in error.message


@pytest.mark.parametrize("provider", ["openai", "http", "google"])
async def test_a_small_answer_that_inflates_is_given_up(
    running: tuple[Server, str], provider: str
) -> None:
    server, url = running
    bomb = gzip.compress(PIECES * PIECE, 1)
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    server.say = lambda _: Response(bomb, headers=headers)
    with memory_below(MOST_BYTES):
        assert "longer than" in (await refusal(provider, url)).message


@pytest.mark.parametrize("provider", ["openai", "http"])
async def test_a_compressed_answer_is_read(running: tuple[Server, str], provider: str) -> None:
    server, url = running

    def compressed(body: bytes) -> Response:
        text = json.dumps(ANSWER)
        whole = answered(json.loads(body), text).body if provider == "openai" else text.encode()
        return Response(gzip.compress(bytes(whole)), headers={"content-encoding": "gzip"})

    server.say = compressed
    assert (await described(provider, url)).alt == ANSWER["alt"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_answer_that_breaks_off_is_no_answer(
    running: tuple[Server, str], provider: str
) -> None:
    server, url = running
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    server.say = lambda _: Response(gzip.compress(b"{}" * 1000)[:20], headers=headers)
    assert (await refusal(provider, url)).reason.retryable


@pytest.mark.parametrize("provider", ["openai", "google", "rekognition"])
async def test_a_page_is_no_answer(running: tuple[Server, str], provider: str) -> None:
    """Of a portal that wants a login, say; not a picture in which nothing was recognized."""
    server, url = running
    server.say = lambda _: Response("<html>Log in</html>", media_type="text/html")
    assert (await refusal(provider, url)).reason is Reason.PROVIDER_UNAVAILABLE


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_no_redirect_is_followed_with_the_picture(
    running: tuple[Server, str], provider: str, status: int
) -> None:
    server, url = running
    server.asked = 0
    server.say = lambda _: RedirectResponse(f"{url}/elsewhere", status)
    error = await refusal(provider, url)
    assert server.asked == 1
    assert error.reason is (
        Reason.REQUEST_REFUSED if provider == "http" else Reason.OPTIONS_INVALID
    )


@pytest.mark.parametrize(
    ("provider", "setting"), [("google", "endpoint"), ("rekognition", "endpoint")]
)
async def test_an_endpoint_that_looks_wrong_is_said_to(
    running: tuple[Server, str], provider: str, setting: str
) -> None:
    server, url = running
    for answer in (Response("<h1>404</h1>", 404, media_type="text/html"), JSONResponse({}, 405)):
        server.say = lambda _, answer=answer: answer
        error = await refusal(provider, url)
        assert error.reason is Reason.OPTIONS_INVALID
        assert f"option {setting}" in error.message
        assert "looks wrong" in error.message


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        (
            {"endpoint": "rekognition.local"},
            {"AWS_REGION": "eu-west-1"},
            "option endpoint is not an address",
        ),
        ({}, {"AWS_REGION": "eu west 1"}, "AWS_REGION is not a region"),
    ],
)
def test_rekognition_s_settings_that_are_none(
    options: Any, environment: dict[str, str], words: str
) -> None:
    with pytest.raises(DescribeError, match=words) as caught:
        load("rekognition", Setup(options=options, environment=environment))
    assert caught.value.reason is Reason.OPTIONS_INVALID
