"""The deadline for a client's next bytes, which is earlier while other uploads wait for memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ..web.problems import Problem
from .minimum_rate import MinimumRate


class ReadDeadline:
    """Limits how long an upload may wait for its client.

    Args:
        rate: The time that the upload has left.
        advance_seconds: How much earlier the deadline is while other uploads wait for memory.
        stalled: Returns the problem for an upload that has missed this earlier deadline.
    """

    def __init__(
        self, rate: MinimumRate, advance_seconds: float, stalled: Callable[[], Problem]
    ) -> None:
        self._rate = rate
        self._advance_seconds = advance_seconds
        self._stalled = stalled
        self._timeout: asyncio.Timeout | None = None
        self._deadline = 0.0
        """Deadline of the current read without the advance, in the event loop's time."""

    @asynccontextmanager
    async def reading(self, *, memory_is_short: bool) -> AsyncIterator[None]:
        """Limit the time of the block, which waits for the client's next bytes.

        Raises:
            Problem: 408 UploadTooSlow, or the problem of `stalled`.
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
        """Move the deadline of the current read, if there is one."""
        if self._timeout is None or self._timeout.expired():
            return

        advance = self._advance_seconds if memory_is_short else 0.0
        self._timeout.reschedule(self._deadline - advance)
