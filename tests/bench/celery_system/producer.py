"""Queue tasks without the HTTP API, and wait for their results.

The tasks name images that are already stored, so this is the fastest way to feed the system.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from bench.celery_system.jobs import FINISHED, Jobs
from bench.errors import BenchError
from bench.load import JOB_SECONDS, SLOWEST_PER_SECOND, together
from bench.plan import LIST_SECONDS
from bench.results import CELERY


class Producer:
    """One process that queues tasks."""

    def __init__(self, send: Callable[[str, tuple[str, ...]], object], jobs: Jobs) -> None:
        self._send = send
        self._jobs = jobs

    @classmethod
    @contextlib.contextmanager
    def connected(cls, broker: str, jobs: Jobs) -> Iterator["Producer"]:
        """Connect to Redis while the block runs."""
        # The unit tests import this module, and run without Celery.
        from celery import Celery  # noqa: PLC0415

        app = Celery("bench-producer", broker=broker)
        app.conf.update(task_ignore_result=True)
        try:
            yield cls(app.send_task, jobs)
        finally:
            app.close()

    async def describe(self, task: str, describer: str, names: Sequence[str]) -> float:
        """Queue a task for each name, and wait until all results are stored.

        Returns how long it took from the first task to the last result, in seconds.
        """
        started = time.perf_counter()
        queueing = asyncio.to_thread(self._queue, task, describer, names)
        await together([queueing, until_stored(self._jobs, len(names))])
        return time.perf_counter() - started

    def _queue(self, task: str, describer: str, names: Sequence[str]) -> None:
        for name in names:
            self._send(task, (name, describer, name))


async def until_stored(jobs: Jobs, images: int) -> None:
    """Count the stored results until there are as many as images.

    Raises:
        BenchError: A job failed, or the results are not there in time.
    """
    seconds = JOB_SECONDS + images / SLOWEST_PER_SECOND
    deadline = time.perf_counter() + seconds

    while (stored := jobs.count(FINISHED)) < images:
        if time.perf_counter() > deadline:
            raise BenchError(f"{CELERY}: only {stored} of {images} results after {seconds:g} s")
        await asyncio.sleep(LIST_SECONDS)

    if failed := jobs.count("status = 'failed'"):
        raise BenchError(f"{CELERY}: {failed} jobs failed")
