"""Delay requests while a provider's rate limit blocks them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from vision_node_contract.models.reasons import DescribeError, Reason

DEFAULT_BLOCK_SECONDS = 5.0
"""Number of seconds to wait after a rate limit response that does not state how long to wait."""


class RateLimitGate:
    """Blocks a describer's requests until its provider accepts them again.

    A gate must be used in only one event loop.

    Args:
        clock: Returns the time in seconds, which never decreases.
        sleep: Sleeps for a number of seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._blocked_until = clock()

    async def wait(self, max_seconds: float) -> None:
        """Wait until a request may start.

        Raises:
            DescribeError: RateLimited if the wait would exceed `max_seconds`. It is better to fail
                immediately than to hold the image until its attempt times out.
        """
        deadline = self._clock() + max_seconds

        # This is a loop because another request may extend the block while this one is sleeping.
        while (wait := self._blocked_until - self._clock()) > 0:
            if self._blocked_until > deadline:
                message = (
                    f"rate limited by the provider: the next request can start in {wait:.1f} s"
                )
                raise DescribeError(Reason.RATE_LIMITED, message, retry_after=wait)

            await self._sleep(wait)

    def block(self, seconds: float | None) -> None:
        """Block requests for `seconds`, or for DEFAULT_BLOCK_SECONDS if it is None."""
        wait = DEFAULT_BLOCK_SECONDS if seconds is None else seconds
        self._blocked_until = max(self._blocked_until, self._clock() + wait)
