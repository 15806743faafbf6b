"""Decides when the next request may go to a provider: by what we may ask and by what it asks of us."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from vision_node_contract.reasons import DescribeError, Reason

DEFAULT_HOLD_SECONDS = 5.0
"""After a refusal that does not say for how long."""


class Gate:
    """One per describer, shared by its requests; for one event loop.

    Args:
        requests_per_minute: Requests start evenly spread, no more than so many; None: no bound.
        clock: Seconds that only go forward.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._clock = clock
        self._sleep = sleep
        self._free = clock()
        self._closed_until = clock()

    async def turn(self, patience: float) -> None:
        """Wait until a request may start.

        Raises:
            DescribeError: RateLimited: it would take longer than `patience` seconds. Better to say so than to
                hold the image until its attempt runs out of time.
        """
        now = self._clock()
        start = max(now, self._free, self._closed_until)
        if start - now > patience:
            raise _not_yet(start - now)
        self._free = start + self._interval
        await self._sleep(start - now)
        # Others may have been told meanwhile to stop.
        if (still := self._closed_until - self._clock()) > 0:
            raise _not_yet(still)

    def hold(self, seconds: float | None) -> None:
        """Start no request for so long: the provider asked for it."""
        wait = DEFAULT_HOLD_SECONDS if seconds is None else seconds
        self._closed_until = max(self._closed_until, self._clock() + wait)


def _not_yet(seconds: float) -> DescribeError:
    message = f"the provider's rate limit leaves room for the next request in {seconds:.1f} s"
    return DescribeError(Reason.RATE_LIMITED, message, retry_after=seconds)
