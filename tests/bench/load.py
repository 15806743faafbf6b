"""Generate load: submit images to a system, and record the times that the clients observe."""

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
"""Maximum number of seconds that a client waits for a job."""

POLL_GROWTH = 1.25
"""Factor by which clients increase their polling intervals when images arrive at random times.

Without this factor, a system that has fallen behind could not catch up, because it would have to
answer the polls of all waiting clients.
"""

LONGEST_POLL_SECONDS = 0.25
"""Maximum polling interval."""

SLOWEST_PER_SECOND = 2.0
"""Minimum throughput in images per second. If a system is slower, the measurement fails."""


@dataclass
class Seen:
    """What the clients observed. All times are in seconds."""

    seconds: float = 0.0
    """Time from the first submission until a client saw that the last job was done."""
    latencies: list[float] = field(default_factory=list)
    """Time from each submission until the client saw that the job was done.

    This list is empty for bursts, because their jobs are not polled individually.
    """
    submitted: int = 0
    """Number of submitted images."""
    submit_seconds: float = 0.0
    """Time from the first submission until the response to the last submission."""


@dataclass(frozen=True, slots=True)
class Work:
    """A system, the images to submit to it, and the describer to use."""

    system: System
    pictures: Sequence[Picture]
    describer: str


async def closed_loop(work: Work, *, clients: int, images: int, poll_seconds: float) -> Seen:
    """Run clients concurrently. Each one submits its next image when the previous one is done."""
    seen = Seen()
    pictures = itertools.islice(itertools.cycle(work.pictures), images)
    started = time.perf_counter()

    async def client(mine: Iterator[Picture]) -> None:
        for picture in mine:
            begun = time.perf_counter()
            job = await work.system.submit(picture, work.describer)
            await _until_done(work.system, job, poll_seconds)
            seen.latencies.append(time.perf_counter() - begun)

    await together(client(pictures) for _ in range(clients))
    seen.submitted = images
    seen.seconds = seen.submit_seconds = time.perf_counter() - started

    return seen


async def poisson(
    work: Work, *, per_second: float, seconds: float, poll_seconds: float, seed: int
) -> Seen:
    """Submit images at random times, without waiting for earlier ones.

    Latencies are measured from the scheduled time of each submission, so that they include delays
    caused by the load driver.
    """
    seen = Seen()
    started = time.perf_counter()

    async def client(moment: float, picture: Picture) -> None:
        await asyncio.sleep(started + moment - time.perf_counter())
        job = await work.system.submit(picture, work.describer)
        await _until_done(work.system, job, poll_seconds, POLL_GROWTH)
        seen.latencies.append(time.perf_counter() - started - moment)

    moments = list(arrivals(per_second, seconds, seed))
    await together(
        itertools.starmap(client, zip(moments, itertools.cycle(work.pictures), strict=False))
    )
    seen.submitted = len(moments)
    seen.seconds = time.perf_counter() - started

    return seen


def arrivals(per_second: float, seconds: float, seed: int) -> Iterator[float]:
    """Yield the arrival times of a Poisson process that ends after `seconds`.

    The same seed always gives the same times.
    """
    chance = random.Random(seed)  # noqa: S311  # not used for security
    moment = chance.expovariate(per_second)
    while moment < seconds:
        yield moment
        moment += chance.expovariate(per_second)


async def burst(work: Work, *, images: int, connections: int, poll_seconds: float) -> Seen:
    """Submit all images over several connections, and then poll until all jobs are done."""
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

    await together(client(pictures) for _ in range(connections))


async def until_drained(system: System, images: int, poll_seconds: float) -> None:
    """Poll the system's list of unfinished jobs until it is empty."""
    seconds = JOB_SECONDS + images / SLOWEST_PER_SECOND
    deadline = time.perf_counter() + seconds
    while await system.any_unfinished():
        if time.perf_counter() > deadline:
            raise BenchError(f"{system.name}: some jobs are unfinished after {seconds:g} s")
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


async def together(clients: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the clients concurrently until all of them have ended or one of them fails.

    Raises:
        BenchError: A client failed. The error describes the first failure.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for client in clients:
                tasks.create_task(client)
    except ExceptionGroup as failures:
        first = failures.exceptions[0]
        raise BenchError(str(first) if isinstance(first, BenchError) else repr(first)) from first
