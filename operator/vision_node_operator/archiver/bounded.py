"""Call a function for many items, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 8
"""Number of requests to the API server, or to the bucket, at the same time. Eight take about 1.5 ms
each, so they are enough for a thousand in a second, and leave room for the operator's requests."""


async def each(work: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Call `work` for each item, AT_ONCE at a time, and return the results in order."""
    todo = list(enumerate(items))
    results: dict[int, R] = {}
    pending = iter(todo)

    async def run() -> None:
        for place, item in pending:
            results[place] = await work(item)

    tasks = [asyncio.create_task(run()) for _ in range(min(AT_ONCE, len(todo)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return [results[place] for place, _ in todo]
