"""Run calls in threads. Such a call can't be interrupted and keeps its resources until it ends."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

BACKGROUND_NICENESS = 10
"""Niceness of threads that describe images of a shard. Among the threads of a worker, one with this
niceness gets a tenth of a core while others need it. Other containers are not affected: the kernel
divides the CPU between containers first."""


def background_threads(count: int) -> ThreadPoolExecutor:
    """Return an executor whose threads let the worker's other threads go first."""
    return ThreadPoolExecutor(
        count, thread_name_prefix="describe-shard", initializer=_lower_priority
    )


def _lower_priority() -> None:
    try:
        # On Linux, this concerns only the thread (setpriority(2), "C library/kernel differences").
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)
    except OSError as error:  # an error here would make the executor unusable
        log.warning("the priority of a thread can't be lowered: %s", error)


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
