"""Follow whether the database answers, and what may be done with the history.

While the database is unavailable, only HistoryLink tries again, and all work on single ImageJobs
waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import Kube, KubeError, backoff
from vision_node_contract.clients.ownership import (
    STORAGE_NOT_OURS,
    Identity,
    NotOursError,
    read_identity,
)
from vision_node_contract.history.database import HistoryError

from ...runtime.storage_ownership import ReleaseNames, StorageOwnership
from .counter_copy import CounterCopy, read_copy, write_copy
from .holds import (
    CLUSTER_RESTORED,
    DATABASE_NOT_OURS,
    DATABASE_TOO_NEW,
    FORBIDDEN,
    HISTORY_RESTORED,
    Hold,
    Seen,
    Work,
    holds_of,
    is_confirmed,
)
from .marks import EvictionMarks
from .store import HistoryStore, Owner

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""Interval between checks, which is also how soon a person's confirmation is noticed."""

RETRY_SECONDS = (0.5, 10.0)
"""First and longest wait in seconds while the database is unavailable, with full jitter."""


@dataclass(frozen=True, slots=True)
class History:
    """The history of one release."""

    store: HistoryStore
    marks: EvictionMarks
    prepare: Callable[[], Awaitable[object]]
    """Creates or updates the tables."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The release's cluster, its folders in the bucket, and its settings."""

    kube: Kube
    bucket: Bucket
    ownership: StorageOwnership
    settings: ReleaseNames


class ClusterState(Protocol):
    """Knows what is in etcd."""

    async def existing(self) -> set[str]:
        """Return the uids of all ImageJobs and ImageBatches.

        Raises:
            KubeError: The API server is unavailable or refused the request.
        """
        ...

    async def current_version(self) -> int:
        """Return the current resourceVersion.

        Raises:
            KubeError: The API server is unavailable or refused the request.
        """
        ...


