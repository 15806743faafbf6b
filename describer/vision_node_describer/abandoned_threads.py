"""Track threads that are still running after their attempt has timed out.

Such threads can't be interrupted, and they keep their memory.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from .image_task import ImageTask

T = TypeVar("T")

log = logging.getLogger(__name__)


class AbandonedThreads:
    """Tracks the threads of attempts until they end, even if the attempt times out first."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, int], list[asyncio.Task[Any]]] = {}
        """Tasks by attempt. Their threads may keep running after the attempt has timed out."""
        self.hung = asyncio.Event()
        """Set if a thread keeps running for a full Describer timeout after its attempt timed out.
        The thread keeps its memory, so attempts that wait for this memory also time out. Smaller
        images can still be described."""
        self._watching: set[asyncio.Task[None]] = set()

    async def run(self, image: ImageTask, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` and return its result. If cancelled, return without waiting for the thread."""
        task = asyncio.create_task(work)
        self._tasks.setdefault(_attempt_key(image), []).append(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def wait_until_ended(self, image: ImageTask, patience_seconds: float) -> None:
        """Wait until an attempt's threads end.

        If any of them is still running after `patience_seconds`, set `hung`, even if this method
        has been cancelled.
        """
        tasks = self._tasks.pop(_attempt_key(image), None)
        if not tasks:
            return

        try:
            await self._wait(tasks, image.name, patience_seconds)
        except asyncio.CancelledError:
            self.watch(tasks, image.name, patience_seconds)
            raise

    def watch(self, tasks: Iterable[asyncio.Task[Any]], name: str, patience_seconds: float) -> None:
        """Set `hung` if any of the tasks of `name` is still running after `patience_seconds`."""
        watching = asyncio.create_task(self._wait(tasks, name, patience_seconds))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _wait(
        self, tasks: Iterable[asyncio.Task[Any]], name: str, patience_seconds: float
    ) -> None:
        _, running = await asyncio.wait(tasks, timeout=patience_seconds)
        if running:
            log.error(
                "worker is hung: %s timed out %g s ago, but its thread is still running",
                name,
                patience_seconds,
            )
            self.hung.set()
            await asyncio.wait(running)


def _attempt_key(image: ImageTask) -> tuple[str, int]:
    return image.uid, image.number
