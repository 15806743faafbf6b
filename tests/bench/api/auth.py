"""Measure how clients with wrong API keys delay a client with a right one.

Run this module with `python -m bench.api.auth`. The API runs as in its container, in a process of
its own, with the keys of a fake API server. A second process sends wrong keys. A third one, which
also has the fake, polls the status of a job with a right key, and notes how long each answer takes.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiohttp import web
from fakes.keys_api import SECRET, KeysApi
from fakes.kube_api import KubeApi
from fakes.kube_server import serving
from fakes.s3 import serving_s3
from vision_node_contract.api_keys import ENTRY_PREFIX, ApiKey, hash_key, new_key

from bench.api.imagejobs import DONE, numbered, template
from bench.api.memory import TESTS, api_process
from bench.report.tables import table
from bench.stats import percentile

PER_SECOND = 10_000
"""Number of wrong keys to send a second."""

SECONDS = 10
"""How long they are sent, in seconds."""

WARM_UP_SECONDS = 1.5
"""How long they have been sent when the measurement begins. By then, the budget of one address is
used up."""

POLL_SECONDS = 0.01
"""Pause between two polls of the client with a right key."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Clients with wrong keys."""

    name: str
    connections: int
    addresses: int


ATTACKS = (
    Attack("one address", 100, 1),
    Attack("one address, more connections than are delayed", 1500, 1),
    Attack("250 addresses", 500, 250),
)


@dataclass(frozen=True, slots=True)
class AuthRow:
    """What a client with a right key notices."""

    name: str
    wanted: int
    """Number of wrong keys that the others wanted to send a second."""
    sent: float
    """Number of those that they could send a second."""
    polls: int
    median_ms: float
    p95_ms: float


class _Cluster:
    """One ImageJob, and the Secret of the API keys."""

    def __init__(self) -> None:
        text = template(DONE)
        self.jobs = KubeApi(1, lambda number: numbered(text, number))
        self.job_id: str = json.loads(numbered(text, 0))["metadata"]["name"]
        self.keys = KeysApi()

    def add_routes(self, app: web.Application) -> None:
        self.jobs.add_routes(app)
        self.keys.add_routes(app)

    def end_watches(self) -> None:
        self.jobs.end_watches()
        self.keys.end_watches()

    def add_key(self) -> str:
        """Store an administrator's key, and return its text."""
        key_id, text = new_key()
        created = datetime.now(UTC)
        key = ApiKey(
            name="a", owner="a", scopes=["admin"], sha256=hash_key(text), created_at=created
        )
        self.keys.put(f"{ENTRY_PREFIX}{key_id}", key.model_dump_json(by_alias=True))
        return text


async def measure(
    attacks: tuple[Attack, ...] = ATTACKS, per_second: int = PER_SECOND, seconds: int = SECONDS
) -> list[AuthRow]:
    """Start the API, and measure it without and with each attack. The first row is without one."""
    cluster = _Cluster()
    key = cluster.add_key()
    # The client with the right key sends more requests than an owner may by default.
    limits = json.dumps({"default": {"requestsPerSecond": 0}})
    variables = {"AUTH_ENABLED": "true", "KEYS_SECRET": SECRET, "OWNER_LIMITS": limits}

    async with (
        serving_s3() as (_, bucket),
        serving(cluster) as kube_url,
        api_process(bucket, kube_url, variables) as (_, url),
    ):
        port = urlsplit(url).port
        assert port
        poll = f"GET /status/{cluster.job_id} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}"
        request = f"{poll}\r\n\r\n".encode()

        await _delays(port, request, WARM_UP_SECONDS)
        delays = await _delays(port, request, seconds - WARM_UP_SECONDS)
        rows = [_row("no wrong keys", 0, 0.0, delays)]

        for attack in attacks:
            async with _attacking(port, attack, per_second, seconds) as sending:
                await asyncio.sleep(WARM_UP_SECONDS)
                delays = await _delays(port, request, seconds - WARM_UP_SECONDS - 0.5)
                sent = await sending
            rows.append(_row(attack.name, per_second, sent / seconds, delays))
            # The next attack begins with the budget of a new address.
            await asyncio.sleep(min(5.0, seconds))

    return rows


@asynccontextmanager
async def _attacking(
    port: int, attack: Attack, per_second: int, seconds: int
) -> AsyncIterator["asyncio.Task[int]"]:
    """Send wrong keys; yield the task that returns how many were sent."""
    numbers = map(str, (port, per_second, attack.connections, attack.addresses, seconds))
    command = [sys.executable, "-m", "bench.api.wrong_keys", *numbers]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE
    )

    async def sent() -> int:
        output, _ = await process.communicate()
        return int(json.loads(output)["requests"])

    try:
        async with asyncio.timeout(seconds + 30):
            yield asyncio.create_task(sent())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _delays(port: int, request: bytes, seconds: float) -> list[float]:
    """Poll with a right key, and return how long each answer took, in seconds."""
    delays = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        ended = time.monotonic() + seconds
        while time.monotonic() < ended:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the right key was refused: {head.decode()}")

            length = next(it for it in head.lower().split(b"\r\n") if it.startswith(b"content-l"))
            await reader.readexactly(int(length.split(b":")[1]))
            delays.append(time.perf_counter() - started)
            await asyncio.sleep(POLL_SECONDS)
    finally:
        writer.close()

    return delays


def _row(name: str, wanted: int, sent: float, delays: list[float]) -> AuthRow:
    median, p95 = (percentile(delays, share) * 1000 for share in (0.5, 0.95))
    return AuthRow(name, wanted, sent, len(delays), median, p95)


def report() -> str:
    """Measure, and return a table of the results."""
    return as_table(asyncio.run(measure()))


def as_table(rows: list[AuthRow]) -> str:
    """Return the table: each row, and how many times as long answers take as in the first one."""
    base = rows[0]
    head = ["wrong keys", "wanted/s", "sent/s", "polls", "median", "95th", "ratio", "of 95th"]
    lines = []
    for row in rows:
        ratios = [row.median_ms / base.median_ms, row.p95_ms / base.p95_ms]
        counts = [f"{row.wanted:,}", f"{row.sent:,.0f}", f"{row.polls:,}"]
        delays = [f"{it:.2f} ms" for it in (row.median_ms, row.p95_ms)]
        lines.append([row.name, *counts, *delays, *(f"{it:.2f}" for it in ratios)])

    return table(head, lines)


if __name__ == "__main__":
    print(report())
