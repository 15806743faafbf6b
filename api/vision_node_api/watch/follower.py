"""Following objects of one kind for as long as the application runs."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from vision_node_contract.clients.kube import Kube, KubeError, Selectors, WatchEvent
from vision_node_contract.clients.kube_auth import Access
from vision_node_contract.json_types import Json

from ..background import Background

log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""Before the watch is tried again after a refusal (no rights yet, the CRD not there yet)."""

ALL = Selectors()


class Following(Background):
    """Tells `observe` of every change to the objects at `path`."""

    def __init__(self, kube: Kube, path: str, observe: Callable[[WatchEvent], None]) -> None:
        super().__init__(f"{path} is no longer followed")
        self.path = path
        self.listed = False
        """Whether everything was listed once: from then on, there is something to answer with."""
        self._kube = kube
        self._observe = observe

    @property
    def resource(self) -> str:
        """Plural name of the objects' kind."""
        return self.path.rsplit("/", 1)[-1]

    async def _run(self) -> None:
        while True:
            try:
                async for event in self._kube.follow(self.path):
                    self._observe(event)
                    self.listed = self.listed or event.type == "SYNCED"
            except KubeError as error:
                log.warning("%s can't be watched: %s", self.path, error)

            await asyncio.sleep(RESTART_SECONDS)


class HeardKube(Kube):
    """A connection to the API server that remembers when each of its watches was last heard of.

    When nothing changes, the server sends bookmarks about once a minute, and ends each watch after
    WATCH_SECONDS.
    """

    def __init__(self, server: Access) -> None:
        super().__init__(server)
        self.heard: dict[str, float] = {}
        """Monotonic time in seconds, by path."""

    async def watch(
        self, path: str, version: str, selectors: Selectors = ALL
    ) -> AsyncIterator[Json]:
        """Yield what the watch shows (see Kube.watch)."""
        async for event in super().watch(path, version, selectors):
            self.heard[path] = time.monotonic()
            yield event
        self.heard[path] = time.monotonic()
