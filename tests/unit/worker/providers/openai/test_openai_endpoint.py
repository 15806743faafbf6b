"""Tests of the openai describer with correct and incorrect values of OPENAI_BASE_URL."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fakes.openai import ANSWER, success
from fakes.serving import served
from pictures import encoded, halves
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import Describer, Setup, load
from vision_node_describer.describers.interface import attempt_seconds

PICTURE = encoded(halves(), "PNG")


class Server:
    """Answers requests for any path with the result of `respond`, and records them."""

    def __init__(self) -> None:
        self.respond: Any = None
        self.requests: list[Request] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        body = await request.json()

        answer = self.respond(body)
        return await answer if asyncio.iscoroutine(answer) else answer


@pytest.fixture(scope="module")
def server() -> Any:
    server = Server()
    with served(server.app) as url:
        yield server, url


@asynccontextmanager
async def describer_for(url: str, seconds: float = 20) -> AsyncIterator[Describer]:
    environment = {"OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": url}
    describer = load(
        "openai", Setup("gpt-4o-mini", timeout_seconds=seconds, environment=environment)
    )

    try:
        yield describer
    finally:
        await describer.close()


async def describe(url: str, seconds: float = 20) -> Description:
    async with describer_for(url, seconds) as describer:
        description = await describer.describe(PICTURE, Options())  # type: ignore[misc]
        assert isinstance(description, Description)
        return description


async def test_query_of_the_address_is_sent_with_each_request(server: tuple[Server, str]) -> None:
    fake, url = server
    fake.respond, fake.requests = (lambda body: success(body, json.dumps(ANSWER))), []
    await describe(f"{url}/gateway/?team=a")
    (request,) = fake.requests
    assert (request.url.path, request.url.query) == ("/gateway/chat/completions", "team=a")


async def test_azure_api_management_receives_the_key_in_both_headers(
    server: tuple[Server, str],
) -> None:
    fake, url = server
    fake.respond, fake.requests = (lambda body: success(body, json.dumps(ANSWER))), []
    await describe(f"{url}/openai/deployments/gpt?api-version=2024-10-21")
    (request,) = fake.requests

    assert request.url.path == "/openai/deployments/gpt/chat/completions"
    assert request.url.query == "api-version=2024-10-21"
    assert request.headers["api-key"] == "sk-0123456789"
    assert request.headers["authorization"] == "Bearer sk-0123456789"


async def test_azure_receives_the_key_only_in_its_own_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Send a request for Azure through a local proxy that records the headers."""
    fake = Server()
    fake.respond = lambda body: success(body, json.dumps(ANSWER))
    with served(fake.app) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        await describe("http://me.openai.azure.com/openai/deployments/gpt?api-version=2024-10-21")

    (request,) = fake.requests

    assert request.headers["api-key"] == "sk-0123456789"
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("", "; try {url}/v1"),
        ("/api/", "; try {url}/api/v1"),
        ("/gateway?team=secret", "; try {url}/gateway/v1"),
        ("/v1", ", such as http://ollama.default.svc:11434/v1"),
    ],
)
async def test_error_suggests_an_address_that_ends_with_v1(
    server: tuple[Server, str], path: str, advice: str
) -> None:
    fake, url = server
    fake.respond = lambda _: Response("404 page not found", 404)
    with pytest.raises(DescribeError) as caught:
        await describe(url + path)
    assert caught.value.reason is Reason.OPTIONS_INVALID
    assert advice.format(url=url) in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("error", [{"code": 429, "message": "x"}, {"code": 503, "message": "x"}])
async def test_error_in_an_answer_blocks_further_requests(
    server: tuple[Server, str], error: dict[str, Any]
) -> None:
    fake, url = server
    fake.respond, fake.requests = (
        (lambda _: JSONResponse({"error": error}, headers={"retry-after": "600"})),
        [],
    )

    async with describer_for(url) as describer:
        for _ in range(2):
            with pytest.raises(DescribeError) as caught:
                await describer.describe(PICTURE, Options())  # type: ignore[misc]
            assert caught.value.retry_after == pytest.approx(600, abs=5)

    assert len(fake.requests) == 1


GROQ_ERROR = {"error": {"message": "This model does not support response format `json_schema`."}}
FASTAPI_ERROR = {
    "detail": [{"loc": ["body", "response_format"], "msg": "extra fields not permitted"}]
}


@pytest.mark.parametrize(
    ("status", "error_body"), [(400, GROQ_ERROR), (422, FASTAPI_ERROR), (400, [GROQ_ERROR])]
)
async def test_request_is_repeated_without_the_schema_if_the_server_rejects_it(
    server: tuple[Server, str], status: int, error_body: Any
) -> None:
    fake, url = server
    fake.respond = lambda body: (
        JSONResponse(error_body, status)
        if "response_format" in body
        else success(body, "Two squares.")
    )
    assert (await describe(url)).alt == "Two squares."


