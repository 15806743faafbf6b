"""The finished ImageJobs that are to be archived."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass

from vision_node_contract.json_types import Json

MAX_BODIES = 2000
"""Maximum number of ImageJobs whose JSON is kept. Of further ones, only the names are kept, and
they are read again."""

MAX_BODY_BYTES = 32 << 20
"""Maximum size of the JSON that is kept for all ImageJobs together, in bytes of text. As objects in
memory, it takes at most about twice as much."""

GROUP = 500
"""Maximum number of ImageJobs that are written in one transaction."""

GROUP_SECONDS = 0.2
"""How long to wait for further ImageJobs to write in the same transaction."""


@dataclass(slots=True)
class Entry:
    """An ImageJob to archive."""

    uid: str
    name: str
    body: Json | None
    """Its JSON; None if it has to be read again."""
    size: int
    """Number of bytes of its JSON; 0 without it."""
    may_be_archived: bool
    """Whether it may be archived already, because it was finished when it was first seen."""


class ArchiveQueue:
    """ImageJobs to archive, in the order in which they finished. Each is there once."""

    def __init__(self) -> None:
        self._waiting: dict[str, Entry] = {}
        self._bodies = 0
        self._bytes = 0
        self._added = asyncio.Event()
        self.in_flight: set[str] = set()
        """The uids of those that are being written."""

    def __len__(self) -> int:
        return len(self._waiting) + len(self.in_flight)

    def __contains__(self, uid: str) -> bool:
        return uid in self._waiting or uid in self.in_flight

    def uids(self) -> list[str]:
        """Return the uids of all that wait or are being written."""
        return [*self._waiting, *self.in_flight]

    def offer(self, uid: str, name: str, body: Json | None, *, may_be_archived: bool) -> None:
        """Add a finished ImageJob, or replace its JSON."""
        if uid in self.in_flight:
            return

        self.remove(uid)
        size = len(json.dumps(body)) if body is not None else 0
        if self._bodies >= MAX_BODIES or self._bytes + size > MAX_BODY_BYTES:
            body, size = None, 0

        self._add(Entry(uid, name, body, size, may_be_archived))

    def remove(self, uid: str) -> None:
        """Remove an ImageJob that was deleted."""
        entry = self._waiting.pop(uid, None)
        if entry is not None:
            self._count(entry, -1)

    async def filled(self) -> None:
        """Wait until there is a group to write."""
        while not self._waiting:
            self._added.clear()
            await self._added.wait()
        if len(self._waiting) >= GROUP:
            return

        try:
            async with asyncio.timeout(GROUP_SECONDS):
                while len(self._waiting) < GROUP:
                    self._added.clear()
                    await self._added.wait()
        except TimeoutError:
            return

    def take(self) -> list[Entry]:
        """Take the next group. Call done() or give_back() for each entry of it."""
        taken = list(self._waiting.values())[:GROUP]
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
        self._waiting[entry.uid] = entry
        self._count(entry, 1)
        self._added.set()

    def _count(self, entry: Entry, sign: int) -> None:
        if entry.body is not None:
            self._bodies += sign
            self._bytes += sign * entry.size
