"""Tests of HTTP connections: protocol upgrades, time limits and the bodies of refused requests."""

import asyncio
import socket

import pytest
import uvicorn
from api_server import Connection, post, until
from http_requests import SUBMIT, get
from starlette.types import ASGIApp
from vision_node_api.services.jobs import Jobs
from vision_node_api.web import http_protocol


@pytest.mark.parametrize("cut", [None, *range(74, 86)])
async def test_upgrade_to_another_protocol_is_ignored(port: int, cut: int | None) -> None:
    """Java's HttpClient offers HTTP/2 by default. The body must not be parsed as HTTP/2."""
    offer = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    )
    request = SUBMIT.replace(b"Host: api", b"\r\n".join([b"Host: api", *offer]))

    async with Connection.open(port) as connection:
        await connection.send(request[:cut])
        if cut:
            await asyncio.sleep(0.005)  # so that the server receives the request in two pieces
            await connection.send(request[cut:])
        assert (await connection.response()).status == 202
        await connection.send(request)
        assert (await connection.response()).status == 202


async def test_headers_must_arrive_before_the_time_limit(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
    async with Connection.open(port) as silent, Connection.open(port) as slow:
        await slow.send(b"GET /status/x HT")
        response = await slow.response()
        assert (response.status, response.json["reason"], response.is_problem) == (
            408,
            "RequestTooSlow",
            True,
        )
        assert await slow.ended() == b""
        assert await silent.ended() == b"", "a client that has sent nothing gets no response"


async def test_headers_of_the_next_request_must_arrive_before_the_time_limit(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Connection.open(port) as connection:
        await connection.send(get("/healthy"))
        assert (await connection.response()).status == 404
        monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.05)
        await connection.send(b"G")
        assert (await connection.response()).status == 408


async def test_connection_is_closed_if_the_body_of_a_refused_request_never_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.05)
    async with Connection.open(port) as connection:
        await connection.send(get("/nothing", b"Content-Length: 1000000", method="POST"))
        assert (await connection.response()).status == 404
        with pytest.raises(ConnectionError):
            await connection.send_forever(b"x")


async def test_next_request_is_not_mistaken_for_the_body_of_a_refused_request(
    port: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", 0.0)
    async with Connection.open(port) as connection:
        await connection.send(get("/nothing") + SUBMIT[:-20])
        assert (await connection.response()).status == 404
        await until(lambda: jobs.uploads.held_bytes > 0)
        await connection.send(SUBMIT[-20:])
        assert (await connection.response()).status == 202


async def test_connection_stays_usable_after_a_request_with_a_large_body_is_refused(
    port: int,
) -> None:
    body = bytes(300_000)
    async with Connection.open(port) as connection:
        await connection.send(post(body, path="/nothing") + SUBMIT)
        assert (await connection.response()).status == 404
        assert (await connection.response()).status == 202


async def test_stopping_server_refuses_unfinished_uploads(served: ASGIApp, jobs: Jobs) -> None:
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
            response = await connection.response()
            assert (response.status, response.json["reason"], response.is_problem) == (
                503,
                "ServerStopping",
                True,
            )
            assert await connection.ended() == b""

        await running

    assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)
