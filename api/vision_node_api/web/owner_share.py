"""Let no owner hold all of what a replica does for its clients at the same time.

Each pool that all clients share, such as the followers or the uploads in progress, has a share for
each owner, so that the others find room. Nothing is counted without authentication, because then
there are no owners.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .access import current_access
from .problems import Problem

PART = 2
"""One owner holds at most one part of so many of a pool. With half of it, an owner that is alone
rarely notices, and a single one can't keep the others out."""


def share_of(pool: int) -> int:
    """Return how much of a pool of this size one owner may hold, at least 1."""
    return max(1, pool // PART)


class OwnerShare:
    """Counts what each owner holds of one pool.

    Args:
        pool: The size of the pool, in any unit.
        held: What an owner holds if it uses up its share, as the end of the sentence "The clients
            of this owner already …". `{limit}` stands for the share.
        remedy: What to do, in a complete sentence.
        retry_after: Retry-After in seconds, if the share is used up.
    """

    def __init__(self, pool: int, held: str, remedy: str, retry_after: str) -> None:
        self.limit = share_of(pool)
        """How much one owner may hold."""
        self._text = held
        self._remedy = remedy
        self._retry_after = retry_after
        self._held: Counter[str] = Counter()
        """What each owner holds. Owners that hold nothing are not in it."""

    @property
    def owners(self) -> int:
        """Number of owners that hold something."""
        return len(self._held)

    def has_room(self, amount: int = 1) -> bool:
        """Return whether the current client may hold so much more. A single thing always fits."""
        held = self._held[current_access().owner]
        return not held or held + amount <= self.limit

    @contextmanager
    def holding(self, amount: int = 1) -> Iterator[None]:
        """Count what the current client holds for the duration of the block.

        Raises:
            Problem: 429 OwnerShareUsed.
        """
        owner = current_access().owner
        if not owner:
            yield
            return
        if not self.has_room(amount):
            raise self._problem()

        self._held[owner] += amount
        try:
            yield
        finally:
            self._held[owner] -= amount
            if not self._held[owner]:
                del self._held[owner]

    def _problem(self) -> Problem:
        what = self._text.format(limit=self.limit)
        detail = (
            f"The clients of this owner already {what}, which is the share of one owner at this "
            f"replica of the API. {self._remedy} Try again after {self._retry_after} s."
        )
        headers = {"Retry-After": self._retry_after}
        return Problem(429, "OwnerShareUsed", detail, headers=headers)
