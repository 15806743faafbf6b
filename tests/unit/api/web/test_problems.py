"""Whatever a client sends and whatever fails: the answer is a problem document, on a real socket."""

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import uvicorn
from api_fakes import Cluster, FakeBucket, picture
from api_server import Answer, Connection, ask, post, serving, until
from fastapi import FastAPI
from form_bytes import FORM_TYPE, file, form, text
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from vision_node_api.middleware import stack
from vision_node_api.middleware.internal_errors import InternalErrorMiddleware
from vision_node_api.services.jobs import Jobs
from vision_node_api.web import http_protocol
from vision_node_api.web.http_protocol import MAX_HEAD_BYTES
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.problems import Problem
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob

PNG = picture()
SUBMIT = post(form(file("file", PNG)), f"Content-Type: {FORM_TYPE}")
SURROGATES = b"\xed\xa0\x80\xed\xb0\x80"


def get(path: str | bytes, *headers: bytes, method: str = "GET") -> bytes:
    target = path.encode() if isinstance(path, str) else path
    return b"\r\n".join(
        [b"%b %b HTTP/1.1" % (method.encode(), target), b"Host: api", *headers, b"", b""]
    )


ODD: dict[str, tuple[bytes, int, str]] = {
    "an address where nothing is": (get("/nothing"), 404, "NotFound"),
    "a method that the address does not have": (get("/submit"), 405, "MethodNotAllowed"),
    "a method that is rare": (get("/status/x", method="PROPFIND"), 405, "MethodNotAllowed"),
    "a method that there is not": (get("/status/x", method="BREW"), 400, "BadRequest"),
    "a job that there is not": (get("/status/x"), 404, "JobNotFound"),
    "percent-encoding that is broken": (get("/status/%zz%"), 404, "JobNotFound"),
    "percent-encoding of no character": (get("/status/%ff%ed%a0%80"), 404, "JobNotFound"),
    "a result with such an id": (get("/result/%ff%ed%a0%80"), 404, "JobNotFound"),
    "NUL in a job's id": (get("/status/a%00b"), 404, "JobNotFound"),
    "line breaks in a job's id": (get("/result/a%0d%0aSet-Cookie:x"), 404, "JobNotFound"),
    "a line break at the end of a job's id": (get("/status/a%0a"), 404, "JobNotFound"),
    "a slash in a job's id": (get("/status/a%2fb"), 404, "NotFound"),
    "a very long id": (get("/status/" + "a" * 8000), 404, "JobNotFound"),
    "bytes that are not ASCII in a path": (get("/status/größe"), 400, "BadRequest"),
    "bytes that are not UTF-8 in a path": (get(b"/status/\xff"), 400, "BadRequest"),
    "bytes that are not UTF-8 in a query": (get(b"/status/x?\xff=\xed\xa0\x80"), 400, "BadRequest"),
    "bytes that are not ASCII in a header": (
        get("/status/x", b"X-A: \xff\xed\xa0\x80"),
        404,
        "JobNotFound",
    ),
    "bytes that are not ASCII in Host": (get("/status/x", b"Host: \xff["), 404, "JobNotFound"),
    "a Host that is no host": (
        get("/result/x").replace(b"Host: api", b"Host: [::1"),
        404,
        "JobNotFound",
    ),
    "no Host": (get("/result/x").replace(b"Host: api\r\n", b""), 404, "JobNotFound"),
    "a whole URL as the target": (get("http://api/status/x"), 404, "JobNotFound"),
    "a target that is no path": (get("status/x"), 400, "BadRequest"),
    "an asterisk as the target": (get("*", method="OPTIONS"), 404, "NotFound"),
    "a tunnel": (get("api:443", method="CONNECT"), 400, "BadRequest"),
    "another protocol": (
        get("/status/x", b"Connection: Upgrade", b"Upgrade: h2c"),
        404,
        "JobNotFound",
    ),
    "a web socket": (
        get("/status/x", b"Connection: Upgrade", b"Upgrade: websocket"),
        404,
        "JobNotFound",
    ),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400, "BadRequest"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BadRequest"),
    "no HTTP": (b"hello\r\n\r\n", 400, "BadRequest"),
    "an HTTP version that there is not": (b"GET / HTTP/9.9\r\n\r\n", 400, "BadRequest"),
    "a header without a colon": (get("/", b"nonsense"), 400, "BadRequest"),
    "NUL in a header": (get("/", b"X-A: a\0b"), 400, "BadRequest"),
    "a length that is no number": (
        get("/", b"Content-Length: many", method="POST"),
        400,
        "BadRequest",
    ),
    "a length beyond all bounds": (
        get("/", b"Content-Length: " + b"9" * 99, method="POST"),
        400,
        "BadRequest",
    ),
    "two lengths": (
        get("/", b"Content-Length: 1", b"Content-Length: 2", method="POST"),
        400,
        "BadRequest",
    ),
    "a length and chunks": (
        get("/submit", b"Content-Length: 1", b"Transfer-Encoding: chunked", method="POST"),
        400,
        "BadRequest",
    ),
    "a chunk without a size": (
        get("/submit", b"Transfer-Encoding: chunked", b"Content-Type: image/png", method="POST")
        + b"zz\r\n",
        400,
        "BadRequest",
    ),
    "many headers": (get("/status/x", *(b"X-%d: 1" % n for n in range(1000))), 404, "JobNotFound"),
    "headers that do not end": (
        get("/", b"X-A: " + b"a" * MAX_HEAD_BYTES * 8)[:-4],
        431,
        "HeadersTooLarge",
    ),
    "a target that does not end": (b"GET /" + b"a" * MAX_HEAD_BYTES * 8, 431, "HeadersTooLarge"),
    "a key that is too long": (
        post(PNG, "Content-Type: image/png", "Idempotency-Key: " + "k" * 256),
        422,
        "InvalidRequest",
    ),
    "no type": (post(PNG), 415, "NotAForm"),
    "a type that is not ASCII": (post(PNG, "Content-Type: größe"), 415, "NotAForm"),
    "a boundary that is not ASCII": (
        post(PNG, "Content-Type: multipart/form-data; boundary=größe"),
        400,
        "BadRequest",
    ),
    "lone surrogates in a describer's name": (
        post(form(file("file", PNG), text("describer", SURROGATES)), f"Content-Type: {FORM_TYPE}"),
        422,
        "DescriberNotFound",
    ),
    "lone surrogates in a language": (
        post(form(file("file", PNG), text("language", SURROGATES)), f"Content-Type: {FORM_TYPE}"),
        422,
        "OptionsInvalid",
    ),
    "NUL in a describer's name": (
        post(form(file("file", PNG), text("describer", "a\0b")), f"Content-Type: {FORM_TYPE}"),
        422,
        "DescriberNotFound",
    ),
    "lone surrogates in a field's name": (
        post(form(text("\u00ff", "x"), text("x", SURROGATES)), f"Content-Type: {FORM_TYPE}"),
        400,
        "MissingImage",
    ),
}


