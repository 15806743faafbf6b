"""Measure the API with many followers: the memory of its process, and the delay of an event.

Run this module with `python -m bench.api.events`. The API runs as in its container, in a process of
its own, and watches a fake API server. Clients follow GET /events while jobs change. The clients,
the fake and the measurement share the other process, so delays are those of a busy machine.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web
from fakes.batch_api import BatchApi
from fakes.kube_api import KubeApi
from fakes.kube_server import serving
from fakes.s3 import serving_s3

from bench.api.imagejobs import DONE, PROCESSING, UNFINISHED, numbered, template
from bench.api.memory import api_process, memory_mib
from bench.report.tables import table

FOLLOWERS = 1000

TIMED = 50
"""Number of followers whose events are read one by one. The others only receive bytes, so that the
measurement itself takes less CPU time than the API."""

READ_BYTES = 1 << 16

CHANGES = 600
CHANGES_PER_SECOND = 20.0
"""Rate of changes: those of about seven images per second."""

LIMIT_SECONDS = 120.0
"""Time limit for connecting, and for the events."""

FIRST_VERSION = 1_000_001
PHASES = (UNFINISHED, PROCESSING, DONE)


@dataclass(frozen=True, slots=True)
class EventsRow:
    """What a number of followers cost."""

    followers: int
    idle: float
    """Resident memory of the API's process in MiB, without followers."""
    connected: float
    peak: float
    """Peak of the memory while jobs changed."""
    events: int
    """Number of events that the timed followers received."""
    median_ms: float
    """Delay of an event, from the watch to the follower's socket."""
    p99_ms: float


class _Watched(KubeApi):
    """ImageJobs that change, and no ImageBatches."""

    def __init__(self) -> None:
        super().__init__(0, str)
        self._batches = BatchApi()
        self._watches: list[web.StreamResponse] = []
        self.sent_at: dict[int, float] = {}
        """Monotonic time of each change, by its resourceVersion."""
        self._texts = [template(phase) for phase in PHASES]

    def add_routes(self, app: web.Application) -> None:
        self._batches.add_routes(app)
        super().add_routes(app)

    def end_watches(self) -> None:
        self._batches.end_watches()
        super().end_watches()

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if request.path.endswith("/imagejobs"):
            self._watches.append(response)
        await self._ended.wait()
        return response

    async def change(self, number: int) -> None:
        """Send a change of a job to the API: each job becomes queued, processing and done."""
        body = json.loads(numbered(self._texts[number % 3], number // 3))
        version = FIRST_VERSION + number
        body["metadata"]["resourceVersion"] = str(version)
        line = json.dumps({"type": "MODIFIED", "object": body}).encode() + b"\n"
        self.sent_at[version] = time.monotonic()
        for watch in self._watches:
            await watch.write(line)


@dataclass
class _Clients:
    """Followers, and when each event arrived."""

    url: str
    last_version: int
    expected: int
    delays: list[float] = field(default_factory=list)
    connected: int = 0
    all_connected: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, api: _Watched) -> None:
        """Follow until the last change has arrived, and note the delays."""
        async with self._connected() as reader:
            async for version in _versions(reader):
                self.delays.append(time.monotonic() - api.sent_at[version])
                if version == self.last_version:
                    return

    async def receive(self) -> None:
        """Follow without looking at the events."""
        async with self._connected() as reader:
            while await reader.read(READ_BYTES):
                pass

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncio.StreamReader]:
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(f"GET /events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(f"the API refused a follower: {head.decode()}")

            self.connected += 1
            if self.connected == self.expected:
                self.all_connected.set()
            yield reader
        finally:
            writer.close()


async def _versions(reader: asyncio.StreamReader) -> AsyncIterator[int]:
    """Yield the resourceVersion of each event about a job."""
    version = 0
    while line := await reader.readline():
        if line.startswith(b"id: "):
            version = int(line[4:].split(b"-")[0])
        elif line.startswith(b"event: job"):
            yield version


async def measure(
    followers: int = FOLLOWERS, changes: int = CHANGES, per_second: float = CHANGES_PER_SECOND
) -> EventsRow:
    """Start the API, follow it with many clients while jobs change, and return what that takes."""
    api = _Watched()
    async with AsyncExitStack() as stack:
        _, bucket = await stack.enter_async_context(serving_s3())
        kube_url = await stack.enter_async_context(serving(api))
        pid, url = await stack.enter_async_context(api_process(bucket, kube_url))
        idle = memory_mib(pid, "VmRSS")

        clients = _Clients(url, FIRST_VERSION + changes - 1, followers)
        async with asyncio.timeout(2 * LIMIT_SECONDS + changes / per_second):
            async with asyncio.TaskGroup() as group:
                timed = min(TIMED, followers)
                following = [group.create_task(clients.follow(api)) for _ in range(timed)]
                receiving = [group.create_task(clients.receive()) for _ in range(followers - timed)]
                await clients.all_connected.wait()
                connected = memory_mib(pid, "VmRSS")

                for number in range(changes):
                    await api.change(number)
                    await asyncio.sleep(1 / per_second)

                await asyncio.gather(*following)
                for task in receiving:
                    task.cancel()

        delays = sorted(clients.delays)
        peak = memory_mib(pid, "VmHWM")
        median, p99 = (delays[int(len(delays) * part)] * 1000 for part in (0.5, 0.99))
        return EventsRow(followers, idle, connected, peak, len(delays), median, p99)


def report() -> str:
    """Measure, and return a table of the results."""
    row = asyncio.run(measure())
    head = ["followers", "MiB before", "connected", "peak", "timed events", "delay, median", "99th"]
    memory = [f"{it:.0f}" for it in (row.idle, row.connected, row.peak)]
    delays = [f"{it:.0f} ms" for it in (row.median_ms, row.p99_ms)]
    return table(head, [[f"{row.followers:,}", *memory, f"{row.events:,}", *delays]])


if __name__ == "__main__":
    print(report())
