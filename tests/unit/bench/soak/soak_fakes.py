"""Fakes for tests of the soak test: an HTTP API, a cluster and its etcd."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from bench.measure.pictures_1080p import Picture
from bench.results import Machine
from bench.soak.client import Patience, SoakClient
from bench.soak.plan import SoakPlan
from bench.soak.results import COMPONENTS, EtcdSize, Reading, Soak, Tally
from bench.soak.run import Rig

QUEUED = (200, '{"status": "queued"}')
DONE = (200, '{"status": "done"}')
GOOD = (200, '{"_generated_by": "vision-node-gpt"}')
AT_ONCE = Patience(tries=3, first_seconds=0, max_seconds=0)

Reply = tuple[int, str]


@dataclass
class FakeApi:
    """An HTTP API whose jobs are done at once, unless `replies` say otherwise."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    """Next replies by the first segment of the path; the usual reply when none are left."""
    always: dict[str, Reply] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    forms: list[bytes] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or close the connection if the reply's status is 0."""
        kind = request.path.split("/")[1]
        self.requests[kind] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            body = await request.read()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1

        if kind == "submit":
            self.forms.append(body)

        usual = {
            "submit": (202, f'{{"job_id": "j{len(self.forms)}"}}'),
            "status": DONE,
            "result": GOOD,
            "jobs": (200, f'{{"jobs": {self.found(request.query.get("q", ""))}}}'),
        }
        waiting = self.replies.get(kind, [])
        status, text = waiting.pop(0) if waiting else self.always.get(kind, usual[kind])
        if status == 0 and request.transport:
            request.transport.abort()
        headers = {"Retry-After": "0"} if status in {429, 503} else {}
        return web.Response(status=status or 500, text=text, headers=headers)

    def found(self, word: str) -> str:
        """Return the ids of the jobs whose form contains a word, as JSON."""
        numbers = (it + 1 for it, form in enumerate(self.forms) if word.encode() in form)
        return json.dumps([{"job_id": f"j{number}"} for number in numbers])


async def until_true(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the fake API has no event for each condition)
            await asyncio.sleep(0)


@asynccontextmanager
async def serving_url(api: FakeApi) -> AsyncIterator[str]:
    """Serve the API on a socket, and yield its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@asynccontextmanager
async def serving(
    api: FakeApi, tally: Tally | None = None
) -> AsyncIterator[tuple[SoakClient, Tally]]:
    """Serve the API on a socket, and yield a client for it."""
    tally = tally or Tally()
    async with serving_url(api) as url, aiohttp.ClientSession(url) as session:
        yield SoakClient(session, Picture(b"JPEG"), tally, AT_ONCE), tally


MACHINE = Machine(
    processor="A processor",
    cores=4,
    system_cores=2,
    driver_apart=True,
    started="2026-01-01 00:00 UTC",
    quick=False,
    commit="abc1234",
    versions={"Kubernetes": "v1.37.0"},
)
PLAN = SoakPlan(images=40, imagejob_seconds=60, clients=4, sample_seconds=0, quick=True)


def new_soak(plan: SoakPlan = PLAN) -> Soak:
    """Return results without any sample."""
    return Soak(MACHINE, plan.images, plan.imagejob_seconds, plan.clients, plan.quick, workers=4)


def reading(
    imagejobs: int = 0, objects: int | None = 0, jobs: int = 4, memory: int = 100_000_000
) -> Reading:
    """Return a reading in which every component uses the same memory."""
    usage = dict.fromkeys(COMPONENTS, memory)
    etcd = EtcdSize(30_000_000, 20_000_000)
    counts = (imagejobs, jobs, jobs)
    return Reading(usage, usage, etcd, *counts, replaced=0, objects=objects, lag_seconds=1.5)


@dataclass
class FakeCluster:
    """A cluster and its etcd. Readings come from a list, and then the last one repeats."""

    readings: list[Reading | Exception] = field(default_factory=lambda: [reading()])
    archived: set[str] | None = None
    """Names of the jobs in the history; None means those that the API has acknowledged."""
    api: "FakeApi | None" = None
    reads: int = 0
    asked_for_objects: list[bool] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def read(self, *, count_objects: bool) -> Reading:
        """Return the next reading, or raise it."""
        await asyncio.sleep(0)
        self.asked_for_objects.append(count_objects)
        found = self.readings[min(self.reads, len(self.readings) - 1)]
        self.reads += 1
        if isinstance(found, Exception):
            raise found
        return found

    async def names(self) -> set[str]:
        """Return the names of the archived jobs."""
        if self.archived is not None or self.api is None:
            return self.archived or set()
        return {f"j{number + 1}" for number in range(len(self.api.forms))}

    async def size_bytes(self) -> int:
        """Return a size of the database."""
        return 120_000

    async def size(self) -> EtcdSize:
        """Return a size that tells which calls came before."""
        self.calls.append("size")
        return EtcdSize(30_000_000 - len(self.calls), 20_000_000)

    async def compact(self) -> None:
        """Record the call."""
        self.calls.append("compact")

    async def defragment(self) -> None:
        """Record the call."""
        self.calls.append("defragment")


@asynccontextmanager
async def rigged(
    cluster: FakeCluster, api: FakeApi, soak: Soak, said: list[str] | None = None
) -> AsyncIterator[Rig]:
    """Yield a rig with the fakes, whose clients count in the soak test's tally."""
    say = [].append if said is None else said.append
    cluster.api = api
    async with serving(api, soak.tally) as (client, _):
        yield Rig(cluster, cluster, cluster, client, say)
