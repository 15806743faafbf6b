"""Measure how clients with wrong API keys delay a client with a right one.

Run this module with `python -m bench.api.auth`. The API runs as in its container, in a process of
its own, with the keys of a fake API server. A second process sends wrong keys. A third one, which
also has the fake, polls the status of a job with a right key, and notes how long each answer takes.

All of them share the machine's cores. So one attack is also sent to another API, to show how much
of the delay is only due to that.
"""

import asyncio
import json
import os
import sys
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
from bench.api.right_key import Delay, Polls, poll
from bench.errors import BenchError
from bench.measure.processes import cpu_seconds
from bench.report.tables import table

PER_SECOND = 10_000
"""Number of wrong keys to send a second."""

SECONDS = 15
"""How long they are sent, in seconds."""

WARM_UP_SECONDS = 2.0
"""How long they have been sent when the measurement begins. By then, the budget of one address is
used up."""

PAUSE_SECONDS = 10.0
"""Pause after an attack, in seconds, so that the next one finds the budget of all addresses, and no
answers that are still delayed."""

MAX_RATIO = 2.0
"""How many times as long the answers to a right key may take."""


@dataclass(frozen=True, slots=True)
class Attack:
    """Clients with wrong keys."""

    name: str
    connections: int
    addresses: int
    is_elsewhere: bool = False
    """Whether it is sent to another API, so that it only takes CPU time."""


ATTACKS = (
    Attack("one address, 100 connections", 100, 1),
    Attack("250 addresses, 500 connections", 500, 250),
    Attack("one address, 1,500 connections", 1500, 1),
    Attack("the same, sent to another API", 1500, 1, is_elsewhere=True),
)


@dataclass(frozen=True, slots=True)
class AuthRow:
    """What a client with a right key notices."""

    name: str
    sent: float
    """Number of wrong keys that the others could send a second."""
    cores: float
    """CPU time of the API that the client uses, in seconds per second."""
    polls: Polls
    is_elsewhere: bool = False

    def ratios(self, base: Polls) -> list[float]:
        """Return how many times as long answers take: medians and 95th percentiles."""
        pairs = [(self.polls.kept, base.kept), (self.polls.new, base.new)]
        return [ratio for mine, its in pairs for ratio in _ratios(mine, its)]

    def is_reached(self, base: Polls) -> bool:
        """Return whether no answers take too many times as long."""
        return max(self.ratios(base)) <= MAX_RATIO


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
    head = f"GET /status/{cluster.job_id} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}"
    request = f"{head}\r\n\r\n".encode()

    async with (
        serving_s3() as (_, bucket),
        serving(cluster) as kube_url,
        api_process(bucket, kube_url, variables) as (pid, url),
        api_process(bucket, kube_url, variables) as (_, other_url),
    ):
        port, other_port = (urlsplit(it).port or 0 for it in (url, other_url))

        async def polls() -> tuple[float, Polls]:
            before = cpu_seconds(pid)
            duration = seconds - WARM_UP_SECONDS - 0.5
            found = await poll(port, request, duration)
            return (cpu_seconds(pid) - before) / duration, found

        await poll(port, request, WARM_UP_SECONDS)
        rows = [AuthRow("nowhere", 0.0, *await polls())]

        for attack in attacks:
            target = other_port if attack.is_elsewhere else port
            async with _attacking(target, attack, per_second, seconds) as sending:
                await asyncio.sleep(WARM_UP_SECONDS)
                cores, found = await polls()
                sent = await sending / seconds
            rows.append(AuthRow(attack.name, sent, cores, found, attack.is_elsewhere))
            await asyncio.sleep(min(PAUSE_SECONDS, seconds))

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


def report() -> str:
    """Measure, and return a table of the results.

    Raises:
        BenchError: An attack delays a right key too much. The error has the table.
    """
    rows = asyncio.run(measure())
    base, *attacked = rows
    missed = [row.name for row in attacked if not (row.is_elsewhere or row.is_reached(base.polls))]
    if missed:
        raise BenchError(f"{as_table(rows)}\n\nauth: too slow with: {'; '.join(missed)}.")

    return as_table(rows)


def as_table(rows: list[AuthRow]) -> str:
    """Return the table: each row, and how many times as long answers take as in the first one."""
    base = rows[0].polls
    head = ["wrong keys from", "sent/s", "API's cores", "polls", "median", "95th"]
    head += ["new connection: median", "95th", f"≤ {MAX_RATIO:g} ×"]
    return table(head, (_line(row, base) for row in rows))


def _line(row: AuthRow, base: Polls) -> list[str]:
    kept, new = row.polls.kept, row.polls.new
    values = (kept.median, kept.p95, new.median, new.p95)
    pairs = zip(values, row.ratios(base), strict=True)
    delays = [f"{value:.2f} ms ({ratio:.2f} ×)" for value, ratio in pairs]

    is_judged = row.polls is not base and not row.is_elsewhere
    mark = ("✓" if row.is_reached(base) else "✗") if is_judged else "–"
    return [row.name, f"{row.sent:,.0f}", f"{row.cores:.2f}", f"{row.polls.count}", *delays, mark]


def _ratios(mine: Delay, its: Delay) -> list[float]:
    return [mine.median / its.median, mine.p95 / its.p95]


if __name__ == "__main__":
    print(report())
