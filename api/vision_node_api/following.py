"""Following objects of one kind for as long as the application runs."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vision_node_contract.kube import Event, Kube, KubeError

log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""Before the watch is tried again after a refusal (no rights yet, the CRD not there yet)."""


class Following:
    """Tells `observe` of every change."""

    def __init__(self, kube: Kube, path: str, observe: Callable[[Event], None]) -> None:
        self._kube = kube
        self._path = path
        self._observe = observe
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Follow while in this context."""
        self._task = asyncio.create_task(self._follow())
        yield
        self._task.cancel()

    def check(self) -> None:
        """Return if the watch is kept up; what it has shown would be taken for true for ever otherwise.

        Raises:
            RuntimeError: it has ended by an error that nobody foresaw.
        """
        if self._task and self._task.done():
            raise RuntimeError(f"{self._path} is no longer followed") from self._task.exception()

    async def _follow(self) -> None:
        while True:
            try:
                async for event in self._kube.follow(self._path):
                    self._observe(event)
            except KubeError as error:
                log.warning("%s can't be watched: %s", self._path, error)
            await asyncio.sleep(RESTART_SECONDS)
