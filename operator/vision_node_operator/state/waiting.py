"""Remember until when ImageJobs wait, so that a round need not look at those that are not due."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush

MAX_OUTDATED = 1000
"""Number of outdated entries above which they are removed, if they are the majority. Otherwise,
ImageJobs that are deleted while they wait would remain until their wait is over."""


@dataclass
class Waiting:
    """Names of ImageJobs that wait until a certain time."""

    _until: dict[str, datetime] = field(default_factory=dict)
    _heap: list[tuple[datetime, str]] = field(default_factory=list)
    """All waits by their end. An entry that differs from `_until` is outdated."""

    def __contains__(self, name: str) -> bool:
        return name in self._until

    def add(self, name: str, until: datetime) -> None:
        """Make an ImageJob wait. If it waits already, only the later time counts."""
        if until > self._until.get(name, until) or name not in self._until:
            self._until[name] = until
            heappush(self._heap, (until, name))
            self._remove_outdated()

    def discard(self, name: str) -> None:
        """Forget an ImageJob, whether or not it waits."""
        self._until.pop(name, None)

    def release(self, now: datetime) -> Iterator[str]:
        """Forget the ImageJobs whose wait is over, and yield them in the order of its end."""
        while self._heap and self._heap[0][0] <= now:
            until, name = heappop(self._heap)
            if self._until.get(name) == until:
                del self._until[name]
                yield name

    def _remove_outdated(self) -> None:
        if len(self._heap) > 2 * len(self._until) + MAX_OUTDATED:
            self._heap = [(until, name) for name, until in self._until.items()]
            heapify(self._heap)
