"""`make bench-backlog`: measure how 10,000 ImageJobs affect throughput, memory and lists."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

from bench import load, results
from bench.arena import REPOSITORY, WARM, Values
from bench.load import Work
from bench.measure import machine, metrics, release_state
from bench.measure.meter import Meter
from bench.measure.pictures_1080p import thumbnail
from bench.measure.stage import WARM_WORKERS, Stage, staged
from bench.plan import NOTHING, BacklogPlan
from bench.results import Backlog, Drain
from bench.systems import IMAGEJOBS

RESULTS = REPOSITORY / "build" / "bench" / "backlog.json"

ALL_IN_ETCD: Values = {"limits.finishedImageJobs": 100_000, "retention.imageJobSeconds": 3600}
"""Values with which no finished ImageJob is evicted during the measurement."""

CONNECTIONS = 16
LOOK_SECONDS = 1.0
MEMORY_SECONDS = 5.0
"""Seconds between two readings of the operator's memory. A reading takes 0.1 s of CPU time."""

PAGE = 500
POINTS = 200
"""Approximate number of points in a saved curve."""


async def measure(plan: BacklogPlan) -> None:
    """Measure several small backlogs and a large one, and save the results to RESULTS.

    Each backlog is submitted while the operator is stopped.
    """
    async with staged() as stage:
        about = await machine.describe(stage.arena, stage.kube, quick=plan.repeats == 1)

        stage.arena.configure(WARM, ALL_IN_ETCD)
        await release_state.workers_serve(stage.kube, WARM_WORKERS)

        meter = Meter(stage.arena, stage.kube)
        await meter.wait_until_idle()
        memory = {"0": await meter.memory()}

        small = []
        for number in range(1, plan.repeats + 1):
            small.append(await _drain(stage, meter, plan.small))
            memory[str(number * plan.small)] = await meter.memory()

        await release_state.delete_imagejobs(stage.kube)
        await meter.wait_until_idle()

        async with _peak(meter) as peak:
            large = await _drain(stage, meter, plan.large)
        memory[str(plan.large)] = await meter.memory()

        pages = await _list_pages(stage, plan.list_pages)
        found = Backlog(
            machine=about,
            small=small,
            large=large,
            memory=memory,
            operator_peak_bytes=max(peak),
            list_page_seconds=pages,
            imagejob_bytes=await release_state.imagejob_bytes(stage.kube),
            database_bytes=metrics.database_bytes(await stage.kube.text("/metrics")),
        )

        results.save(found, RESULTS)


async def _drain(stage: Stage, meter: Meter, images: int) -> Drain:
    """Submit images while the operator is stopped, start it, and wait until all jobs are done."""
    await release_state.set_operator(stage.kube, 0)
    before = await _completions(stage)

    work = Work(stage.system, [thumbnail()], NOTHING)
    started = time.monotonic()
    await load.submit_all(work, images=images, connections=CONNECTIONS)
    stage.say(f"  {images} submitted in {time.monotonic() - started:.0f} s")
    operator_started = time.time()

    async with meter.running() as cost:
        await release_state.set_operator(stage.kube, 1)
        await load.until_drained(stage.system, images, LOOK_SECONDS)

    moments = sorted(await _completions(stage))[len(before) :]
    found = drain([moment - operator_started for moment in moments], cost.cpu_seconds)
    stage.say(f"  {images} done, {found.images_per_second:.0f} per second")
    return found


def drain(moments: list[float], cpu_seconds: dict[str, float]) -> Drain:
    """Return the result for a backlog from its sorted completion times in seconds."""
    step = max(1, len(moments) // POINTS)
    curve = [(moments[i], i + 1) for i in range(0, len(moments), step)]
    return Drain(len(moments), moments[0], moments[-1], curve, cpu_seconds)


async def _completions(stage: Stage) -> list[float]:
    """Return the completion times of all ended ImageJobs, in seconds since 1970.

    The times are read from the statuses after all jobs have ended, because a watch would use CPU
    time during processing.
    """
    found: list[float] = []
    proceed = ""

    while True:
        query = {"limit": str(PAGE)} | ({"continue": proceed} if proceed else {})
        page = await stage.kube.get(IMAGEJOBS, **query)
        found += completion_times(page["items"])
        proceed = page["metadata"].get("continue", "")
        if not proceed:
            return found


def completion_times(imagejobs: Iterable[release_state.Json]) -> list[float]:
    """Return the completion times of those ImageJobs that have ended, in seconds since 1970."""
    ended = (job["status"].get("completionTime") for job in imagejobs)
    return [datetime.fromisoformat(moment).timestamp() for moment in ended if moment]


@asynccontextmanager
async def _peak(meter: Meter) -> AsyncIterator[list[int]]:
    """Record the operator's memory in bytes at regular intervals while the block runs."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append((await meter.memory()).get("operator", 0))
            await asyncio.sleep(MEMORY_SECONDS)

    looking = asyncio.create_task(look())
    yield seen
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking


async def _list_pages(stage: Stage, count: int) -> list[float]:
    """Request pages of 50 ImageJobs, and return how many seconds each page took."""
    seconds = []
    proceed = ""

    for _ in range(count):
        query = {"limit": str(release_state.PAGE)} | ({"continue": proceed} if proceed else {})
        started = time.perf_counter()
        page = await stage.kube.get(IMAGEJOBS, **query)
        seconds.append(time.perf_counter() - started)
        proceed = page["metadata"].get("continue", "")

    return seconds