NO_SUCH_MODEL = {"error": {"message": "model 'x' not found, try pulling it first", "code": None}}
WRONG_ANSWERS = {
    "a web server's page": (HTMLResponse("<h1>404 Not Found</h1>", 404), Reason.OPTIONS_INVALID),
    "a framework's error": (JSONResponse({"detail": "Not Found"}, 404), Reason.OPTIONS_INVALID),
    "plain text": (Response("404 page not found", 404), Reason.OPTIONS_INVALID),
    "no body": (Response(status_code=404), Reason.OPTIONS_INVALID),
    "Flask's error": (
        JSONResponse(
            {"message": "The requested URL was not found on the server. If you entered it"}, 404
        ),
        Reason.OPTIONS_INVALID,
    ),
    "Express's error": (
        JSONResponse(
            {"statusCode": 404, "message": "Cannot POST /chat", "error": "Not Found"}, 404
        ),
        Reason.OPTIONS_INVALID,
    ),
    "a page that mentions models": (
        HTMLResponse("<p>All our models!</p>", 404),
        Reason.OPTIONS_INVALID,
    ),
    "LM Studio's error, with HTTP 200": (
        JSONResponse({"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
        Reason.OPTIONS_INVALID,
    ),
    "method not allowed": (
        JSONResponse({"detail": "Method Not Allowed"}, 405),
        Reason.OPTIONS_INVALID,
    ),
    "Azure's error": (
        JSONResponse({"error": {"code": "404", "message": "Resource not found"}}, 404),
        Reason.OPTIONS_INVALID,
    ),
    "Azure's error for a deployment": (
        JSONResponse(
            {"error": {"code": "DeploymentNotFound", "message": "no such deployment"}}, 404
        ),
        Reason.MODEL_NOT_FOUND,
    ),
    "Gemini's error for a missing model": (
        JSONResponse(
            [{"error": {"code": 404, "message": "models/foo is not found for API version"}}], 404
        ),
        Reason.MODEL_NOT_FOUND,
    ),
    "a missing model, with the error as text": (
        JSONResponse({"error": "model 'x' not found"}, 404),
        Reason.MODEL_NOT_FOUND,
    ),
    "no provider for the model": (
        JSONResponse({"error": {"message": "No endpoints found that support image input"}}, 404),
        Reason.MODEL_NOT_FOUND,
    ),
    "OpenAI's error": (
        JSONResponse({"error": {"message": "Invalid URL (POST /chat/completions)"}}, 404),
        Reason.OPTIONS_INVALID,
    ),
    "Gemini's error for a wrong key": (
        JSONResponse(
            [{"error": {"code": 400, "message": "API key not valid. Pass a valid one."}}], 400
        ),
        Reason.CREDENTIALS_REFUSED,
    ),
    "a flagged picture": (
        JSONResponse(
            {"error": {"code": 403, "message": "requires moderation; your input was flagged"}}, 403
        ),
        Reason.CONTENT_REFUSED,
    ),
    "an error whose type is an object": (
        JSONResponse({"error": {"type": {}, "message": "x"}}, 400),
        Reason.REQUEST_REFUSED,
    ),
    "a missing model": (JSONResponse(NO_SUCH_MODEL, 404), Reason.MODEL_NOT_FOUND),
    "a redirect to TLS": (
        RedirectResponse("https://127.0.0.1/v1?key=secret", 301),
        Reason.OPTIONS_INVALID,
    ),
    "a page instead of an answer": (
        HTMLResponse("<h1>Open WebUI</h1>"),
        Reason.PROVIDER_UNAVAILABLE,
    ),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
async def test_each_wrong_answer_is_reported_with_a_reason_and_advice(
    server: tuple[Server, str], name: str
) -> None:
    (fake, url), (answer, reason) = server, WRONG_ANSWERS[name]
    fake.respond = lambda _: answer
    with pytest.raises(DescribeError) as caught:
        await describe(url)

    assert caught.value.reason is reason
    if reason in (Reason.OPTIONS_INVALID, Reason.PROVIDER_UNAVAILABLE):
        assert "OPENAI_BASE_URL looks wrong" in caught.value.message
        assert "/v1" in caught.value.message

    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("describer_seconds", "imagejob_seconds", "answered_in_time"),
    [(0.3, 5.0, True), (20.0, 0.3, False)],
)
async def test_timeout_of_the_imagejob_overrides_the_describer_timeout(
    server: tuple[Server, str],
    describer_seconds: float,
    imagejob_seconds: float,
    *,
    answered_in_time: bool,
) -> None:
    """Test an ImageJob's timeout that is longer or shorter than its Describer's."""
    fake, url = server
    arrived = asyncio.Event()

    async def late(body: dict[str, Any]) -> Response:
        arrived.set()
        await asyncio.sleep(0.6)
        return success(body, json.dumps(ANSWER))

    fake.respond = late
    token = attempt_seconds.set(imagejob_seconds)

    try:
        if answered_in_time:
            assert (await describe(url, describer_seconds)).description
        else:
            with pytest.raises(DescribeError, match="did not answer"):
                await describe(url, describer_seconds)
    finally:
        attempt_seconds.reset(token)


@pytest.mark.parametrize(
    "refused",
    [
        HTMLResponse("<center>The plain HTTP request was sent to HTTPS port</center>", 400),
        Response("Client sent an HTTP request to an HTTPS server.\n", 400),
    ],
)
async def test_error_recommends_https_if_the_server_requires_tls(
    server: tuple[Server, str], refused: Response
) -> None:
    fake, url = server
    fake.respond = lambda _: refused
    with pytest.raises(DescribeError, match="begin with https://") as caught:
        await describe(url)
    assert caught.value.reason is Reason.OPTIONS_INVALID
