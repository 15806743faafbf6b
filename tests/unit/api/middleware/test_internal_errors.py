"""Tests that an unexpected error in any part of the API results in a problem document."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from api_fakes import Cluster, FakeBucket
from api_server import Connection, RawResponse, ask, post, serving, until
from fastapi import FastAPI
from form_bytes import FORM_TYPE, file, form, text
from http_requests import PNG, SUBMIT, get
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from vision_node_api.middleware import stack
from vision_node_api.middleware.internal_errors import InternalErrorMiddleware
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.problems import Problem


def fail(error: BaseException) -> Callable[..., Any]:
    def failing(*_: Any, **__: Any) -> Any:
        raise error

    return failing


class FailingMiddleware:
    """Middleware that raises an error for some paths before the application gets the request."""

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
    """The API with its middleware, and with additional routes and middleware that raise errors."""

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
    assert ours.cls is InternalErrorMiddleware, "this middleware must wrap everything else"
    app.add_middleware(FailingMiddleware)
    app.user_middleware.insert(0, ours)
    monkeypatch.setattr(stack, "HeadAndOptionsMiddleware", FailingLayer)

    return stack.add_middleware(app, HttpSettings(), app.state.metrics)


class FailingLayer(FailingMiddleware):
    """Middleware that raises an error outside the application, in the middleware stack."""

    path = "/fail/front"


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


async def response_of(port: int, request: bytes) -> RawResponse:
    """Return the response to a request, after checking that the connection is still usable."""
    async with Connection.open(port) as connection:
        await connection.send(request)
        response = await connection.response()
        await connection.send(SUBMIT)
        assert (await connection.response()).status == 202
        return response


@pytest.mark.parametrize("path", ["/fail/route", "/fail/middleware", "/fail/front", "/fail/group"])
async def test_id_of_an_unexpected_error_is_in_the_response_and_the_log(
    broken_app: ASGIApp, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with serving(broken_app) as port:
        response = await response_of(port, get(path + "?token=secret"))

    assert (response.status, response.is_problem, response.json["reason"]) == (
        500,
        True,
        "InternalError",
    )
    assert re.fullmatch("[0-9a-f]{16}", response.json["id"])
    assert response.json["id"] in response.json["detail"]
    assert response.json["instance"] == path

    (logged,) = errors(caplog)
    assert response.json["id"] in logged.getMessage()
    assert path in logged.getMessage()
    assert "secret" not in logged.getMessage()
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], ZeroDivisionError | ExceptionGroup)


@pytest.mark.parametrize("part", ["put", "create", "inspect"])
async def test_upload_memory_is_freed_after_an_unexpected_error(
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
        response = await ask(port, post(body, f"Content-Type: {FORM_TYPE}"))

    assert (response.status, response.json["reason"]) == (500, "InternalError")
    assert len(errors(caplog)) == 1
    assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)
    assert (await ask(port, SUBMIT)).status == 202


async def test_problem_raised_in_middleware_is_sent(broken_app: ASGIApp) -> None:
    async with serving(broken_app) as port:
        response = await response_of(port, get("/fail/on-purpose"))
    assert (response.status, response.json["reason"], response.is_problem) == (418, "Teapot", True)


async def test_error_after_the_response_has_started_is_logged_and_closes_the_connection(
    broken_app: ASGIApp, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(broken_app) as port, Connection.open(port) as connection:
        await connection.send(get("/fail/late"))
        assert (await connection.response()).status == 200
        assert await connection.ended() == b"5\r\nbegun\r\n", (
            "the final chunk is missing, so clients can see that the response is incomplete"
        )

    tracebacks = [record for record in errors(caplog) if record.exc_info]

    assert len(tracebacks) == 1
    assert re.search("GET '/fail/late' failed, id [0-9a-f]{16}$", tracebacks[0].getMessage())


async def test_disconnected_client_is_not_logged_as_an_error(
    broken_app: ASGIApp, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    transport = httpx.ASGITransport(broken_app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        with pytest.raises(AssertionError):  # httpx raises it, because the app does not respond
            await client.get("/fail/gone")

    async with serving(broken_app) as port:
        async with Connection.open(port) as connection:
            await connection.send(SUBMIT[:-20])
            await until(lambda: jobs.uploads.uploads == 1)
        await until(lambda: jobs.uploads.uploads == 0)

    assert errors(caplog) == []


async def test_request_canceled_by_a_stopping_server_gets_retry_after(
    broken_app: ASGIApp,
) -> None:
    async with serving(broken_app) as port:
        response = await ask(port, get("/fail/cancelled"))
    assert (response.status, response.json["reason"]) == (503, "ServerStopping")
    assert response.headers["retry-after"]
