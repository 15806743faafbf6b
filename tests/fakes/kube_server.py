"""What the fakes of the Kubernetes API server have in common."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
from aiohttp import web
from vision_node_contract.clients.kube import Kube
from vision_node_contract.clients.kube_auth import Access
from vision_node_contract.json_types import Json

_REASONS = {
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    503: "ServiceUnavailable",
}


class WatchLog:
    """The events of a resource, in order, and the clients that watch it."""

    def __init__(self) -> None:
        self.is_silent = False
        """Whether clients that watch are not told of new events."""
        self.first_version = 0
        """The oldest resourceVersion from which a watch can begin."""
        self._events: list[Json] = []
        self._watchers: set[asyncio.Queue[Json | None]] = set()

    @property
    def is_watched(self) -> bool:
        """Whether a client watches."""
        return bool(self._watchers)

    def tell(self, event: Json) -> None:
        """Add an event."""
        self._events.append(event)
        if not self.is_silent:
            self._put(event)

    def forget(self) -> None:
        """Forget all events, as after a restore from a backup."""
        self._events.clear()

    def break_off(self) -> None:
        """End all watches, and make clients list everything again."""
        error = {"code": 410, "reason": "Expired", "message": "old"}
        self._put({"type": "ERROR", "object": error})

    def end(self) -> None:
        """End all watches, so that the server can stop."""
        self._put(None)

    async def follow(self, request: web.Request, newest: int) -> web.StreamResponse:
        """Answer a watch. `newest` is the newest resourceVersion."""
        since = int(request.query["resourceVersion"])
        if since < self.first_version or since > newest:
            return refusal(410)

        watcher: asyncio.Queue[Json | None] = asyncio.Queue()
        for event in self._events:
            if int(event["object"]["metadata"]["resourceVersion"]) > since:
                watcher.put_nowait(event)
        self._watchers.add(watcher)

        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while (change := await watcher.get()) is not None:
                await response.write(json.dumps(change).encode() + b"\n")
        except ConnectionResetError:
            return response
        finally:
            self._watchers.discard(watcher)

        return response

    def _put(self, event: Json | None) -> None:
        for watcher in self._watchers:
            watcher.put_nowait(event)


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
