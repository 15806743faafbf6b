"""Holds requests back for as long as a provider asks for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from vision_node_contract.models.reasons import DescribeError, Reason

DEFAULT_HOLD_SECONDS = 5.0
"""After a refusal that does not say for how long."""


class Gate:
    """One per describer, shared by its requests; for one event loop.

    Args:
        clock: Seconds that only go forward.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._closed_until = clock()

    async def wait(self, patience: float) -> None:
        """Wait until a request may start.

        Raises:
            DescribeError: RateLimited: it would take longer than `patience` seconds. Better to say
            so than to
                hold the image until its attempt runs out of time.
        """
        end = self._clock() + patience
        # Again, because others may have been told meanwhile to stop.
        while (wait := self._closed_until - self._clock()) > 0:
            if self._closed_until > end:
                message = (
                    f"the provider's rate limit leaves room for the next request in {wait:.1f} s"
                )
                raise DescribeError(Reason.RATE_LIMITED, message, retry_after=wait)

            await self._sleep(wait)

    def hold(self, seconds: float | None) -> None:
        """Start no request for so long: the provider asked for it."""
        wait = DEFAULT_HOLD_SECONDS if seconds is None else seconds
        self._closed_until = max(self._closed_until, self._clock() + wait)
