"""Serve the API with uvicorn on a loopback socket, and send it arbitrary bytes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from vision_node_api.web.http_protocol import HttpProtocol

TIMEOUT_SECONDS = 20.0


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[int]:
    """Serve `app` in the same way as the API's process, and yield the port.

    Any requests that are unfinished at the end of the `async with` block are aborted.
    """
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)

    listening = socket.create_server(("127.0.0.1", 0))
    # The API's event loop (uvloop) sets TCP_NODELAY on its connections. Without TCP_NODELAY, a
    # response can be delayed by 40 ms, because it waits for an ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    await server.startup(sockets=[listening])
    await server.on_tick(0)

    try:
        yield listening.getsockname()[1]
    finally:
        await _stop(server)


async def _stop(server: uvicorn.Server) -> None:
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await until(lambda: not server.server_state.connections and not server.server_state.tasks)


@dataclass(frozen=True)
class RawResponse:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        """Whether the response is a complete problem document that contains its status."""
        document = self.json
        typed = self.headers["content-type"] == "application/problem+json"
        members = {"type", "title", "status", "detail", "reason"} <= document.keys()
        return typed and members and document["status"] == self.status


class Connection:
    """A connection over which a test can send arbitrary bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator["Connection"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_forever(self, data: bytes) -> None:
        """Send the data repeatedly. Raise ConnectionError once the server closes the connection."""
        while True:
            await self.send(data)
            await asyncio.sleep(0)

    async def response(self, *, head: bool = False) -> RawResponse:
        """Return the next response. Set `head` after a HEAD request, so that no body is read."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            start = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = start.strip().split("\r\n")
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
            }
            length = 0 if head else int(headers.get("content-length", 0))
            return RawResponse(
                int(status.split()[1]), headers, await self._reader.readexactly(length)
            )

    async def ended(self) -> bytes:
        """Return all bytes received before the server closes the connection."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self._reader.read()


async def ask(port: int, request: bytes) -> RawResponse:
    """Send the bytes of a request and return the response."""
    async with Connection.open(port) as connection:
        await connection.send(request)
        return await connection.response()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not condition():  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.001)


def post(body: bytes, *headers: str, path: str = "/submit") -> bytes:
    """Return the bytes of a POST request with this body and its Content-Length."""
    head = [f"POST {path} HTTP/1.1", "Host: api", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
