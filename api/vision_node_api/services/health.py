"""Determine whether a replica can serve requests, and report the states of its dependencies."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.clients.kube import KubeError

from ..background import BackgroundTask
from ..watch.follower import WatchFollower
from .auth.key_store import KeyStore
from .history.history_check import HistoryCheck
from .ownership import OwnershipCheck
from .storage_health import NOT_CHECKED, OK, DependencyState, StorageHealth

log = logging.getLogger(__name__)

PAUSE_SECONDS = 3.0
"""Number of seconds between two checks. Probes arrive every two seconds and get the result of the
latest check."""

CHECK_SECONDS = 2.0
"""Time limit for a check in seconds. Most checks take only a few milliseconds."""

KEYS_MISSING = DependencyState(
    "AuthenticationUnavailable",
    "The Secret with the API keys does not exist. Restore it, or upgrade the release.",
)
"""State of the API keys while there is no Secret. The replica stays ready, because that would help
no one, and tokens of Kubernetes still work."""

Check = Callable[[], Awaitable[object]]


class DependencyChecks(BackgroundTask):
    """Checks the bucket and the API server regularly, so that no probe has to wait for them.

    Args:
        storage: Object that records the outcomes of the storage checks.
        check_storage: Function that sends a request to the bucket. It raises StoreUnavailableError
            if the request fails.
        check_kubernetes: Function that sends a request to the API server. It raises KubeError if
            the request fails.
    """

    def __init__(
        self, storage: StorageHealth, check_storage: Check, check_kubernetes: Check
    ) -> None:
        super().__init__("The checks of storage and Kubernetes have stopped.")
        self.storage = storage
        self.kubernetes = DependencyState(NOT_CHECKED, "Kubernetes has not been checked yet.")
        self._send_to_storage = check_storage
        self._send_to_kubernetes = check_kubernetes

    async def check_once(self) -> None:
        """Check the bucket and the API server concurrently, and record the outcomes."""
        await asyncio.gather(self._check_storage(), self._check_kubernetes())

    async def _run(self) -> None:
        while True:
            await self.check_once()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _check_storage(self) -> None:
        try:
            with self.storage.recording():
                await self._request_storage()
        except StoreUnavailableError as error:
            log.debug("storage: %s", error)  # the bucket client logs its own warnings

    async def _request_storage(self) -> None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._send_to_storage()
        except TimeoutError as error:
            detail = f"Storage did not respond within {CHECK_SECONDS:g} s."
            raise StoreUnavailableError(detail) from error

    async def _check_kubernetes(self) -> None:
        before = self.kubernetes
        self.kubernetes = await self._kubernetes_state()
        if self.kubernetes != before and not self.kubernetes.is_ok:
            log.warning("Kubernetes: %s", self.kubernetes.detail)

    async def _kubernetes_state(self) -> DependencyState:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._send_to_kubernetes()
        except TimeoutError:
            detail = f"The Kubernetes API server did not respond within {CHECK_SECONDS:g} s."
            return DependencyState("KubernetesUnavailable", detail)
        except KubeError as error:
            detail = (
                "The Kubernetes API server did not respond, or responded with an error "
                f"({error.reason})."
            )
            return DependencyState("KubernetesUnavailable", detail)

        return DependencyState(OK)


@dataclass(frozen=True, slots=True)
class Health:
    """Health of one replica, for probes and metrics."""

    checks: DependencyChecks
    watches: tuple[WatchFollower, ...] = field(default_factory=tuple)
    ownership: OwnershipCheck | None = None
    batches: WatchFollower | None = None
    """The watch of the ImageBatches, without which everything else works."""
    history: HistoryCheck | None = None
    """The check of the history; None if the release has no database. All jobs in etcd can be read
    without it."""
    keys: WatchFollower | None = None
    """The watch of the API keys; None if clients are not authenticated."""
    key_store: KeyStore | None = None
    """What is known of the API keys; None if clients are not authenticated."""

    @property
    def is_ready(self) -> bool:
        """Whether the replica can serve requests: all objects and the API keys have been listed.

        From then on, the replica remains ready even while its dependencies are unavailable. If it
        were removed from the Service, it could neither report the states of jobs nor serve the
        page.
        """
        return all(watch.listed for watch in self.watches) and self.knows_keys

    @property
    def knows_keys(self) -> bool:
        """Whether the API keys have been read, or are not needed."""
        return self.keys is None or self.keys.listed

    @property
    def tasks(self) -> list[BackgroundTask]:
        """All background tasks."""
        optional = (self.ownership, self.batches, self.history, self.keys)
        return [self.checks, *self.watches, *(task for task in optional if task)]

    def states(self) -> dict[str, DependencyState]:
        """Return the states of the dependencies by name.

        `history` is included only if there is a database, `ownership` only if the release's folders
        in the bucket belong to another release, and `keys` only until they have been read, and
        while their Secret is missing.
        """
        states = {"kubernetes": self.checks.kubernetes, "storage": self.checks.storage.state}
        if self.history:
            states["history"] = self.history.state
        if self.ownership and not self.ownership.state.is_ok:
            states["ownership"] = self.ownership.state
        if not self.knows_keys:
            states["keys"] = DependencyState(NOT_CHECKED, "The API keys have not been read yet.")
        elif self.key_store and self.key_store.is_missing:
            states["keys"] = KEYS_MISSING

        return states

    def check_alive(self) -> None:
        """Raise an error if a background task has ended.

        Raises:
            RuntimeError: a background task has ended.
        """
        for task in self.tasks:
            task.raise_if_ended()
