"""Runs calls in threads, which can't be interrupted: they use their resources until they return."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


async def in_thread(
    executor: Executor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Return the result of a call in a thread of the executor.

    When cancelled, wait until a call that has started returns; a call that has not started is
    dropped. So a block around this function holds the call's resources for as long as it runs.
    """
    future = executor.submit(call, *args, **kwargs)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if not future.cancel():
            await _wait_until_returned(asyncio.wrap_future(future))
        raise


async def _wait_until_returned(call: "asyncio.Future[T]") -> None:
    await asyncio.wait({call})
    if error := call.exception():
        log.info("an abandoned call ended with %s: %s", type(error).__name__, error)
