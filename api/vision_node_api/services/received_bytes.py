"""Count the bytes of images that owners send apart from jobs: for batches, and to the inbox.

The history counts an image when it has ended, which for a large batch is hours later. Each replica
counts what it has received itself, so the numbers of others are missing, and all start at 0 when a
replica starts.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

MAX_OWNERS = 10_000
"""Maximum number of owners to remember. The one that sent something longest ago is forgotten."""


class ReceivedBytes:
    """What each owner has sent today.

    Args:
        today: Function that returns the day in UTC.
    """

    def __init__(self, today: Callable[[], date]) -> None:
        self._today = today
        self._day = today()
        self._bytes: OrderedDict[str, int] = OrderedDict()

    def of(self, owner: str | None) -> int:
        """Return how many bytes the owner has sent today; None for all owners."""
        self._begin_day()
        return sum(self._bytes.values()) if owner is None else self._bytes.get(owner, 0)

    def add(self, owner: str, size: int) -> None:
        """Count bytes that the owner has sent."""
        self._begin_day()
        self._bytes[owner] = max(0, self._bytes.get(owner, 0) + size)
        self._bytes.move_to_end(owner)
        if len(self._bytes) > MAX_OWNERS:
            self._bytes.popitem(last=False)

    def _begin_day(self) -> None:
        today = self._today()
        if today != self._day:
            self._day = today
            self._bytes.clear()


@dataclass(slots=True)
class Reception:
    """Counts one upload while it arrives, and forgets it if it fails."""

    received: ReceivedBytes
    owner: str
    require_room: Callable[[], None]
    """Raises a problem if the owner has sent too much."""
    _size: int = field(default=0, init=False)

    def add(self, size: int) -> None:
        """Count bytes that have arrived.

        Raises:
            Problem: 429 DailyBytesUsed.
        """
        self.received.add(self.owner, size)
        self._size += size
        self.require_room()

    def forget(self) -> None:
        """Count nothing of the upload, because it has failed."""
        self.received.add(self.owner, -self._size)
        self._size = 0
