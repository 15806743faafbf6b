"""Delete the data of ImageJobs that users have deleted: row, image and result."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Self

from vision_node_contract.clients.kube import KubeError, backoff
from vision_node_contract.history.database import HistoryError

from ...runtime.garbage_collector import GarbageCollector
from ..bounded import each
from ..counts import JobCounts
from ..history.holds import Work
from ..history.link import History, HistoryLink
from ..history.store import ExpiredJob
from .archive_queue import ArchiveQueue
from .job_reader import JobReader
from .live_jobs import LiveJob, LiveJobs

log = logging.getLogger(__name__)

MAX_EVICTED = 10_000
"""Maximum number of ImageJobs that this process is evicting, and whose deletion the watch has not
reported. There are rarely more than those of a second, unless the watch is interrupted. What a mark
in the database says is enough for others. They take 2 MB."""

MAX_WAITING = 10_000
"""Maximum number of ImageJobs whose data waits for its deletion, for example because the database
is unavailable. They take 10 MB. The reconciliation finds the rows of others, and the sweep their
objects."""

GROUP = 500
"""Maximum number of ImageJobs whose rows are deleted in one transaction."""

BUSY_SECONDS = 0.2
"""How long to wait for ImageJobs that are being archived or evicted at this moment."""

RETRY_SECONDS = (0.5, 30.0)
"""First and longest wait in seconds if the API server does not say whether ImageJobs exist."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """An ImageJob that does not exist anymore."""

    uid: str
    name: str
    keys: tuple[str, ...] = ()
    """The keys of its own objects."""
    is_seen: bool = False
    """Whether its deletion was seen, rather than concluded from a list in which it is missing."""

    @classmethod
    def of(cls, job: LiveJob, *, is_seen: bool) -> Self:
        """Return the deletion of an ImageJob."""
        return cls(job.uid, job.name, job.own_keys, is_seen)


class Deletions:
    """Deletes the data of deleted ImageJobs, unless they were evicted.

    A mark in the row tells that, and this process also remembers what it evicts: the database may
    be restored to a state without the mark before the watch reports the deletion.
    """

    def __init__(
        self,
        history: History,
        link: HistoryLink,
        live: LiveJobs,
        reader: JobReader,
        garbage: GarbageCollector,
    ) -> None:
        self._store = history.store
        self._marks = history.marks
        self._link = link
        self._live = live
        self._reader = reader
        self._garbage = garbage
        self.queue: ArchiveQueue | None = None
        self.counts = JobCounts()
        self.busy: set[str] = set()
        """The uids of ImageJobs that are being evicted at this moment."""
        self._evicted: dict[str, None] = {}
        """The uids of ImageJobs that this process has asked to be deleted, the oldest first."""
        self._waiting: dict[str, Deletion] = {}
        self._added = asyncio.Event()
        self._silence: KubeError | None = None
        """Why the API server did not say whether an ImageJob exists."""

    def add(self, deletion: Deletion) -> None:
        """Delete the data of an ImageJob soon."""
        before = self._waiting.get(deletion.uid)
        if before is None and len(self._waiting) >= MAX_WAITING:
            log.warning("the data of ImageJob %s is deleted later", deletion.name)
            return

        if before is None or deletion.is_seen:
            self._waiting[deletion.uid] = deletion
            self._added.set()

    def evicting(self, uids: Iterable[str]) -> None:
        """Note that this process is about to delete these ImageJobs, so that no user does."""
        self._evicted.update(dict.fromkeys(uids))
        for uid in list(islice(self._evicted, max(0, len(self._evicted) - MAX_EVICTED))):
            del self._evicted[uid]

    def not_evicted(self, uids: Iterable[str]) -> None:
        """Note that this process has not deleted these ImageJobs."""
        for uid in uids:
            self._evicted.pop(uid, None)

    def was_evicted(self, uid: str) -> bool:
        """Return whether this process has evicted an ImageJob that is gone, and forget it.

        Until the eviction has ended, it is not forgotten.
        """
        if uid not in self._evicted:
            return False

        if uid not in self.busy:
            del self._evicted[uid]
        return True

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def seen(self) -> set[str]:
        """The uids of ImageJobs that were seen being deleted, and whose data is still there."""
        return {it.uid for it in self._waiting.values() if it.is_seen}

    async def run(self) -> None:
        """Delete data until cancelled."""
        failures = 0
        while True:
            await self._added.wait()
            await self._link.allowed(Work.DELETE)
            try:
                await self.delete_waiting()
            except HistoryError as error:
                self._link.report(error)

            failures = failures + 1 if self._silence else 0
            if self._silence:
                pause = backoff(failures - 1, *RETRY_SECONDS)
                log.warning(
                    "can't read deleted ImageJobs, again in %.1f s: %s", pause, self._silence
                )
                await asyncio.sleep(pause)
            elif self._waiting:
                await asyncio.sleep(BUSY_SECONDS)
            else:
                self._added.clear()

    async def delete_waiting(self) -> None:
        """Delete the data of the ImageJobs that wait, up to a group.

        Raises:
            HistoryUnavailableError: The database is unavailable; those that are left still wait.
        """
        in_flight = self.queue.in_flight if self.queue else set()
        busy = self.busy | in_flight
        can_conclude = self._link.allows(Work.CLEAN)
        if not can_conclude and self._link.holds:
            self._drop_unseen()

        ready = (
            it
            for it in self._waiting.values()
            if it.uid not in busy and (it.is_seen or can_conclude)
        )
        group = list(islice(ready, GROUP))
        gone = await self._gone(group)
        if not self._link.allows(Work.CLEAN):
            # A restore was noticed meanwhile, so marks may be missing, and counters don't tell.
            gone = [it for it in gone if it.is_seen]
        if not gone:
            return

        # The rows are asked last: whatever was evicted was marked before it was deleted.
        marked = await self._marks.marked([it.uid for it in gone])
        deleted = [it for it in gone if it.uid not in marked]
        await self.delete_jobs(
            [it.uid for it in deleted], [key for it in deleted for key in it.keys]
        )
        for it in gone:
            self._drop(it)

    async def _gone(self, group: list[Deletion]) -> list[Deletion]:
        """Return those that certainly don't exist. Those that exist are dropped; others wait."""
        unseen = [it for it in group if not it.is_seen]
        self._silence = None
        answers = await each(self._exists, unseen)
        for it, exists in zip(unseen, answers, strict=True):
            if exists:
                self._drop(it)

        missing = {it.uid for it, exists in zip(unseen, answers, strict=True) if exists is False}
        return [it for it in group if it.is_seen or it.uid in missing]

    async def _exists(self, deletion: Deletion) -> bool | None:
        """Return whether an ImageJob exists; None if the API server does not say."""
        if self._silence:
            return None

        try:
            return await self._reader.get(deletion.name, deletion.uid) is not None
        except KubeError as error:
            self._silence = error
            return None

    def _drop_unseen(self) -> None:
        """Forget what was concluded before a hold. The reconciliation finds it again."""
        for it in [it for it in self._waiting.values() if not it.is_seen]:
            self._drop(it)

    def _drop(self, deletion: Deletion) -> None:
        if self._waiting.get(deletion.uid) == deletion:
            del self._waiting[deletion.uid]

    async def delete_jobs(self, uids: list[str], keys: Iterable[str] = ()) -> None:
        """Delete rows and objects: a tombstone first, so that late rows bring nothing back.

        Raises:
            HistoryUnavailableError: The database is unavailable. What is left is found again by its
                tombstone, or by the sweep.
        """
        if not uids:
            return

        rows = await self._store.keys_of(uids)
        await self._store.add_tombstones(uids)
        await self._store.delete_jobs(uids)
        self.counts.deleted += len(uids)

        results = {it.result_key for it in rows if it.result_key}
        images = {it.image_key for it in rows if it.image_key}
        await self.delete_objects(results | images | set(keys))

    async def delete_objects(self, keys: Collection[str]) -> None:
        """Delete objects that neither an ImageJob in etcd nor a row names.

        Raises:
            HistoryUnavailableError: The database is unavailable, so a sweep deletes them.
        """
        if not keys:
            return

        named = await self._store.named_images(keys)
        self._garbage.collect_keys(key for key in keys if key not in named)
        self._garbage.delete_unnamed(self._live)

    async def delete_images(self, keys: Collection[str]) -> None:
        """Delete images that no row names, even if finished ImageJobs in etcd name them.

        Raises:
            HistoryUnavailableError: The database is unavailable, so a sweep deletes them.
        """
        named = await self._store.named_images(keys) if keys else set()
        self._garbage.delete_keys(key for key in keys if key not in named)

    async def delete_copied_results(self, jobs: list[LiveJob]) -> None:
        """Delete the results in the bucket of evicted ImageJobs whose rows have these results."""
        rows: list[ExpiredJob] = await self._store.keys_of([it.uid for it in jobs])
        named = {it.uid: it.result_key for it in rows}
        self._garbage.collect_keys(
            it.result_key
            for it in jobs
            if it.result_key and it.uid in named and named[it.uid] is None
        )
        self._garbage.delete_unnamed(self._live)