@pytest.mark.parametrize("case", ODD)
async def test_odd_requests_are_refused_with_a_reason(
    port: int, cluster: Cluster, bucket: FakeBucket, case: str
) -> None:
    request, status, reason = ODD[case]
    answer = await ask(port, request)
    assert (answer.status, answer.is_problem) == (status, True), answer.body
    assert answer.json["reason"] == reason
    assert (cluster.jobs, bucket.objects) == ({}, {})


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        (text("prompt", SURROGATES), "Ã\xad"),
        (text("prompt", "a\0b"), "a\0b"),
        (text("prompt", "\U0001f600\u202e\ufffe"), "\U0001f600"),
        (text("prompt", b"gr\xf6\xdfe"), "größe"),
    ],
)
async def test_any_text_makes_an_imagejob_that_can_be_stored(
    port: int, cluster: Cluster, options: bytes, stored: str
) -> None:
    body = form(
        file("file", PNG, "\ud800.png".encode("utf-8", "surrogatepass").decode("latin-1")), options
    )
    answer = await ask(port, post(body, f"Content-Type: {FORM_TYPE}"))
    assert answer.status == 202
    (job,) = cluster.jobs.values()
    assert job.model_dump_json().encode()
    assert ImageJob.model_validate_json(job.model_dump_json()).spec == job.spec


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nothing", "GET /docs"), ("/submit", "POST"), ("/nothing/%0a", "GET /docs")],
)
async def test_refusals_of_the_framework_say_what_to_do(port: int, path: str, words: str) -> None:
    answer = await ask(port, get(path))
    assert words in answer.json["detail"]
    assert answer.json["instance"] == path.replace("%0a", "%0A")


def fail(error: BaseException) -> Callable[..., Any]:
    def failing(*_: Any, **__: Any) -> Any:
        raise error

    return failing


