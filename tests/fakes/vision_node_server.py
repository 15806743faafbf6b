"""A fake vision-node server: jobs, batches that are uploaded image by image, and their results.

It runs in a thread of its own, on a real socket, so that programs can be killed while they use it.
Tests can withhold a response after its request has been handled, refuse requests, and limit which
results exist.
"""

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from fakes.vision_node_access import FakeAccess

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGE = 3
"""Number of entries in a page, which is small, so that tests read several pages."""

POLL_SECONDS = 0.01
"""Seconds between two looks at what a test has changed."""

IMAGE_STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8")
"""Beginnings of files that the server accepts as images."""


@dataclass
class Batch:
    """A batch, and what was done to it."""

    name: str
    key: str | None
    spec: Json
    images: dict[str, bytes] = field(default_factory=dict)
    started: bool = False
    starts: int = 0
    parts: list[list[Json]] = field(default_factory=list)
    status: str = "queued"
    suspended: bool = False
    error: Json | None = None

    @property
    def lines(self) -> list[Json]:
        """The lines of all parts."""
        return [line for part in self.parts for line in part]


@dataclass
class Fault:
    """What happens to requests instead of, or after, their handling."""

    pattern: re.Pattern[str]
    response: Callable[[], web.Response] | None
    """Makes the response in place of the handler's; None: handle it, and withhold the response."""
    skipped: int
    """Number of matching requests that are answered normally before."""
    count: int
    """Number of requests that the fault affects."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when the first request has been affected."""


