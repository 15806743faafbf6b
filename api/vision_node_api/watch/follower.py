"""Watch Kubernetes objects until the application stops."""

import asyncio
import logging
from collections.abc import Callable

from vision_node_contract.clients.kube import Kube, KubeError, Selectors, WatchEvent

from ..background import BackgroundTask

log = logging.getLogger(__name__)

RESTART_SECONDS = 5.0
"""Number of seconds to wait before retrying a refused watch. Watches are refused until the CRD and
the permissions exist."""

ALL = Selectors()
"""Selects all objects."""


class WatchFollower(BackgroundTask):
    """Watches the objects at `path` and passes every change to `observe`."""

    def __init__(
        self,
        kube: Kube,
        path: str,
        observe: Callable[[WatchEvent], None],
        selectors: Selectors = ALL,
    ) -> None:
        super().__init__(f"The watch of {path} has stopped.")
        self.path = path
        self.listed = False
        """Whether all objects have been listed at least once, so that requests can be served."""
        self._kube = kube
        self._observe = observe
        self._selectors = selectors

    @property
    def resource(self) -> str:
        """Plural name of the watched resource."""
        return self.path.rsplit("/", 1)[-1]

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except KubeError as error:
                log.warning("%s can't be watched: %s", self.path, error)

            await asyncio.sleep(RESTART_SECONDS)

    async def _follow(self) -> None:
        """Pass on every change until the API server refuses to send more.

        Raises:
            KubeError: the API server refused the request, and a retry would not help.
        """
        async for event in self._kube.follow(self.path, self._selectors):
            self._observe(event)
            self.listed = self.listed or event.type == "SYNCED"
