"""Whether the API can serve, and how what it depends on fares."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.clients.kube import KubeError

from ..background import Background
from ..watch.follower import Following
from .storage_health import NOT_CHECKED, OK, DependencyState, StorageHealth

log = logging.getLogger(__name__)

PAUSE_SECONDS = 3.0
"""Between two checks: probes come every two seconds, and get the last check's result."""

CHECK_SECONDS = 2.0
"""What has not answered a check by then is away: it takes a thousandth of that otherwise."""

Check = Callable[[], Awaitable[object]]


class DependencyChecks(Background):
    """Asks the bucket and the API server again and again, so that no probe has to wait for them.

    Args:
        storage: Where the bucket's answers are kept.
        check_storage: Asks the bucket; raises StoreUnavailableError.
        check_kubernetes: Asks the API server; raises KubeError.
    """

    def __init__(
        self, storage: StorageHealth, check_storage: Check, check_kubernetes: Check
    ) -> None:
        super().__init__("storage and Kubernetes are no longer checked")
        self.storage = storage
        self.kubernetes = DependencyState(NOT_CHECKED, "the API server has not been asked yet")
        self._ask_storage = check_storage
        self._ask_kubernetes = check_kubernetes

    async def check_once(self) -> None:
        """Ask both, at the same time, and remember what they answer."""
        await asyncio.gather(self._check_storage(), self._check_kubernetes())

    async def _run(self) -> None:
        while True:
            await self.check_once()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _check_storage(self) -> None:
        try:
            with self.storage.observing():
                await self._storage_answer()
        except StoreUnavailableError as error:
            log.debug("storage: %s", error)  # the client has logged it, once a minute

    async def _storage_answer(self) -> None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._ask_storage()
        except TimeoutError as error:
            detail = f"storage has not answered within {CHECK_SECONDS:g} s"
            raise StoreUnavailableError(detail) from error

    async def _check_kubernetes(self) -> None:
        before = self.kubernetes
        self.kubernetes = await self._kubernetes_answer()
        if self.kubernetes != before and not self.kubernetes.is_ok:
            log.warning("Kubernetes: %s", self.kubernetes.detail)

    async def _kubernetes_answer(self) -> DependencyState:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._ask_kubernetes()
        except TimeoutError:
            detail = f"the API server has not answered within {CHECK_SECONDS:g} s"
            return DependencyState("KubernetesUnavailable", detail)
        except KubeError as error:
            detail = f"the API server does not answer well ({error.reason})"
            return DependencyState("KubernetesUnavailable", detail)

        return DependencyState(OK)


@dataclass(frozen=True, slots=True)
class Health:
    """What probes and metrics want to know of one replica."""

    checks: DependencyChecks
    watches: tuple[Following, ...] = field(default_factory=tuple)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to answer with: all objects were listed once.

        From then on the replica stays ready, whatever is away: taken out of the Service, it could
        not even tell the states of jobs, nor show the page.
        """
        return all(watch.listed for watch in self.watches)

    def states(self) -> dict[str, DependencyState]:
        """Return how each dependency fares, by its name."""
        return {"kubernetes": self.checks.kubernetes, "storage": self.checks.storage.state}

    def check_alive(self) -> None:
        """Return if all background tasks run.

        Raises:
            RuntimeError: one has ended.
        """
        for task in (self.checks, *self.watches):
            task.check()
