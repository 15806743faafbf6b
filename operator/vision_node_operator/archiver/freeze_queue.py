"""Freeze queued ImageBatches in the order in which they came, two at a time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.clients.kube import KubeError, backoff
from vision_node_contract.models.imagebatch import ImageBatch

from ..runtime.freshness import Heartbeat
from .freezer import Freezer, may_freeze
from .manifests.freeze_errors import AttemptLostError, BatchGoneError

log = logging.getLogger(__name__)

MAX_RUNNING = 2
"""Number of ImageBatches that are frozen at the same time: while one of them has a million images,
small ones need not wait. Each takes up to 30 MB of memory."""

MAX_WAITING = 1000
"""Maximum number of ImageBatches to remember. If more are queued, they are listed again as soon as
these are frozen or wait for another attempt."""

RELIST_SECONDS = 30.0
"""Minimum time between two lists of the ImageBatches that were too many, while others wait for
another attempt. A list of some thousands of them takes the API server a second."""

RETRY_SECONDS = (0.5, 30.0)
"""First and longest wait in seconds before another attempt, if the bucket or the API server is
unavailable. The wait doubles with each failure, with full jitter."""

BEAT_SECONDS = 5.0
"""Maximum time between two rounds. Each round is a heartbeat for the liveness probe."""


@dataclass
class Entry:
    """An ImageBatch to freeze."""

    name: str
    uid: str
    cancel: bool
    """Whether it was cancelled."""
    failures: int = 0
    due: float = 0.0
    """Monotonic time in seconds before which it is not tried again."""


class FreezeQueue:
    """Decides which ImageBatch to freeze next.

    Args:
        freezer: Freezes one ImageBatch.
        delete: Deletes the data of an ImageBatch whose deletion the watch has seen.
        miss: Deals with an ImageBatch that was found to be gone. This is no proof of a deletion,
            because etcd may have been restored from a backup.
        relist: Offers all queued ImageBatches again. It is called if there were too many.
        heartbeat: Progress for the liveness probe.
    """

    def __init__(
        self,
        freezer: Freezer,
        delete: Callable[[str], None],
        miss: Callable[[str], None],
        relist: Callable[[], Awaitable[None]],
        heartbeat: Heartbeat,
    ) -> None:
        self._freezer = freezer
        self._delete = delete
        self._miss = miss
        self._relist = relist
        self._heartbeat = heartbeat
        self._waiting: dict[str, Entry] = {}
        self._running: dict[str, tuple[Entry, asyncio.Task[None]]] = {}
        self._overflowed = False
        self._relist_due = 0.0
        self._changed = asyncio.Event()

    def offer(self, batch: ImageBatch) -> None:
        """Add an ImageBatch if it may be frozen.

        If it was cancelled while being frozen, stop that first. The watch offers a batch again when
        its upload is complete, so until then it needs no place in the queue.
        """
        if not may_freeze(batch):
            return

        entry = Entry(batch.metadata.name, batch.metadata.uid, batch.spec.cancel)
        if entry.uid in self._running:
            running, task = self._running[entry.uid]
            if not entry.cancel or running.cancel:
                return
            running.cancel = True
            task.cancel()

        known = self._waiting.get(entry.uid)
        if known and (known.cancel or not entry.cancel):
            return
        if not known and len(self._waiting) >= MAX_WAITING:
            self._overflowed = True
            return

        self._waiting[entry.uid] = entry
        self._changed.set()

    def remove(self, uid: str) -> None:
        """Stop freezing a deleted ImageBatch, and delete its data."""
        self._waiting.pop(uid, None)
        if uid in self._running:
            self._running[uid][1].cancel()

        self._delete(uid)

    async def run(self) -> None:
        """Freeze ImageBatches until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._heartbeat.beat()
                self._changed.clear()
                self._start(tasks)
                if self._overflowed and self._may_list_again():
                    await self._list_again()

                await self._wait()

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        now = time.monotonic()
        due = [it for it in self._waiting.values() if it.due <= now and it.uid not in self._running]
        for entry in due[: MAX_RUNNING - len(self._running)]:
            del self._waiting[entry.uid]
            task = tasks.create_task(self._freeze(entry), name=f"freeze {entry.name}")
            self._running[entry.uid] = entry, task
            task.add_done_callback(partial(self._ended, entry.uid))

    def _ended(self, uid: str, _: asyncio.Task[None]) -> None:
        del self._running[uid]
        self._changed.set()

    def _may_list_again(self) -> bool:
        """Return whether there is room for others, and nothing else to do."""
        now = time.monotonic()
        if not self._waiting:
            return True
        if len(self._waiting) >= MAX_WAITING or now < self._relist_due:
            return False

        return all(it.due > now for it in self._waiting.values())

    async def _list_again(self) -> None:
        self._overflowed = False
        self._relist_due = time.monotonic() + RELIST_SECONDS
        try:
            await self._relist()
        except KubeError as error:
            self._overflowed = True
            log.warning("listing the ImageBatches again failed: %s", error)

    async def _wait(self) -> None:
        """Wait until something has changed, or until the next entry is due."""
        now = time.monotonic()
        pauses = [it.due - now for it in self._waiting.values() if it.due > now]
        try:
            async with asyncio.timeout(min([BEAT_SECONDS, *pauses])):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _freeze(self, entry: Entry) -> None:
        try:
            await self._freezer.freeze(entry.name, entry.uid)
        except BatchGoneError:
            self._miss(entry.uid)
        except StoreUnavailableError as error:
            self._retry(entry, error)
            await self._report(entry, error)
        except (KubeError, AttemptLostError) as error:
            self._retry(entry, error)

    def _retry(self, entry: Entry, error: Exception) -> None:
        pause = backoff(entry.failures, *RETRY_SECONDS)
        log.warning("ImageBatch %s: %s; trying again in %.1f s", entry.name, error, pause)
        again = Entry(
            entry.name, entry.uid, entry.cancel, entry.failures + 1, time.monotonic() + pause
        )
        self._waiting.setdefault(entry.uid, again)

    async def _report(self, entry: Entry, error: StoreUnavailableError) -> None:
        try:
            await self._freezer.report_waiting(entry.name, entry.uid, error)
        except BatchGoneError:
            self._miss(entry.uid)
        except KubeError as problem:
            log.warning(
                "the condition Waiting of ImageBatch %s was not set: %s", entry.name, problem
            )
