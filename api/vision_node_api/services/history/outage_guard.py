"""Let requests to the database fail immediately while it is known to be away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vision_node_contract.history.database import BUSY, HistoryError, HistoryUnavailableError

UNAVAILABLE = "HistoryUnavailable"
"""The reason of errors that concern the database itself, not one request."""

PAUSE_SECONDS = 1.0
"""How long requests fail immediately after one that failed, in seconds. Then one tries again.
Without this, each poll for an unknown id would wait for a database that hangs."""

TRIAL_SECONDS = 1.0
"""Time limit for the request that tries again, in seconds. Usually, the database answers within a
few milliseconds."""

CONCLUSIVE_SECONDS = 2.0
"""Minimum number of seconds without an answer after which the database counts as away. Less may be
a short peak of load."""

T = TypeVar("T")


class OutageGuard:
    """Passes requests on while the database answers, and one a second while it doesn't.

    Args:
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outage: str | None = None
        """What the latest request that failed has reported; None while the database answers."""
        self._retry_at = 0.0
        self._is_trying = False

    async def run(self, request: Callable[[], Awaitable[T]], seconds: float) -> T:
        """Send a request, and return its result.

        Args:
            request: Function that sends the request.
            seconds: Time limit. It is shorter while the database is away.

        Raises:
            HistoryError: The database is away, or the request failed.
        """
        is_trial = self._admit()
        limit = min(seconds, TRIAL_SECONDS) if is_trial else seconds

        try:
            async with asyncio.timeout(limit):
                result = await request()
        except TimeoutError as error:
            late = HistoryUnavailableError(f"the database did not answer within {limit:g} s")
            if is_trial or limit >= CONCLUSIVE_SECONDS:
                self._record(late)
            raise late from error
        except HistoryError as error:
            self._record(error)
            raise
        finally:
            if is_trial:
                self._is_trying = False

        self._outage = None
        return result

    def _admit(self) -> bool:
        """Return whether the request is the one that tries again.

        Raises:
            HistoryUnavailableError: The request must not be sent.
        """
        if self._outage is None:
            return False
        if self._is_trying or self._clock() < self._retry_at:
            raise HistoryUnavailableError(self._outage)

        self._is_trying = True
        return True

    def _record(self, error: HistoryError) -> None:
        """Note that a request failed. A database that refuses one request is not away."""
        if error.reason == UNAVAILABLE:
            self._outage = str(error)
            self._retry_at = self._clock() + PAUSE_SECONDS
        elif error.reason != BUSY:
            self._outage = None
