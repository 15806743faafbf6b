"""Track the threads of attempts that have timed out, because a thread can't be interrupted."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from vision_node_contract.models.imagejob import ImageJob

T = TypeVar("T")

log = logging.getLogger(__name__)


class AbandonedThreads:
    """Lets an attempt give up immediately, and keeps track of its threads until they end."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, int], list[asyncio.Task[Any]]] = {}
        """Tasks by attempt. Their threads may continue after the attempt has timed out."""
        self.hung = asyncio.Event()
        """Set when a thread still runs one Describer timeout after its attempt timed out. The
        thread keeps its memory, so attempts that wait for this memory time out, while smaller
        images are still described."""

    async def run(self, job: ImageJob, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`. When cancelled, don't wait for its thread."""
        task = asyncio.create_task(work)
        self._tasks.setdefault(_attempt_key(job), []).append(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise

    async def wait_until_ended(self, job: ImageJob, patience_seconds: float) -> None:
        """Wait for the threads of an attempt; set `hung` if one exceeds `patience_seconds`."""
        tasks = self._tasks.pop(_attempt_key(job), None)
        if not tasks:
            return

        _, running = await asyncio.wait(tasks, timeout=patience_seconds)
        if running:
            log.error(
                "worker is hung: ImageJob %s timed out %g s ago, but its thread is still running",
                job.metadata.name,
                patience_seconds,
            )
            self.hung.set()
            await asyncio.wait(running)


def _attempt_key(job: ImageJob) -> tuple[str, int]:
    return job.metadata.uid, job.status.attempts