class VisionNodeServer:
    """The server's state, and the faults that tests have chosen."""

    def __init__(self) -> None:
        self.url = ""
        self.is_closing = False
        """Whether responses that are withheld are sent, because the server ends."""
        self.batches: dict[str, Batch] = {}
        self.jobs: dict[str, bytes] = {}
        self.options: dict[str, dict[str, str]] = {}
        """Query of each submission by its job."""
        self.job_keys: dict[str, str] = {}
        self.cancelled: set[str] = set()
        """Jobs that were cancelled."""
        self.retries: list[Json] = []
        """Bodies of all requests to retry jobs, with the Idempotency-Key as `key`."""
        self.file_names: list[str] = []
        """Content-Disposition of each submission."""
        self.puts: Counter[str] = Counter()
        """How often each image of a batch has been received completely."""
        self.requests: list[str] = []
        """Method and path of each request, with the query."""
        self.faults: list[Fault] = []
        self.access = FakeAccess()
        self.failing: set[str] = set()
        """customIds of images that can't be described, and bytes of such jobs as text."""
        self.part_size = 2
        """Number of images in a part."""
        self.part_limit: int | None = None
        """Maximum number of parts that exist so far; None: all."""
        self.break_after_lines: int | None = None
        """Number of lines after which the next stream of results breaks off."""
        self.streams: list[list[str]] = []
        """Blocks of the next streams of events, one list for each stream. The last block of a list
        may be `break`, which loses the connection."""
        self.last_event_ids: list[str | None] = []
        """Last-Event-ID of each request for events."""
        self.max_image_bytes = 1000
        self.caption = "A cat."
        self.prefers: list[str] = []
        """The header Prefer of each request for a job that has one."""
        self.waits = False
        """Whether the server honors `Prefer: wait`. Servers of older releases don't."""
        self.unfinished = False
        """Whether all jobs and batches are still being described."""

    def fail(
        self,
        pattern: str,
        status: int,
        *,
        reason: str | None = "Broken",
        count: int = 1,
        skipped: int = 0,
        **headers: str,
    ) -> Fault:
        """Refuse requests whose method and path match, with a problem document unless no reason."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._add(pattern, lambda: refusal(status, reason, **named), skipped, count)

    def hold(self, pattern: str, *, skipped: int = 0) -> Fault:
        """Handle a request whose method and path match, but withhold the response forever."""
        return self._add(pattern, None, skipped, 1)

    def _add(
        self, pattern: str, response: Callable[[], web.Response] | None, skipped: int, count: int
    ) -> Fault:
        fault = Fault(re.compile(pattern), response, skipped, count)
        self.faults.append(fault)
        return fault

    def count(self, pattern: str) -> int:
        """Return how many requests match."""
        return sum(bool(re.search(pattern, it)) for it in self.requests)

    @property
    def only_batch(self) -> Batch:
        """The only batch."""
        (batch,) = self.batches.values()
        return batch

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

    async def _with_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        fault = self._fault_for(f"{request.method} {request.path}")
        if fault is not None and fault.response is not None:
            await request.read()
            fault.reached.set()
            self.access.refusal(request)
            return fault.response()

        response = self.access.refusal(request) or await handler(request)
        if fault is not None:
            fault.reached.set()
            # The event loop, to which an asyncio.Event would belong, does not exist yet.
            while not self.is_closing:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)

        return response

    def _fault_for(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.count > 0 and fault.pattern.search(line):
                if fault.skipped == 0:
                    fault.count -= 1
                    return fault
                fault.skipped -= 1

        return None

    async def submit(self, request: web.Request) -> web.Response:
        """Accept an image, once for each key."""
        data, key = await image_of(request), request.headers.get("Idempotency-Key")
        if not data.startswith(IMAGE_STARTS):
            return refusal(415, "UnsupportedFormat")

        job = f"job-{len(self.jobs)}"
        if key is not None:
            job = self.job_keys.setdefault(key, job)
        self.jobs[job] = data
        self.options[job] = dict(request.query)
        self.file_names.append(request.headers.get("Content-Disposition", ""))
        is_done = await self._wait(request) and not self.unfinished
        first = next(it for it in self.jobs if self.jobs[it] == data)
        reused = {"reused": first != job} if request.query.get("reuse") == "true" else {}
        if reused and first != job:
            job, is_done = first, True
        if is_done and "Prefer" in request.headers:
            state = self._job_state(job)
            outcome = state if state["error"] else {**state, **self._description()}
            return web.json_response({**outcome, **reused})

        phase, status = ("done", 200) if is_done and reused else ("queued", 202)
        return web.json_response({"job_id": job, "status": phase, **reused}, status=status)

    async def _wait(self, request: web.Request) -> bool:
        """Wait if the client prefers it, and return whether the server honors that."""
        prefer = request.headers.get("Prefer")
        if prefer is None:
            return False

        self.prefers.append(prefer)
        end = time.monotonic() + int(prefer.removeprefix("wait="))
        while self._is_waiting(end):  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(POLL_SECONDS)

        return self.waits

    def _is_waiting(self, end: float) -> bool:
        is_open = self.waits and self.unfinished and not self.is_closing
        return is_open and time.monotonic() < end

    async def job_status(self, request: web.Request) -> web.Response:
        """Return the status of a job."""
        job = request.match_info["job"]
        if job not in self.jobs:
            return refusal(404, "JobNotFound")

        await self._wait(request)
        return web.json_response(self._job_state(job))

    def _job_state(self, job: str) -> Json:
        if self.unfinished:
            return {"job_id": job, "status": "processing", "describer": "local", "error": None}

        failed = self.jobs[job].decode("latin-1") in self.failing
        error = {"reason": "ImageUnreadable", "message": "it is damaged"} if failed else None
        status = "failed" if failed else "done"
        return {"job_id": job, "status": status, "describer": "local", "error": error}

    async def cancel_job(self, request: web.Request) -> web.Response:
        """Cancel a job, unless it is done."""
        job = request.match_info["job"]
        if job not in self.jobs:
            return refusal(404, "JobNotFound")
        if self.jobs[job].decode("latin-1") in self.failing:
            return refusal(409, "JobFinished")

        self.cancelled.add(job)
        return web.json_response({"job_id": job, "status": "processing", "describer": "local"})

    async def retry_job(self, request: web.Request) -> web.Response:
        """Create a job with the image of another, once for each key."""
        job, key = request.match_info["job"], request.headers["Idempotency-Key"]
        self.retries.append({**(await request.json()), "key": key})
        if job not in self.jobs:
            return refusal(404, "JobNotFound")

        new = self.job_keys.setdefault(key, f"job-{len(self.jobs)}")
        self.jobs[new] = self.jobs[job]
        return web.json_response({"job_id": new, "status": "queued"}, status=202)

    async def retry_failed(self, request: web.Request) -> web.Response:
        """Say that two of four failed jobs were retried, on two pages."""
        body = await request.json()
        self.retries.append({**body, "key": request.headers.get("Idempotency-Key")})
        if "cursor" in body:
            retried = [{"job_id": "job-8", "retry_of": "job-3"}]
            return web.json_response({"retried": retried, "failed": [], "next": None})

        retried = [{"job_id": "job-9", "retry_of": "job-4"}]
        failed = [{"job_id": "job-5", "reason": "ImageGone", "detail": "The image was deleted."}]
        return web.json_response({"retried": retried, "failed": failed, "next": "more"})

    async def delete_job(self, request: web.Request) -> web.Response:
        """Delete a job."""
        if self.jobs.pop(request.match_info["job"], None) is None:
            return refusal(404, "JobNotFound")
        return web.Response(status=204)

    async def job_result(self, request: web.Request) -> web.Response:
        """Return a description."""
        found = {"job_id": request.match_info["job"], "describer": "local"}
        return web.json_response({**found, **self._description()})

    async def list_jobs(self, request: web.Request) -> web.Response:
        """Return a page of jobs. Those with other phases leave gaps, so pages may be empty."""
        response = page(request, "jobs", [self._details(it) for it in self.jobs])
        found = json.loads(response.text or "")
        found["jobs"] = [it for it in found["jobs"] if _is_wanted(request, it)]
        return web.json_response(found)

    async def get_job(self, request: web.Request) -> web.Response:
        """Return everything about a job."""
        job = request.match_info["job"]
        if job not in self.jobs:
            return refusal(404, "JobNotFound")
        return web.json_response(self._details(job))

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Stream everything about jobs. The cursor is the number of jobs before."""
        if "nonsense" in request.query.get("cursor", ""):
            return refusal(400, "InvalidCursor")

        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        await response.write(b"\n")
        left = int(request.query.get("limit", len(self.jobs)))
        for number, job in enumerate(self.jobs, 1):
            details = self._details(job)
            is_new = number > int(request.query.get("cursor", 0))
            if left and is_new and _is_wanted(request, details):
                left -= 1
                await self._write(request, response, {**details, "cursor": str(number)})

        return response

    def _details(self, job: str) -> Json:
        failed = self.jobs[job].decode("latin-1") in self.failing
        error = {"reason": "ImageUnreadable", "message": "it is damaged"} if failed else None
        return {
            "job_id": job,
            "status": "failed" if failed else "done",
            "describer": "local",
            "created_at": "2026-01-08T09:30:00Z",
            "completed_at": "2026-01-08T09:30:01Z",
            "caption": None if failed else self.caption,
            "error": error,
            "image": {"file_name": "=cat.jpg"},
            "result": None if failed else self._description(),
            "result_error": None,
        }

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

    async def create_batch(self, request: web.Request) -> web.Response:
        """Create a batch, once for each key."""
        spec = await request.json()
        batch = self._new_batch(request.headers["Idempotency-Key"], spec)
        if "upload" not in spec:
            batch.images = {"in-bucket.jpg": b""}
            self._start(batch)

        return created(batch)

    def _new_batch(self, key: str, spec: Json) -> Batch:
        for batch in self.batches.values():
            if batch.key == key:
                return batch

        name = spec.get("name") or f"batch-{len(self.batches)}"
        return self.batches.setdefault(name, Batch(name, key, spec))

    async def list_batches(self, request: web.Request) -> web.Response:
        """Return a page of batches."""
        shown = ("name", "status", "describer", "images", "created_at")
        states = [self._state(it) for it in self.batches.values()]
        entries = [{name: state[name] for name in shown} for state in states]
        return page(request, "batches", entries)

    async def get_batch(self, request: web.Request) -> web.Response:
        """Return the state of a batch."""
        batch = self._find(request)
        await self._wait(request)
        return web.json_response(self._state(batch))

    async def delete_batch(self, request: web.Request) -> web.Response:
        """Delete a batch."""
        del self.batches[self._find(request).name]
        return web.Response(status=204)

    async def put_image(self, request: web.Request) -> web.Response:
        """Store an image of a batch that is not started."""
        batch, custom_id = self._find(request), request.match_info["custom_id"]
        data = await request.read()
        if "\n" in custom_id:
            return refusal(422, "NameInvalid")
        if batch.started:
            return refusal(409, "UploadComplete")

        self.puts[custom_id] += 1
        if not data.startswith(IMAGE_STARTS):
            return refusal(415, "UnsupportedFormat")
        batch.images[custom_id] = data
        return web.Response(status=204)

    async def list_images(self, request: web.Request) -> web.Response:
        """Return the images of a batch, as JSON Lines."""
        images = self._find(request).images
        found = [json.dumps({"customId": it, "size": len(images[it])}) for it in sorted(images)]
        return web.Response(text="".join(f"{it}\n" for it in found))

    async def act(self, request: web.Request) -> web.Response:
        """Start, cancel, suspend, resume or retry a batch."""
        batch, action = self._find(request), request.match_info["action"]
        match action:
            case "start":
                batch.starts += 1
                self._start(batch)
            case "cancel":
                batch.status, batch.error = "failed", {"reason": "Cancelled", "message": "by you"}
            case "suspend" | "resume":
                batch.suspended = action == "suspend"
            case "retry":
                return self._retry(batch, request.headers["Idempotency-Key"])

        return web.json_response(self._state(batch), status=202)

    def _start(self, batch: Batch) -> None:
        if batch.started:
            return

        batch.started, batch.status = True, "processing"
        # Images are described in another order than they were sent in.
        lines = [self._line(i, name) for i, name in enumerate(sorted(batch.images))][::-1]
        size = self.part_size
        batch.parts = [lines[i : i + size] for i in range(0, len(lines), size)]

    def _retry(self, batch: Batch, key: str) -> web.Response:
        retried = self._new_batch(key, batch.spec | {"name": f"{batch.name}-retry-{key[:8]}"})
        retried.images = {
            line["customId"]: batch.images[line["customId"]]
            for line in batch.lines
            if "error" in line and line["customId"] in batch.images
        }
        self._start(retried)
        return created(retried)

    def _line(self, index: int, custom_id: str) -> Json:
        line = {"index": index, "customId": custom_id, "key": f"batches/x/{custom_id}"}
        if custom_id in self.failing:
            return {**line, "error": {"reason": "ImageUnreadable", "message": "it is damaged"}}
        return {**line, "result": self._description()}

    def _description(self) -> Json:
        text = f"Image Description:\n{self.caption}"
        return {"description": text, "caption": self.caption, "alt": "Cat", "tags": ["cat", "pet"]}

    async def results(self, request: web.Request) -> web.StreamResponse:
        """Stream results with marks, and follow the batch if the client wants it."""
        batch = self._find(request)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)

        sent = int(request.query.get("after", 0))
        while sent < len(batch.parts):
            if self.part_limit is not None and sent >= self.part_limit:
                if self.is_closing or request.query.get("follow") != "true":
                    return response
                await response.write(b"\n")
                await asyncio.sleep(POLL_SECONDS)
                continue

            for line in batch.parts[sent]:
                if request.query.get("phase", _phase(line)) == _phase(line):
                    await self._write(request, response, line)
            sent += 1
            await response.write(json.dumps({"after": sent}).encode() + b"\n")

        if batch.status == "processing":
            batch.status = "done"
        return response

    async def _write(self, request: web.Request, response: web.StreamResponse, line: Json) -> None:
        if self.break_after_lines == 0:
            self.break_after_lines = None
            error = {"reason": "StorageUnavailable", "message": "the bucket is away"}
            await response.write(json.dumps({"error": error, "after": 0}).encode() + b"\n")
            if request.transport is not None:
                request.transport.close()
            raise ConnectionResetError("broken off")

        if self.break_after_lines is not None:
            self.break_after_lines -= 1
        # The text contains a line separator of Unicode, as JSON may.
        await response.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def _find(self, request: web.Request) -> Batch:
        try:
            return self.batches[request.match_info["name"]]
        except KeyError:
            response = refusal(404, "BatchNotFound")
            raise web.HTTPNotFound(
                text=response.text, content_type="application/problem+json"
            ) from None

    def _state(self, batch: Batch) -> Json:
        ended = batch.lines if batch.status in {"done", "failed"} else []
        failed = sum("error" in line for line in ended)
        return {
            "name": batch.name,
            "uid": f"uid-{batch.name}",
            "status": batch.status,
            "images": {
                "total": len(batch.images),
                "done": len(ended) - failed,
                "failed": failed,
            },
            "describer": batch.spec.get("describer", "local"),
            "created_at": "2026-01-08T09:30:00Z",
            "rate": 41.5,
            "remaining_seconds": 2.0,
            "suspended": batch.suspended,
            "waiting": None,
            "error": batch.error,
            "results": {"parts": len(batch.parts) if ended else 0, "size_bytes": 1},
        }


