"""Calls in threads, which can't be interrupted: their resources stay in use until they return."""

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

    When cancelled, wait first for a call that has begun; a call that has not begun never does. So a
    block around this keeps the call's resources for as long as the call runs.
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
        log.info("an abandoned call ended with %s: %s", type(error).__name__, error)
