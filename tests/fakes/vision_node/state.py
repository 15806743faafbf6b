"""The state of the fake vision-node server, and the faults that tests have chosen."""

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

from .access import FakeAccess
from .responses import Json, refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

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


class ServerState:
    """What the server knows, and how tests change it."""

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
        self.redelivered: list[str] = []
        """Paths of all requests to send a message again."""
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

    def _description(self) -> Json:
        text = f"Image Description:\n{self.caption}"
        return {"description": text, "caption": self.caption, "alt": "Cat", "tags": ["cat", "pet"]}

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
