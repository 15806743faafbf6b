"""Background tasks that run until the application stops."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class BackgroundTask(ABC):
    """A task that runs until the application stops. If it ends earlier, it has failed.

    Args:
        ended_message: Error message of the liveness probe if the task ends early.
    """

    def __init__(self, ended_message: str) -> None:
        self._ended_message = ended_message
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the task for the duration of the block."""
        self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._task.cancel()

    def raise_if_ended(self) -> None:
        """Raise an error if the task has ended.

        Raises:
            RuntimeError: the task has ended because of an unexpected error.
        """
        if self._task and self._task.done():
            raise RuntimeError(self._ended_message) from self._task.exception()

    @abstractmethod
    async def _run(self) -> None:
        """Do the task's work in an endless loop."""
