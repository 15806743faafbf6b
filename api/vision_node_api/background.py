"""Tasks that run for as long as the application does."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class Background(ABC):
    """A task that ends with the application; ended before that, it has failed.

    Args:
        ended: What the end of the task means, as a sentence for the liveness probe.
    """

    def __init__(self, ended: str) -> None:
        self._ended = ended
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run while in this context."""
        self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._task.cancel()

    def check(self) -> None:
        """Return if the task still runs.

        Raises:
            RuntimeError: it has ended by an error that was not foreseen.
        """
        if self._task and self._task.done():
            raise RuntimeError(self._ended) from self._task.exception()

    @abstractmethod
    async def _run(self) -> None:
        """Do the task's work, for ever."""
