"""Calls in threads, which nothing can end: what one uses stays in use until it has returned."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


async def in_thread(executor: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the call returns in a thread of the executor.

    When cancelled, a call that has begun is waited for first; one that has not never begins. So blocks around
    this hold what the call uses for as long as it runs.
    """
    future = executor.submit(call, *args, **kwargs)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if not future.cancel():
            await _until_returned(asyncio.wrap_future(future))
        raise


async def _until_returned(call: "asyncio.Future[T]") -> None:
    await asyncio.wait({call})
    if error := call.exception():
        log.info("a call that was given up has ended with %s: %s", type(error).__name__, error)
