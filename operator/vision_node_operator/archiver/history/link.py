"""Follow whether the database answers, and what may be done with the history.

While the database is unavailable, only HistoryLink tries again, and all work on single ImageJobs
waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Set
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


@dataclass(frozen=True, slots=True)
class Known:
    """What was known before the table owner was read."""

    copy: CounterCopy | None
    """The copy of the counter in the bucket; None if it was never read."""
    written: int
    """The counter after the last transaction of this process."""


@dataclass(frozen=True, slots=True)
class Existing:
    """The uids of ImageJobs and ImageBatches whose rows are not to be kept after a restore."""

    live: Set[str]
    """Those in etcd."""
    deleted: Set[str]
    """Those that users have deleted, and whose data is still there."""


class ClusterState(Protocol):
    """Knows what is in etcd."""

    async def existing(self) -> Existing:
        """Return all ImageJobs and ImageBatches.

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
        self._may_write = False
        """Whether a restored database would have been noticed and noted in the bucket, so that new
        rows can't hide that it was restored."""
        self._is_restored = False
        """Whether the database was found with fewer rows, and no person has confirmed that."""
        self._copy: CounterCopy | None = None
        self._listed: int | None = None
        """The resourceVersion of the newest complete list of ImageJobs."""
        self._lists = 0
        """Number of complete lists, which tells whether a check knows the newest one."""
        self._lost_version = 0
        """The newest resourceVersion that was known before a list had a lower one; 0 if none had,
        or if a person has confirmed that."""
        self._expected: int | None = None
        """The resourceVersion that the first complete list must have. Later, `owner` has versions
        of ImageJobs that are newer than the newest list."""
        self.on_lost_rows: list[Callable[[], None]] = []
        """Functions to call if rows that were written may be missing or have lost their marks,
        because of a restore."""
        self._looking = asyncio.Lock()
        self._writing_copy = asyncio.Lock()
        """Held while the copy is written, so that an older number never replaces a newer one."""
        self._failures = 0
        self._said = ""
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def ownership(self) -> StorageOwnership:
        """Whether the folders in the bucket belong to this release."""
        return self._around.ownership

    @property
    def restarts(self) -> int:
        """How often a lower counter was accepted, so that rows and marks may be missing."""
        return self._history.store.counter.restarts

    def allows(self, work: Work) -> bool:
        """Return whether this kind of work may be done now."""
        if not self.is_up or not self._may_write:
            return False
        if any(work in FORBIDDEN[it.reason] for it in self.holds):
            return False

        return work is not Work.CLEAN or self._is_clear

    async def allowed(self, work: Work) -> None:
        """Wait until this kind of work may be done."""
        while not self.allows(work):
            await self._changed.wait()

    async def record(self) -> bool:
        """Store the counter in the bucket; return whether evictions may go on.

        This happens between the marks of evictions and the deletion of their ImageJobs. Otherwise,
        a database that is restored to a state before the marks would go unnoticed, and evicted
        ImageJobs would look as if users had deleted them.

        Raises:
            HistoryUnavailableError: The database is unavailable.
        """
        copy, known = self._copy, self._history.store.counter.known
        owner = await self._history.store.read_owner()
        if owner is None or copy is None or owner.written < max(copy.written, known):
            self._wake.set()
            return False
        if copy.is_database_restored or not self.allows(Work.CLEAN):
            return False

        try:
            await self._save_copy(owner, self.holds)
        except StoreUnavailableError as error:
            log.warning("nothing is evicted, because the bucket does not answer: %s", error)
            return False

        return True

    def report(self, error: HistoryError) -> None:
        """Note that a request has failed."""
        self._failures += 1
        self._went_down(error)
        self._wake.set()

    def listed(self, version: int, known: int) -> None:
        """Note the resourceVersion of a complete list of ImageJobs, and the newest known before.

        Nothing is cleaned up until a check has compared them.
        """
        self._listed = version
        self.compare(version, known)

    def compare(self, version: int, known: int) -> None:
        """Note the resourceVersion of any complete list, and the newest known before.

        It stays noted until a person confirms it, even if the database is unavailable meanwhile.
        """
        if version < known:
            self._lost_version = max(self._lost_version, known)

        self._lists += 1
        self._is_clear = False
        self._wake.set()

    async def run(self) -> None:
        """Check regularly until cancelled."""
        while True:
            self._wake.clear()
            failures = self._failures
            await self._try()
            if self._failures == failures:
                await self._until_woken()

            # Requests may fail although checks succeed, for example if the disk is full. Without a
            # pause, each check would let them fail again at once.
            if self._failures > failures:
                await asyncio.sleep(backoff(self._failures - 1, *RETRY_SECONDS))

    async def _until_woken(self) -> None:
        """Wait until the next check, and forget earlier failures if no request has failed."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._failures = 0

    async def check(self) -> bool:
        """Check now, and return whether cleaning up is allowed.

        Raises:
            HistoryUnavailableError: The database is unavailable.
            KubeError: The identity ConfigMap can't be read.
        """
        await self._look()
        return self.allows(Work.CLEAN)

    async def _try(self) -> None:
        """Check once."""
        try:
            if not self.is_up:
                await self._history.prepare()
            await self._look()
        except HistoryError as error:
            self._failures += 1
            self._went_down(error)
        except NotOursError as error:
            self._set(holds=[Hold(STORAGE_NOT_OURS, str(error))], is_up=True, is_clear=False)
        except KubeError as error:
            self._failures += not self.is_up
            self._say(f"the release's identity can't be read, so nothing is cleaned up: {error}")
            self._set(holds=self.holds, is_up=self.is_up, is_clear=False)

    async def _look(self) -> None:
        """Compare database, bucket and cluster. Checks don't overlap: one may end a hold."""
        async with self._looking:
            await self._compare()

    async def _compare(self) -> None:
        store, settings, lists = self._history.store, self._around.settings, self._lists
        # What is known is older than the counter that it is compared with, which only grows.
        copy, known = self._copy, store.counter.known
        identity = await read_identity(
            self._around.kube, settings.namespace, settings.identity_name
        )
        owner = await store.read_owner()
        if owner is None:
            await store.claim(identity.uid)
            owner = await store.read_owner()
        if owner is None:
            raise HistoryError("HistoryUnavailable", "the table owner has no row after claiming it")

        if self._expected is None:
            self._expected = owner.resource_version
        self.rows = await store.count()
        try:
            holds = await self._holds(identity, owner, Known(copy, known))
        except StoreUnavailableError as error:
            self._say(f"the bucket does not answer, so nothing is cleaned up: {error}")
            other = [] if owner.uid == identity.uid else self._other_owner(identity, owner)
            self._set(holds=other or self.holds, is_up=True, is_clear=False)
            return

        self._say("; ".join(f"{it.reason}: {it.message}" for it in holds) or "the history works")
        is_clear = self._listed is not None and self._lists == lists
        # Together with the holds: work that they forbid must not begin before they are known.
        self._may_write = True
        self._set(holds=holds, is_up=True, is_clear=is_clear)

    def _other_owner(self, identity: Identity, owner: Owner) -> list[Hold]:
        return holds_of(Seen(identity, owner, CounterCopy(), self._listed_version))

    @property
    def _listed_version(self) -> int:
        return self._listed or 0

    async def _holds(self, identity: Identity, owner: Owner, known: Known) -> list[Hold]:
        """Return the holds, after ending those that a person has confirmed."""
        copy = known.copy
        if copy is None:
            copy = await self._first_copy()
            # Another archiver may have written rows since, and counted them in the copy.
            owner = await self._history.store.read_owner() or owner

        self._note_restore(owner, copy, known.written)
        if self._is_restored:
            # With evictions recorded meanwhile: the token for a person must not change again.
            copy = self._copy or copy
        await self._refresh_version()
        found = self._found(identity, owner, copy)
        if _has_lost_rows(found) and not _has_lost_rows(self.holds):
            self._tell_lost_rows()

        confirmed = [it for it in found if is_confirmed(it, identity)]
        if confirmed and self._listed is not None:
            copy = await self._confirm(confirmed, identity)
            owner = await self._history.store.read_owner() or owner
            found = self._found(identity, owner, copy)

        await self._save_copy(owner, found)
        self._note_counter(owner, known.written)
        return await self._storage_holds() + found

    def _note_restore(self, owner: Owner, copy: CounterCopy, known: int) -> None:
        """Note that the database has fewer rows or marks than before, if so.

        If all that it has forgotten is still in etcd, it is written again, and nothing is held.
        """
        copied = copy.written
        if owner.written < known and self._copy is not None:
            # It went back after `known` was read, so evictions recorded since then count, too.
            copied = max(copied, self._copy.written)

        if owner.written < copied and not self._is_restored:
            self._is_restored = True
            # Nothing is written until the bucket has it: this process may be killed before.
            self._may_write = False

    def _note_counter(self, owner: Owner, known: int) -> None:
        """Accept the counter, even if it is lower, after the bucket has what that means.

        Until then, transactions that were begun before the restore was noticed must fail.
        """
        counter = self._history.store.counter
        if owner.written < known:
            counter.restart(owner.written)
            self._tell_lost_rows()
        else:
            counter.note(owner.written)

    async def _first_copy(self) -> CounterCopy:
        """Return the copy in the bucket, or a newer one that was stored meanwhile."""
        found = await read_copy(self._around.bucket)
        if self._copy is None:
            self._copy = found

        return self._copy

    async def _refresh_version(self) -> None:
        """Ask for the current resourceVersion if the list is older than what was archived before.

        Another archiver may have archived ImageJobs that changed after the list. Only a version
        that is read after the row of the owner shows that etcd was restored.
        """
        if self._listed is not None and self._listed < (self._expected or 0):
            self._listed = max(self._listed, await self._cluster.current_version())

    def _found(self, identity: Identity, owner: Owner, copy: CounterCopy) -> list[Hold]:
        expected = self._expected or 0
        lost = max(copy.lost_version, self._lost_version)
        is_restored = copy.is_database_restored or self._is_restored
        copy = replace(copy, lost_version=lost, is_database_restored=is_restored)
        listed = expected if self._listed is None else self._listed
        before = replace(owner, resource_version=expected)
        return holds_of(Seen(identity, before, copy, listed))

    def _tell_lost_rows(self) -> None:
        for tell in self.on_lost_rows:
            tell()

    async def _storage_holds(self) -> list[Hold]:
        try:
            await self._around.ownership.require()
        except NotOursError as error:
            return [Hold(error.reason, str(error))]

        return []

    async def _confirm(self, holds: list[Hold], identity: Identity) -> CounterCopy:
        """End holds that a person has confirmed, and return the new copy.

        If this is interrupted, it can be repeated.
        """
        store = self._history.store
        existing = await self._cluster.existing()
        kept = await store.keep_all(existing.live | existing.deleted, existing.live)
        copy = self._copy or CounterCopy()

        reasons = {it.reason for it in holds}
        if DATABASE_NOT_OURS in reasons:
            await store.claim(identity.uid)
        if reasons & {DATABASE_NOT_OURS, CLUSTER_RESTORED}:
            await self._history.marks.reset_resource_version(self._listed_version)
            self._expected = self._lost_version = 0
            copy = replace(copy, lost_version=0)
        if reasons & {DATABASE_NOT_OURS, HISTORY_RESTORED}:
            owner = await store.read_owner()
            written = owner.written if owner else 0
            copy = replace(copy, written=written, is_database_restored=False)
            self._is_restored = False

        await write_copy(self._around.bucket, copy)
        self._copy = copy
        self._tell_lost_rows()
        log.warning("confirmed: %s; %d rows of unknown jobs are kept", sorted(reasons), kept)
        return copy

    async def _save_copy(self, owner: Owner, holds: list[Hold]) -> None:
        """Store the counter and the holds in the bucket, if they have changed."""
        if any(it.reason == DATABASE_NOT_OURS for it in holds):
            return

        async with self._writing_copy:
            copy = self._copy or CounterCopy()
            wanted = _updated(copy, owner, holds)
            if wanted != copy:
                await write_copy(self._around.bucket, wanted)
                self._copy = wanted

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


def _has_lost_rows(holds: list[Hold]) -> bool:
    """Return whether rows that this process has written may be missing in the database."""
    return any(it.reason in (DATABASE_NOT_OURS, HISTORY_RESTORED) for it in holds)


def _updated(copy: CounterCopy, owner: Owner, holds: list[Hold]) -> CounterCopy:
    """Return the copy with the current counter and holds. The counter never decreases."""
    tokens = {it.reason: it.token for it in holds}
    if HISTORY_RESTORED in tokens:
        copy = replace(copy, is_database_restored=True)
    else:
        copy = replace(copy, written=max(copy.written, owner.written))
    if CLUSTER_RESTORED in tokens:
        version = tokens[CLUSTER_RESTORED].removeprefix("cluster-")
        copy = replace(copy, lost_version=int(version))

    return copy
