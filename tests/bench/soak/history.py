"""Check at the end of a soak test that every image is in the history and is found."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from bench.errors import BenchError
from bench.soak.client import SoakClient
from bench.soak.results import Found

SAMPLE_STATUSES = 1_000
"""Number of jobs whose status is read through the API after they were evicted."""

SAMPLE_SEARCHES = 100
"""Number of images that are searched for by their planted words."""

ARCHIVE_SECONDS = 30.0
"""Maximum seconds until the first image is in the history. Usually, it takes less than two."""

LOOK_SECONDS = 0.5
AT_ONCE = 4
"""Number of requests at a time."""


class History(Protocol):
    """The history in PostgreSQL."""

    async def names(self) -> set[str]:
        """Return the names of all ImageJobs in the history."""
        ...

    async def size_bytes(self) -> int:
        """Return the size of the database on disk."""
        ...


async def require_archived(history: History, job: str) -> None:
    """Wait until a finished job is in the history.

    Raises:
        BenchError: It is not archived, so all others would be lost when they are evicted.
    """
    deadline = asyncio.get_running_loop().time() + ARCHIVE_SECONDS
    while job not in await history.names():
        if asyncio.get_running_loop().time() > deadline:
            raise BenchError(
                f"soak: ImageJob {job} is not in PostgreSQL {ARCHIVE_SECONDS:g} s after its end. "
                "Check that database.enabled is true, and the archiver's log."
            )
        await asyncio.sleep(LOOK_SECONDS)


async def look_for(client: SoakClient, history: History) -> Found:
    """Compare the history with what was acknowledged, and look for samples through the API."""
    jobs = list(client.acknowledged)
    archived = await history.names()
    statuses, searches = sample(jobs, SAMPLE_STATUSES), sample(jobs, SAMPLE_SEARCHES)

    return Found(
        acknowledged=len(jobs),
        missing=len(client.acknowledged.keys() - archived),
        statuses=len(statuses),
        statuses_wrong=await _count_wrong(statuses, client.is_done),
        searches=len(searches),
        searches_wrong=await _count_wrong(searches, client.finds),
        database_bytes=await history.size_bytes(),
    )


def sample(jobs: Collection[str], count: int) -> list[str]:
    """Return some of the jobs, which are the same for the same jobs."""
    chance = random.Random(len(jobs))  # noqa: S311 (not a secret)
    return chance.sample(sorted(jobs), min(count, len(jobs)))


async def _count_wrong(jobs: Sequence[str], check: Callable[[str], Awaitable[bool]]) -> int:
    shared, wrong = iter(jobs), 0

    async def check_next() -> None:
        nonlocal wrong
        for job in shared:
            is_right = await check(job)
            wrong += not is_right  # not in one statement, which would lose counts while it waits

    await asyncio.gather(*(check_next() for _ in range(AT_ONCE)))
    return wrong