class FailingMiddleware:
    """Fails before the application is asked, for one path."""

    path = "/fail/middleware"

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == self.path:
            raise ZeroDivisionError("middleware")
        if scope["path"] == "/fail/on-purpose":
            raise Problem(418, "Teapot", "no coffee")
        await self._app(scope, receive, send)


@pytest.fixture
def broken_app(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> ASGIApp:
    """The API, as it is served, with some addresses that fail, and layers that do for some."""

    async def parts() -> Any:
        yield b"begun"
        raise ZeroDivisionError("late")

    async def late() -> StreamingResponse:
        return StreamingResponse(parts())

    def add(path: str, error: BaseException) -> None:
        @app.get(path)
        async def route() -> None:
            raise error

    app.get("/fail/late")(late)
    add("/fail/route", ZeroDivisionError("route"))
    add("/fail/group", ExceptionGroup("several", [ZeroDivisionError("one"), KeyError("two")]))
    add("/fail/gone", ClientDisconnect())
    add("/fail/cancelled", asyncio.CancelledError())
    ours = app.user_middleware.pop(0)
    assert ours.cls is InternalErrorMiddleware, "added last, so it is around everything else"
    app.add_middleware(FailingMiddleware)
    app.user_middleware.insert(0, ours)
    monkeypatch.setattr(stack, "HeadAndOptionsMiddleware", FailingLayer)

    return stack.add_middleware(app, HttpSettings(), app.state.metrics)


class FailingLayer(FailingMiddleware):
    """Does so in front of the application."""

    path = "/fail/front"


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def refusal_of(port: int, request: bytes) -> Answer:
    """Return the answer to a request, after a second one on the same connection has succeeded."""
    async with Connection.open(port) as connection:
        await connection.send(request)
        answer = await connection.answer()
        await connection.send(SUBMIT)
        assert (await connection.answer()).status == 202
        return answer


@pytest.mark.parametrize("path", ["/fail/route", "/fail/middleware", "/fail/front", "/fail/group"])
async def test_an_unforeseen_error_is_answered_with_an_id_that_the_log_has(
    broken_app: ASGIApp, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with serving(broken_app) as port:
        answer = await refusal_of(port, get(path + "?token=secret"))

    assert (answer.status, answer.is_problem, answer.json["reason"]) == (500, True, "InternalError")
    assert re.fullmatch("[0-9a-f]{16}", answer.json["id"])
    assert answer.json["id"] in answer.json["detail"]
    assert answer.json["instance"] == path
    (logged,) = errors(caplog)
    assert answer.json["id"] in logged.getMessage()
    assert path in logged.getMessage()
    assert "secret" not in logged.getMessage()
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], ZeroDivisionError | ExceptionGroup)


@pytest.mark.parametrize("part", ["put", "create", "inspect"])
async def test_an_unforeseen_error_in_a_submit(
    port: int,
    bucket: FakeBucket,
    cluster: Cluster,
    jobs: Jobs,
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    where = {
        "put": (bucket, "put"),
        "create": (cluster, "create"),
        "inspect": (jobs.describers, "has"),
    }

    with monkeypatch.context() as patch:
        patch.setattr(*where[part], fail(ZeroDivisionError(part)))
        body = form(
            file("file", PNG), text("describer", "metadata" if part != "inspect" else "other")
        )
        answer = await ask(port, post(body, f"Content-Type: {FORM_TYPE}"))

    assert (answer.status, answer.json["reason"]) == (500, "InternalError")
    assert len(errors(caplog)) == 1
    assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)
    assert (await ask(port, SUBMIT)).status == 202


async def test_a_problem_in_middleware_is_answered_as_it_says(broken_app: ASGIApp) -> None:
    async with serving(broken_app) as port:
        answer = await refusal_of(port, get("/fail/on-purpose"))
    assert (answer.status, answer.json["reason"], answer.is_problem) == (418, "Teapot", True)


