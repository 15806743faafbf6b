"""The order in which ImageJobs are listed: by their creation, from the newest to the oldest."""

import sys
from bisect import bisect_left, insort
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from vision_node_contract.json_types import Json
from vision_node_contract.names import OWNER_LABEL


class Created(NamedTuple):
    """An ImageJob in the order. Creation times are often equal, because they have whole seconds."""

    at: datetime
    uid: str
    name: str
    owner: str


class CreationOrder:
    """Keeps ImageJobs sorted, so that a page of a list needs no look at all of them."""

    def __init__(self) -> None:
        self._sorted: list[Created] = []
        """From the oldest to the newest. Most changes are at the ends, where they are fast; one in
        the middle moves 240 kB with 30,000 ImageJobs."""
        self._by_name: dict[str, Created] = {}

    def add(self, name: str, body: Json) -> None:
        """Add an ImageJob, unless its metadata is incomplete."""
        metadata = body["metadata"]
        created, uid = metadata.get("creationTimestamp"), metadata.get("uid")
        if not created or not uid:
            return

        owner = sys.intern((metadata.get("labels") or {}).get(OWNER_LABEL, ""))
        entry = Created(datetime.fromisoformat(created), uid, name, owner)
        self._by_name[name] = entry
        insort(self._sorted, entry)

    def remove(self, name: str) -> None:
        """Remove an ImageJob, if it is there."""
        entry = self._by_name.pop(name, None)
        if entry:
            del self._sorted[bisect_left(self._sorted, entry)]

    def owner_of(self, name: str) -> str:
        """Return to whom an object belongs; empty if it is not there, or has no owner."""
        entry = self._by_name.get(name)
        return entry.owner if entry else ""

    def before(self, at: datetime, uid: str, owner: str | None) -> Iterator[str]:
        """Yield the names of the ImageJobs that come after a place in the list."""
        for entry in self.entries_before(at, uid, owner):
            yield entry.name

    def entries_before(self, at: datetime, uid: str, owner: str | None) -> Iterator[Created]:
        """Yield the ImageJobs that come after a place in the list."""
        end = bisect_left(self._sorted, Created(at, uid, "", ""))
        for position in range(end - 1, -1, -1):
            entry = self._sorted[position]
            if not owner or entry.owner == owner:
                yield entry