def _is_wanted(request: web.Request, job: Json) -> bool:
    return job["status"] in request.query.getall("phase", [job["status"]])


def _phase(line: Json) -> str:
    return "failed" if "error" in line else "done"


async def image_of(request: web.Request) -> bytes:
    """Return the image of a submission, which is the whole body or the form field `file`."""
    if not request.content_type.startswith("multipart/"):
        return await request.read()

    field = (await request.post())["file"]
    if not isinstance(field, web.FileField):
        raise web.HTTPBadRequest
    return field.file.read()


def created(batch: Batch) -> web.Response:
    """Return the response to the request that created a batch."""
    body = {"name": batch.name, "uid": f"uid-{batch.name}", "status": batch.status, "images": 0}
    body |= {"skipped": 0, "refused": {"count": 0, "files": []}, "links": {}}
    return web.json_response(body, status=202, headers={"Location": f"/batches/{batch.name}"})


def refusal(status: int, reason: str | None, **headers: str) -> web.Response:
    """Return a problem document, or the page of a proxy if there is no reason."""
    if reason is None:
        return web.Response(status=status, text="<html>no</html>", headers=headers)

    document = {"status": status, "reason": reason, "detail": f"{reason} is the reason"}
    return web.json_response(
        document, status=status, headers=headers, content_type="application/problem+json"
    )


def page(request: web.Request, name: str, entries: list[Json]) -> web.Response:
    """Return a page of entries, beginning at the cursor of the request."""
    start = int(request.query.get("cursor", 0))
    end = start + PAGE
    following = str(end) if end < len(entries) else None
    return web.json_response({name: entries[start:end], "next": following})


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
