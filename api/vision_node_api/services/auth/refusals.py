"""Refuse clients that do not say who they are, and slow down those that try many keys."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter

from ...web.failure_budget import FailureBudget
from ...web.problems import Problem

DELAY_SECONDS = 1.0
"""How long an answer to a wrong key is delayed at least, in seconds, if its address has sent too
many. A client sends no further request on the connection meanwhile."""

ANSWERS_PER_SECOND = 300
"""How many delayed answers are sent a second, at the same distance from each other. An answer and
the request that follows it cost about 0.1 ms. Many at once would delay all other clients."""

MAX_DELAYED = 2400
"""Maximum number of answers that are delayed at the same time. Each takes about 10 kB, with its
connection. Connections of further clients are closed after their answers, which are not delayed. So
an answer is delayed by nine seconds at most, less than a server that stops waits for it."""


class Turns:
    """Gives delayed answers their turns, one after the other.

    Args:
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def take(self) -> float:
        """Take the next turn, and return the time until then in seconds."""
        now = self._clock()
        self._last = max(now + DELAY_SECONDS, self._last + 1 / ANSWERS_PER_SECOND)
        return self._last - now


class Refusals:
    """Counts refused requests, and delays answers to an address that sends many.

    Args:
        refused: Counter of refused requests by reason.
    """

    def __init__(self, refused: Counter) -> None:
        self._refused = refused
        self._budget = FailureBudget()
        self._turns = Turns()
        self._delayed = 0

    def count(self, reason: str) -> None:
        """Count a refused request."""
        self._refused.labels(reason).inc()

    def is_spent(self, address: str) -> bool:
        """Return whether the address has sent so many wrong keys that the next one is delayed."""
        return self._budget.is_spent(address)

    async def delay(self, address: str, *, can_delay: bool = True) -> bool:
        """Wait before an answer to a wrong key, if its address has sent many.

        Args:
            address: The client's address.
            can_delay: Whether the connection may stay open meanwhile.

        Returns:
            Whether the connection has to be closed after the answer, because there was no wait.
        """
        if self._budget.take(address):
            return False

        if not can_delay or self._delayed >= MAX_DELAYED:
            return True

        with self._delaying():
            await asyncio.sleep(self._turns.take())
        return False

    @contextmanager
    def _delaying(self) -> Iterator[None]:
        self._delayed += 1
        try:
            yield
        finally:
            self._delayed -= 1


def unauthenticated(headers: dict[str, str] | None = None) -> Problem:
    """Return the problem of all requests that do not say who sent them, whatever is wrong."""
    detail = (
        "The request has no valid API key or token. Send a key in the header "
        "`Authorization: Bearer vn_…`. Keys expire, and administrators create and revoke them. "
        "GET /whoami says whether a key works."
    )
    return Problem(401, "Unauthenticated", detail, headers=headers)
