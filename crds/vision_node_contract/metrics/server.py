"""Serve metrics on a port of their own: GET and HEAD /metrics.

Clients of the API have no access to this port, because the Service does not have it. The server is
bounded, so that a slow or hostile client in the cluster costs neither much memory nor many sockets.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from socket import socket

from aiohttp import web

PORT = 9090
"""Port of the metrics in the pods of API and operator. The chart names it `metrics`."""

ADDRESS_VARIABLE = "METRICS_LISTEN_ADDRESS"
"""Environment variable for a process that does not run in a pod (see `listening`)."""

PATH = "/metrics"
METHODS = ("GET", "HEAD")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Content-Type of Prometheus' text format, which every scraper can read."""

MAX_CONNECTIONS = 16
"""Maximum number of connections. A few scrapers need one each, for a few milliseconds."""

CONNECTION_SECONDS = 5.0
"""Interval at which connections are checked. A connection that is there at two checks is aborted,
so none lasts longer than twice this time. A scrape takes milliseconds."""

MAX_HEADER_BYTES = 4096
"""Maximum size of a request's first line, and of each of its headers."""

STOP_SECONDS = 1.0
"""How long to wait for a scrape that is in progress when the process stops."""


class _Refused(asyncio.Protocol):
    """Closes a new connection, because there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _BoundedServer(web.Server):
    """Serves a limited number of connections at a time."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.Response]]) -> None:
        super().__init__(
            answer,
            access_log=None,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        self._open = 0

    def accept(self) -> asyncio.Protocol:
        """Return the protocol for a new connection."""
        if self._open >= MAX_CONNECTIONS:
            return _Refused()

        self._open += 1
        return self()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Record that a connection has ended."""
        self._open -= 1
        super().connection_lost(handler, exc)


@asynccontextmanager
async def serving(sockets: Iterable[socket], text: Callable[[], bytes]) -> AsyncIterator[None]:
    """Answer scrapes on `sockets` while the block runs.

    Args:
        sockets: Listening sockets; they are closed when the block ends.
        text: Returns the metrics in Prometheus' text format.
    """

    async def answer(request: web.BaseRequest) -> web.Response:
        response = _respond(request, text)
        # One connection per scrape, so that idle scrapers occupy none.
        response.force_close()
        return response

    server = _BoundedServer(answer)
    loop = asyncio.get_running_loop()
    listeners = [await loop.create_server(server.accept, sock=each) for each in sockets]
    watchdog = asyncio.create_task(_abort_slow_clients(server))

    try:
        yield
    finally:
        watchdog.cancel()
        for listener in listeners:
            listener.close()
        server.pre_shutdown()
        await server.shutdown(STOP_SECONDS)


def _respond(request: web.BaseRequest, text: Callable[[], bytes]) -> web.Response:
    if request.path != PATH:
        return web.Response(status=404, text=f"The metrics are at {PATH}.\n")
    if request.method not in METHODS:
        allowed = {"Allow": ", ".join(METHODS)}
        return web.Response(status=405, text="Metrics can only be read.\n", headers=allowed)

    return web.Response(body=text(), headers={"Content-Type": CONTENT_TYPE})


async def _abort_slow_clients(server: web.Server) -> None:
    """Abort connections that send or read too slowly, or that are idle."""
    old: set[web.RequestHandler] = set()
    while True:
        await asyncio.sleep(CONNECTION_SECONDS)
        for connection in old.intersection(server.connections):
            if connection.transport is not None:
                connection.transport.abort()

        old = set(server.connections)
