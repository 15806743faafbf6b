"""Serve the kubelet's probes over HTTP: GET /healthz."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from socket import socket

from aiohttp import web

PORT = 8080
"""Port that the probes use in the chart's Deployment."""

STOP_SECONDS = 1.0
"""How long to wait for a probe that is in progress when the operator stops."""


@asynccontextmanager
async def serving(sockets: Iterable[socket], check: Callable[[], float]) -> AsyncIterator[None]:
    """Answer probes on `sockets` while the block runs.

    kopf's own server is not used, because it listens on a single address: either IPv4 or IPv6.

    Args:
        sockets: Listening sockets; they are closed when the block ends.
        check: Returns the seconds since the operator last made progress, or raises RuntimeError if
            the operator is stuck.
    """

    async def answer(_: web.Request) -> web.Response:
        try:
            return web.json_response({"secondsSinceProgress": round(check(), 3)})
        except RuntimeError as error:
            return web.json_response({"error": str(error)}, status=500)

    app = web.Application()
    app.add_routes([web.get("/healthz", answer)])
    runner = web.AppRunner(
        app, handle_signals=False, shutdown_timeout=STOP_SECONDS, access_log=None
    )

    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each).start()
        yield
    finally:
        await runner.cleanup()