async def test_an_error_after_the_answer_has_begun_ends_the_connection_and_is_logged(
    broken_app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(broken_app) as port, Connection.open(port) as connection:
        await connection.send(get("/fail/late"))
        assert (await connection.answer()).status == 200
        assert await connection.ended() == b"5\r\nbegun\r\n", (
            "and no final chunk: clients see that it is cut off"
        )

    traced = [record for record in errors(caplog) if record.exc_info]
    assert len(traced) == 1
    assert re.search("GET '/fail/late' failed, id [0-9a-f]{16}$", traced[0].getMessage())


async def test_a_client_that_went_away_leaves_no_traceback(
    broken_app: ASGIApp, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    transport = httpx.ASGITransport(broken_app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        with pytest.raises(AssertionError):  # httpx misses an answer, as it should
            await client.get("/fail/gone")

    async with serving(broken_app) as port:
        async with Connection.open(port) as connection:
            await connection.send(SUBMIT[:-20])
            await until(lambda: jobs.uploads.uploads == 1)
        await until(lambda: jobs.uploads.uploads == 0)

    assert errors(caplog) == []


async def test_a_request_that_a_stopping_server_gives_up_is_told_to_come_back(
    broken_app: ASGIApp,
) -> None:
    async with serving(broken_app) as port:
        answer = await ask(port, get("/fail/cancelled"))
    assert (answer.status, answer.json["reason"]) == (503, "ServerStopping")
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("cut", [None, *range(74, 86)])
async def test_an_offer_to_speak_another_protocol_is_ignored(port: int, cut: int | None) -> None:
    """As Java's HttpClient makes it by default, with a body that must not be taken for that protocol."""
    offer = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    )
    request = SUBMIT.replace(b"Host: api", b"\r\n".join([b"Host: api", *offer]))

    async with Connection.open(port) as connection:
        await connection.send(request[:cut])
        if cut:
            await asyncio.sleep(0.005)  # so that the server gets it in two pieces
            await connection.send(request[cut:])
        assert (await connection.answer()).status == 202
        await connection.send(request)
        assert (await connection.answer()).status == 202


async def test_headers_must_arrive_in_time(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
    async with Connection.open(port) as silent, Connection.open(port) as slow:
        await slow.send(b"GET /status/x HT")
        answer = await slow.answer()
        assert (answer.status, answer.json["reason"], answer.is_problem) == (
            408,
            "RequestTooSlow",
            True,
        )
        assert await slow.ended() == b""
        assert await silent.ended() == b"", "who has sent nothing has asked nothing"


async def test_headers_of_a_further_request_must_arrive_in_time(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Connection.open(port) as connection:
        await connection.send(get("/healthy"))
        assert (await connection.answer()).status == 404
        monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
        await connection.send(b"G")
        assert (await connection.answer()).status == 408


async def test_a_body_that_goes_on_for_ever_after_its_refusal_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.05)
    async with Connection.open(port) as connection:
        await connection.send(get("/nothing", b"Content-Length: 1000000", method="POST"))
        assert (await connection.answer()).status == 404
        with pytest.raises(ConnectionError):
            await connection.send_forever(b"x")


async def test_a_further_upload_is_not_taken_for_the_rest_of_a_refused_one(
    port: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.0)
    async with Connection.open(port) as connection:
        await connection.send(get("/nothing") + SUBMIT[:-20])
        assert (await connection.answer()).status == 404
        await until(lambda: jobs.uploads.held_bytes > 0)
        await connection.send(SUBMIT[-20:])
        assert (await connection.answer()).status == 202


async def test_a_refused_body_does_not_cost_the_connection(port: int) -> None:
    body = bytes(300_000)
    async with Connection.open(port) as connection:
        await connection.send(post(body, path="/nothing") + SUBMIT)
        assert (await connection.answer()).status == 404
        assert (await connection.answer()).status == 202


@pytest.mark.parametrize("path", ["/status/j", "/result/j"])
async def test_jobs_that_others_have_written_are_no_error_of_the_server(
    port: int, jobs: Jobs, path: str
) -> None:
    jobs.cache.observe(WatchEvent("ADDED", [{"metadata": {"name": "j"}, "spec": {"image": 1}}]))
    answer = await ask(port, get(path))
    assert (answer.status, answer.json["reason"], answer.is_problem) == (502, "JobUnreadable", True)


async def test_a_stopping_server_tells_uploads_that_take_too_long(
    served: ASGIApp, jobs: Jobs
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            served,
            http=http_protocol.HttpProtocol,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=0,
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listening]))
        async with Connection.open(listening.getsockname()[1]) as connection:
            await connection.send(SUBMIT[:-20])
            await until(lambda: jobs.uploads.uploads == 1)
            server.should_exit = True
            answer = await connection.answer()
            assert (answer.status, answer.json["reason"], answer.is_problem) == (
                503,
                "ServerStopping",
                True,
            )
            assert await connection.ended() == b""

        await running

    assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)