class HistoryLink:
    """Knows whether the history can be used, and what must wait.

    Args:
        history: The database.
        around: The release's cluster, and its folders in the bucket.
        cluster: Answers questions about etcd.
    """

    def __init__(self, history: History, around: Surroundings, cluster: ClusterState) -> None:
        self._history = history
        self._around = around
        self._cluster = cluster
        self.is_up = False
        """Whether the database answers."""
        self.holds: list[Hold] = []
        self.rows = 0
        """The estimated number of rows."""
        self._is_clear = False
        """Whether the last check could compare database, bucket and cluster."""
        self._copy: CounterCopy | None = None
        self._listed: tuple[int, int] | None = None
        self._failures = 0
        self._said = ""
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def ownership(self) -> StorageOwnership:
        """Whether the folders in the bucket belong to this release."""
        return self._around.ownership

    def allows(self, work: Work) -> bool:
        """Return whether this kind of work may be done now."""
        if not self.is_up or any(work in FORBIDDEN[it.reason] for it in self.holds):
            return False

        return work is not Work.CLEAN or self._is_clear

    async def allowed(self, work: Work) -> None:
        """Wait until this kind of work may be done."""
        while not self.allows(work):
            await self._changed.wait()

    def report(self, error: HistoryError) -> None:
        """Note that a request has failed."""
        self._failures += 1
        self._went_down(error)
        self._wake.set()

    def listed(self, version: int, known: int) -> None:
        """Note the resourceVersion of a complete list, and the newest one known before it.

        Nothing is cleaned up until a check has compared them.
        """
        self._listed = version, known
        self._is_clear = False
        self._wake.set()

    async def run(self) -> None:
        """Check regularly until cancelled."""
        while True:
            self._wake.clear()
            pause = await self._try()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                # Requests that failed just before may fail again at once.
                self._failures = 0 if self.is_up else self._failures

    async def check(self) -> bool:
        """Check now, and return whether cleaning up is allowed.

        Raises:
            HistoryUnavailableError: The database is unavailable.
            KubeError: The identity ConfigMap can't be read.
        """
        await self._look()
        return self.allows(Work.CLEAN)

    async def _try(self) -> float:
        """Check once; return how long to wait until the next check."""
        try:
            if not self.is_up:
                await self._history.prepare()
            await self._look()
        except HistoryError as error:
            self._went_down(error)
        except NotOursError as error:
            self._set(holds=[Hold(STORAGE_NOT_OURS, str(error))], is_up=True, is_clear=False)
            return CHECK_SECONDS
        except KubeError as error:
            self._say(f"the release's identity can't be read, so nothing is cleaned up: {error}")
            self._set(holds=self.holds, is_up=self.is_up, is_clear=False)
        else:
            # Many requests that fail although the database answers must not become a busy loop.
            pause = backoff(self._failures, *RETRY_SECONDS) if self._failures else CHECK_SECONDS
            return min(CHECK_SECONDS, pause) if self.is_up else pause

        self._failures += 1
        return backoff(self._failures - 1, *RETRY_SECONDS)

    async def _look(self) -> None:
        store, settings = self._history.store, self._around.settings
        identity = await read_identity(
            self._around.kube, settings.namespace, settings.identity_name
        )
        owner = await store.read_owner()
        if owner is None:
            await store.claim(identity.uid)
            owner = await store.read_owner()
        if owner is None:
            raise HistoryError("HistoryUnavailable", "the table owner has no row after claiming it")

        self.rows = await store.count()
        try:
            holds = await self._holds(identity, owner)
        except StoreUnavailableError as error:
            self._say(f"the bucket does not answer, so nothing is cleaned up: {error}")
            other = [] if owner.uid == identity.uid else self._other_owner(identity, owner)
            self._set(holds=other or self.holds, is_up=True, is_clear=False)
            return

        self._say("; ".join(f"{it.reason}: {it.message}" for it in holds) or "the history works")
        self._set(holds=holds, is_up=True, is_clear=self._listed is not None)

    def _other_owner(self, identity: Identity, owner: Owner) -> list[Hold]:
        return holds_of(Seen(identity, owner, CounterCopy(), self._listed_version))

    @property
    def _listed_version(self) -> int:
        return self._listed[0] if self._listed else 0

    async def _holds(self, identity: Identity, owner: Owner) -> list[Hold]:
        """Return the holds, after ending those that a person has confirmed."""
        if self._copy is None:
            self._copy = await read_copy(self._around.bucket)

        await self._refresh_version(owner)
        found = self._found(identity, owner)
        confirmed = [it for it in found if is_confirmed(it, identity)]
        if confirmed and self._listed:
            await self._confirm(confirmed, identity)
            owner = await self._history.store.read_owner() or owner
            found = self._found(identity, owner)

        await self._save_copy(owner, found)
        return await self._storage_holds() + found

    async def _refresh_version(self, owner: Owner) -> None:
        """Ask for the current resourceVersion if the list is older than what is known since.

        ImageJobs that changed after the list are archived, too, perhaps by another archiver. Only a
        version that was read after the row of the owner shows that etcd was restored.
        """
        if self._listed is None:
            return

        version, known = self._listed
        if version < max(owner.resource_version, known):
            self._listed = max(version, await self._cluster.current_version()), known

    def _found(self, identity: Identity, owner: Owner) -> list[Hold]:
        copy = self._copy or CounterCopy()
        if self._listed is None:
            found = holds_of(Seen(identity, owner, copy, listed_version=owner.resource_version))
        else:
            version, known = self._listed
            found = holds_of(Seen(identity, owner, copy, version, known))

        return found

    async def _storage_holds(self) -> list[Hold]:
        try:
            await self._around.ownership.require()
        except NotOursError as error:
            return [Hold(error.reason, str(error))]

        return []

    async def _confirm(self, holds: list[Hold], identity: Identity) -> None:
        """End holds that a person has confirmed. If this is interrupted, it can be repeated."""
        store = self._history.store
        kept = await store.keep_all(await self._cluster.existing())
        copy = self._copy or CounterCopy()

        reasons = {it.reason for it in holds}
        if DATABASE_NOT_OURS in reasons:
            await store.claim(identity.uid)
        if reasons & {DATABASE_NOT_OURS, CLUSTER_RESTORED}:
            await self._history.marks.reset_resource_version(self._listed_version)
            self._listed = self._listed_version, 0
            copy = replace(copy, lost_version=0)
        if reasons & {DATABASE_NOT_OURS, HISTORY_RESTORED}:
            owner = await store.read_owner()
            written = owner.written if owner else 0
            copy = replace(copy, written=written, is_database_restored=False)

        await write_copy(self._around.bucket, copy)
        self._copy = copy
        log.warning("confirmed: %s; %d rows of unknown jobs are kept", sorted(reasons), kept)

    async def _save_copy(self, owner: Owner, holds: list[Hold]) -> None:
        """Store the row counter and the holds in the bucket, if they have changed."""
        copy = self._copy or CounterCopy()
        reasons = {it.reason: it for it in holds}
        if DATABASE_NOT_OURS in reasons:
            return

        wanted = copy
        if HISTORY_RESTORED in reasons:
            wanted = replace(wanted, is_database_restored=True)
        else:
            wanted = replace(wanted, written=max(copy.written, owner.written))
        if CLUSTER_RESTORED in reasons:
            token = reasons[CLUSTER_RESTORED].token
            wanted = replace(wanted, lost_version=int(token.removeprefix("cluster-")))

        if wanted != copy:
            self._copy = wanted
            try:
                await write_copy(self._around.bucket, wanted)
            except BaseException:
                self._copy = copy
                raise

    def _went_down(self, error: HistoryError) -> None:
        self._say(f"the history is unavailable, so nothing is archived: {error.reason}: {error}")
        is_too_new = error.reason == DATABASE_TOO_NEW
        holds = [Hold(DATABASE_TOO_NEW, str(error))] if is_too_new else self.holds
        self._set(holds=holds, is_up=False, is_clear=False)

    def _set(self, *, holds: list[Hold], is_up: bool, is_clear: bool) -> None:
        self.holds, self.is_up, self._is_clear = holds, is_up, is_clear
        self._changed.set()
        self._changed = asyncio.Event()

    def _say(self, text: str) -> None:
        """Log the state, if it has changed."""
        if text != self._said:
            self._said = text
            level = logging.INFO if text == "the history works" else logging.WARNING
            log.log(level, "%s", text)
