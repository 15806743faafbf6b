"""Limit the wait for a client's next bytes, and shorten it while other uploads wait for memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ..web.problems import Problem
from .minimum_rate import MinimumRate


class ReadDeadline:
    """Limits how long an upload may wait for its client.

    Args:
        rate: The time that the upload has left.
        advance_seconds: How many seconds earlier the deadline is while other uploads wait for
            memory.
        stalled: Function that returns the problem for an upload that missed the earlier deadline.
    """

    def __init__(
        self, rate: MinimumRate, advance_seconds: float, stalled: Callable[[], Problem]
    ) -> None:
        self._rate = rate
        self._advance_seconds = advance_seconds
        self._stalled = stalled
        self._timeout: asyncio.Timeout | None = None
        self._deadline = 0.0
        """The current read's deadline if memory is not short, in the event loop's time."""

    @asynccontextmanager
    async def reading(self, *, memory_is_short: bool) -> AsyncIterator[None]:
        """Limit how long the block may wait for the client's next bytes.

        Raises:
            Problem: 408 UploadTooSlow, or the problem that `stalled` returns.
        """
        now = asyncio.get_running_loop().time
        self._deadline = now() + self._rate.seconds_left

        try:
            async with asyncio.timeout(None) as self._timeout:
                self.adjust(memory_is_short=memory_is_short)
                yield
        except TimeoutError as error:
            if now() >= self._deadline:
                raise self._rate.too_slow() from error
            raise self._stalled() from error
        finally:
            self._timeout = None

    def adjust(self, *, memory_is_short: bool) -> None:
        """Change the deadline of the current read. Do nothing if there is no current read."""
        if self._timeout is None or self._timeout.expired():
            return

        advance = self._advance_seconds if memory_is_short else 0.0
        self._timeout.reschedule(self._deadline - advance)
