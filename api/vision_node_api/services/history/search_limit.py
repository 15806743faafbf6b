"""Limit how many searches of the history run and wait, in all and for each owner."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from vision_node_contract.history.database import BUSY, HistoryUnavailableError

from ...web.fair_turns import FairTurns
from ...web.owner_share import OwnerShare

MAX_SEARCHES = 2
"""Maximum number of searches at the same time. They leave connections for polls."""

MAX_WAITING = 8
"""Maximum number of searches that wait. Each takes up to 5 s."""

RETRY_AFTER_SECONDS = "5"
"""Retry-After, in seconds, if one owner has too many searches."""


class SearchLimit:
    """Limits how many searches run and wait, in all and for each owner."""

    def __init__(self) -> None:
        self._running = FairTurns(MAX_SEARCHES)
        self._admitted = 0
        self.share = OwnerShare(
            MAX_SEARCHES + MAX_WAITING,
            "have {limit} searches of finished jobs that run or wait",
            "Send fewer searches, or lists with a filter, at the same time.",
            RETRY_AFTER_SECONDS,
        )
        """How many searches of one owner may run and wait."""

    @asynccontextmanager
    async def searching(self) -> AsyncIterator[None]:
        """Wait until a search may run, and count it for the duration of the block.

        Raises:
            HistoryUnavailableError: Too many searches are waiting.
            Problem: 429 OwnerShareUsed.
        """
        with self.share.holding(), self._counted():
            async with self._running:
                yield

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._admitted >= MAX_SEARCHES + MAX_WAITING:
            raise HistoryUnavailableError("too many searches are waiting", BUSY)

        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1
