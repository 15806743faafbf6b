"""Run calls in threads. Such a call can't be interrupted and keeps its resources until it ends."""

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
    """Make a call in one of the executor's threads, and return its result.

    On cancellation, drop the call if it has not started, or else wait until it returns. A `with`
    block around this function can therefore hold the call's resources until the call is over.
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
