"""The finished ImageJobs that are to be archived."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from .live_jobs import Content, LiveJob

MAX_CONTENTS = 2000
"""Maximum number of ImageJobs whose content is kept. Of further ones, only the names are kept, and
they are read again."""

MAX_CONTENT_BYTES = 16 << 20
"""Maximum size of the content that is kept for all ImageJobs together, in bytes of JSON text. As
objects in memory, it takes at most about four times as much."""

GROUP = 500
"""Maximum number of ImageJobs that are written in one transaction."""

STORED_GROUP = 64
"""Maximum number of ImageJobs with results in the bucket in one transaction. If the bucket is
silent, reading them takes two minutes, and deletions of those that are in flight wait so long."""

GROUP_SECONDS = 0.1
"""How long to wait for further ImageJobs to write in the same transaction. The watch already lets
changes accumulate for a second, so this is only until all of them are read. A transaction takes
about 3 ms of CPU time on both sides, as much as six rows, so a busy release has few and large ones.
Rows still appear within two seconds."""


@dataclass(slots=True)
class Entry:
    """An ImageJob to archive."""

    uid: str
    name: str
    content: Content | None
    """None if it has to be read again."""
    may_be_archived: bool
    """Whether it may be archived already, because it was finished when it was first seen."""
    is_stored: bool = False
    """Whether its result is in the bucket."""


class ArchiveQueue:
    """ImageJobs to archive, in the order in which they finished. Each is there once.

    Those with results in the bucket form groups of their own: a silent bucket must not hold up the
    others.
    """

    def __init__(self) -> None:
        self._lanes: dict[bool, dict[str, Entry]] = {False: {}, True: {}}
        """Those that wait, by whether their results are in the bucket."""
        self._contents = 0
        self._bytes = 0
        self._added = asyncio.Event()
        self.in_flight: set[str] = set()
        """The uids of those that are being written."""

    def __len__(self) -> int:
        return sum(map(len, self._lanes.values())) + len(self.in_flight)

    def __contains__(self, uid: str) -> bool:
        return uid in self.in_flight or any(uid in lane for lane in self._lanes.values())

    def uids(self) -> list[str]:
        """Return the uids of all that wait or are being written."""
        return [*self._lanes[False], *self._lanes[True], *self.in_flight]

    def offer(self, job: LiveJob, content: Content | None, *, may_be_archived: bool) -> None:
        """Add a finished ImageJob, or replace its content."""
        if job.uid in self.in_flight:
            return

        self.remove(job.uid)
        is_full = self._contents >= MAX_CONTENTS
        if content and (is_full or self._bytes + content.size > MAX_CONTENT_BYTES):
            content = None

        self._add(Entry(job.uid, job.name, content, may_be_archived, job.has_stored_result))

    def remove(self, uid: str) -> None:
        """Remove an ImageJob that was deleted."""
        for lane in self._lanes.values():
            if entry := lane.pop(uid, None):
                self._count(entry, -1)

    async def filled(self, *, is_stored: bool) -> None:
        """Wait until there is a group to write."""
        lane, group = self._lanes[is_stored], _group(is_stored=is_stored)
        while not lane:
            self._added.clear()
            await self._added.wait()
        if len(lane) >= group:
            return

        try:
            async with asyncio.timeout(GROUP_SECONDS):
                while len(lane) < group:
                    self._added.clear()
                    await self._added.wait()
        except TimeoutError:
            return

    def take(self, *, is_stored: bool) -> list[Entry]:
        """Take the next group. Call done() or give_back() for each entry of it."""
        taken = list(islice(self._lanes[is_stored].values(), _group(is_stored=is_stored)))
        for entry in taken:
            self.remove(entry.uid)
            self.in_flight.add(entry.uid)

        return taken

    def done(self, uids: Iterable[str]) -> None:
        """Note that ImageJobs were archived, or need not be."""
        self.in_flight.difference_update(uids)

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Put ImageJobs that could not be archived at the end of the queue."""
        for entry in entries:
            if entry.uid in self.in_flight:
                self.in_flight.discard(entry.uid)
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        self._lanes[entry.is_stored][entry.uid] = entry
        self._count(entry, 1)
        self._added.set()

    def _count(self, entry: Entry, sign: int) -> None:
        if entry.content is not None:
            self._contents += sign
            self._bytes += sign * entry.content.size


def _group(*, is_stored: bool) -> int:
    return STORED_GROUP if is_stored else GROUP
