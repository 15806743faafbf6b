"""A fake vision-node server: jobs, batches that are uploaded image by image, and their results.

It runs in a thread of its own, on a real socket, so that programs can be killed while they use it.
Tests can withhold a response after its request has been handled, refuse requests, and limit which
results exist.
"""

import asyncio
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Self

from aiohttp import web

from .vision_node.batches import BatchHandlers
from .vision_node.jobs import JobHandlers
from .vision_node.state import Handler


class VisionNodeServer(JobHandlers, BatchHandlers):
    """The server's state, and its routes."""

    def app(self) -> web.Application:
        """Return the application."""

        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._with_faults(request, handler)

        app = web.Application(middlewares=[faults], client_max_size=10 << 20)
        batch = "/batches/{name}"
        app.add_routes(self.access.routes())
        app.add_routes(
            [
                web.post("/submit", self.submit),
                web.get("/status/{job}", self.job_status),
                web.get("/result/{job}", self.job_result),
                web.post("/jobs/retry", self.retry_failed),
                web.post("/jobs/{job}/cancel", self.cancel_job),
                web.post("/jobs/{job}/retry", self.retry_job),
                web.post("/jobs/{name}/callback/redeliver", self.redeliver),
                web.post("/batches/{name}/callback/redeliver", self.redeliver),
                web.delete("/jobs/{job}", self.delete_job),
                web.get("/jobs", self.list_jobs),
                web.get("/jobs/export", self.export),
                web.get("/jobs/{job}", self.get_job),
                web.get("/describers", self.describers),
                web.get("/limits", self.limits),
                web.get("/events", self.events),
                web.get("/jobs/{job}/events", self.events),
                web.get(batch + "/events", self.events),
                web.post("/batches", self.create_batch),
                web.get("/batches", self.list_batches),
                web.get(batch, self.get_batch),
                web.delete(batch, self.delete_batch),
                web.put(batch + "/images/{custom_id:(?s:.+)}", self.put_image),
                web.get(batch + "/images", self.list_images),
                web.get(batch + "/results", self.results),
                web.post(batch + "/{action}", self.act),
            ]
        )
        return app

    async def describers(self, request: web.Request) -> web.Response:
        """Return one Describer."""
        found = {"name": "local", "provider": "local", "model": None, "ready": True}
        found |= {"reason": "Idle", "message": "No work", "default": True}
        return web.json_response({"describers": [found]})

    async def limits(self, request: web.Request) -> web.Response:
        """Return the limit on images."""
        return web.json_response({"imageBytes": self.max_image_bytes})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Send the blocks of the next stream; 204 if there is none."""
        self.last_event_ids.append(request.headers.get("Last-Event-ID"))
        if not self.streams:
            return web.Response(status=204)

        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for block in self.streams.pop(0):
            if block == "break":
                if request.transport is not None:
                    request.transport.close()
                raise ConnectionResetError("broken off")
            await response.write(f"{block}\n\n".encode())

        return response


class _Thread:
    """Serves an application in an event loop of its own."""

    def __init__(self, server: VisionNodeServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner = web.AppRunner(server.app(), shutdown_timeout=0.0)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._server.is_closing = True
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            await work

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    async def _start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._server.url = f"http://{host}:{port}"


@contextmanager
def serving_vision_node() -> Iterator[VisionNodeServer]:
    """Serve a fake vision-node on a loopback socket."""
    server = VisionNodeServer()
    with _Thread(server):
        yield server
