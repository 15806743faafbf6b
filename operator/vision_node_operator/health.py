"""The operator's HTTP server for kubelet's probes: GET /healthz."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from socket import socket

from aiohttp import web

PORT = 8080

STOP_SECONDS = 1.0
"""For a probe under way when the operator ends."""


@asynccontextmanager
async def serving(sockets: Iterable[socket], check: Callable[[], float]) -> AsyncIterator[None]:
    """Answer probes at `sockets` while the block runs.

    kopf has such a server, too, but at one address, so either of IPv4 or of IPv6.

    Args:
        sockets: They listen already, and are closed at the end.
        check: Returns the seconds since the operator's last round, or raises RuntimeError when it is stuck.
    """

    async def answer(_: web.Request) -> web.Response:
        try:
            return web.json_response({"secondsSinceLastDecision": round(check(), 3)})
        except RuntimeError as error:
            return web.json_response({"error": str(error)}, status=500)

    app = web.Application()
    app.add_routes([web.get("/healthz", answer)])
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=STOP_SECONDS, access_log=None)
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each).start()
        yield
    finally:
        await runner.cleanup()
