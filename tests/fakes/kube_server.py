"""What the fakes of the Kubernetes API server have in common."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
from aiohttp import web
from vision_node_contract.clients.kube import Kube
from vision_node_contract.clients.kube_auth import Access

_REASONS = {
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    503: "ServiceUnavailable",
}


class FakeApi(Protocol):
    """Stored objects, and the routes at which they are served."""

    def add_routes(self, app: web.Application) -> None:
        """Add the routes to `app`."""

    def end_watches(self) -> None:
        """End all watches, so that the server can stop."""


def refusal(status: int, message: str = "", reason: str = "") -> web.Response:
    """Return a response with which the API server refuses a request (metav1.Status)."""
    reason = reason or _REASONS.get(status, "Timeout")
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason}
    if message:
        body["message"] = message
    return web.json_response(body, status=status)


@asynccontextmanager
async def serving(api: FakeApi) -> AsyncIterator[str]:
    """Serve a fake on a loopback socket, and yield the URL."""
    app = web.Application()
    api.add_routes(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()

    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        api.end_watches()
        await runner.cleanup()


@asynccontextmanager
async def connected(api: FakeApi) -> AsyncIterator[Kube]:
    """Serve a fake, and yield a client for it."""
    async with serving(api) as url, aiohttp.ClientSession() as session:
        yield Kube(Access(session, url))
