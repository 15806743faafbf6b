"""Generate load: submit images to a system, and record the times that the clients observed."""

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError
from bench.measure.pictures_1080p import Picture
from bench.systems import System

JOB_SECONDS = 120.0
"""Maximum seconds that a client waits for one job."""

POLL_GROWTH = 1.25
"""Factor by which a client of an open loop increases its polling interval. Without it,
the polls for all late jobs would prevent a system from ever catching up."""

LONGEST_POLL_SECONDS = 0.25

SLOWEST_PER_SECOND = 2.0
"""Minimum images per second from a backlog. If a system is slower, the measurement fails."""


@dataclass
class Seen:
    """Times in seconds that the clients observed."""

    seconds: float = 0.0
    """Time from the first submission until the last job was seen done."""
    latencies: list[float] = field(default_factory=list)
    """Time of each job from submission until it was seen done; empty for bursts, whose jobs are
    not polled one by one."""
    submitted: int = 0
    submit_seconds: float = 0.0
    """Time from the first submission to the response to the last one."""


@dataclass(frozen=True, slots=True)
class Work:
    """The images to submit, the system, and the describer that it uses."""

    system: System
    pictures: Sequence[Picture]
    describer: str


async def closed_loop(work: Work, *, clients: int, images: int, poll_seconds: float) -> Seen:
    """Run clients that each submit an image, wait until it is done, and submit the next one."""
    seen = Seen()
    pictures = itertools.islice(itertools.cycle(work.pictures), images)
    started = time.perf_counter()

    async def client(mine: Iterator[Picture]) -> None:
        for picture in mine:
            begun = time.perf_counter()
            job = await work.system.submit(picture, work.describer)
            await _until_done(work.system, job, poll_seconds)
            seen.latencies.append(time.perf_counter() - begun)

    await _together(client(pictures) for _ in range(clients))
    seen.submitted = images
    seen.seconds = seen.submit_seconds = time.perf_counter() - started

    return seen


async def poisson(
    work: Work, *, per_second: float, seconds: float, poll_seconds: float, seed: int
) -> Seen:
    """Submit images at random times, whether earlier ones are done or not.

    A job's latency is measured from the time at which it should have been submitted, so that it
    includes delays of the load driver.
    """
    seen = Seen()
    started = time.perf_counter()

    async def client(moment: float, picture: Picture) -> None:
        await asyncio.sleep(started + moment - time.perf_counter())
        job = await work.system.submit(picture, work.describer)
        await _until_done(work.system, job, poll_seconds, POLL_GROWTH)
        seen.latencies.append(time.perf_counter() - started - moment)

    moments = list(arrivals(per_second, seconds, seed))
    await _together(
        itertools.starmap(client, zip(moments, itertools.cycle(work.pictures), strict=False))
    )
    seen.submitted = len(moments)
    seen.seconds = time.perf_counter() - started

    return seen


def arrivals(per_second: float, seconds: float, seed: int) -> Iterator[float]:
    """Return the times of a Poisson process within `seconds`. Equal seeds give equal times."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    moment = chance.expovariate(per_second)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(per_second)


async def burst(work: Work, *, images: int, connections: int, poll_seconds: float) -> Seen:
    """Submit all images over several connections, then poll one list until all jobs are done."""
    seen = Seen(submitted=images)
    started = time.perf_counter()
    await submit_all(work, images=images, connections=connections)
    seen.submit_seconds = time.perf_counter() - started
    await until_drained(work.system, images, poll_seconds)
    seen.seconds = time.perf_counter() - started
    return seen


async def submit_all(work: Work, *, images: int, connections: int) -> None:
    """Submit all images without waiting for their jobs."""
    pictures = itertools.islice(itertools.cycle(work.pictures), images)

    async def client(mine: Iterator[Picture]) -> None:
        for picture in mine:
            await work.system.submit(picture, work.describer)

    await _together(client(pictures) for _ in range(connections))


async def until_drained(system: System, images: int, poll_seconds: float) -> None:
    """Poll the list until all jobs are done."""
    seconds = JOB_SECONDS + images / SLOWEST_PER_SECOND
    deadline = time.perf_counter() + seconds
    while await system.any_unfinished():
        if time.perf_counter() > deadline:
            raise BenchError(f"{system.name}: jobs are unfinished after {seconds:g} s")
        await asyncio.sleep(poll_seconds)


async def _until_done(
    system: System, job: str, poll_seconds: float, poll_growth: float = 1.0
) -> None:
    deadline = time.perf_counter() + JOB_SECONDS
    while not await system.is_done(job):
        if time.perf_counter() > deadline:
            raise BenchError(f"{system.name}: job {job} is unfinished after {JOB_SECONDS:g} s")
        await asyncio.sleep(poll_seconds)
        poll_seconds = max(poll_seconds, min(LONGEST_POLL_SECONDS, poll_seconds * poll_growth))


async def _together(clients: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the clients concurrently until all have ended, or one fails.

    Raises:
        BenchError: the first failure.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client)
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise BenchError(str(first) if isinstance(first, BenchError) else repr(first)) from first
