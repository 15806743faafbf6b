"""What the archiver does with single ImageJobs without a database: it deletes their objects."""

import asyncio

from ...runtime.garbage_collector import GarbageCollector
from .live_jobs import Content, LiveJob, LiveJobs

DELETE_SECONDS = 1.0
"""Interval at which deletions are started that had to wait until the folders' owner was known."""


async def delete_periodically(garbage: GarbageCollector, live: LiveJobs) -> None:
    """Start deletions that had to wait, until cancelled."""
    while True:
        await asyncio.sleep(DELETE_SECONDS)
        if live.synced.is_set():
            garbage.delete_unnamed(live)


class EtcdJobs:
    """Deletes the objects of ImageJobs that are gone. The operator deletes ImageJobs."""

    def __init__(self, garbage: GarbageCollector, live: LiveJobs) -> None:
        self._garbage = garbage
        self._live = live

    def finished(self, job: LiveJob, content: Content, *, is_new: bool) -> None:
        """Do nothing."""

    def deleted(self, job: LiveJob, *, is_seen: bool) -> None:  # noqa: ARG002 (an observer's)
        """Delete the objects of an ImageJob, unless others name them."""
        self._garbage.collect_keys(job.own_keys)
        self._delete()

    def was_evicted(self, uid: str) -> bool:  # noqa: ARG002 (an observer's)
        """Return False: without a database, nothing is evicted."""
        return False

    def listed(self, version: int, known: int) -> None:  # noqa: ARG002 (an observer's)
        """Delete the objects of ImageJobs that were deleted before all others were known."""
        self._delete()

    def _delete(self) -> None:
        if self._live.synced.is_set():
            self._garbage.delete_unnamed(self._live)
