"""Decide when a worker describes an image of its shard, so that single images go first."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_SECONDS = 5.0
"""Seconds without a free slot after which an image of a shard is described in addition to the
single images. Otherwise, the operator would consider a shard that makes no progress lost."""


class DescribeSlots:
    """Counts the images that are being described.

    Single images never wait here. Images of a shard use only the slots that single images leave
    free, so a single image exceeds the number of slots only until an image of a shard has ended.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._singles = 0
        self._shard_images = 0
        self._freed = asyncio.Event()
        self._head_of_queue = asyncio.Lock()

    @contextmanager
    def single(self) -> Iterator[None]:
        """Occupy a slot for a single image until the block ends."""
        self._singles += 1
        try:
            yield
        finally:
            self._singles -= 1
            self._freed.set()

    async def acquire(self, interval: "StartInterval") -> None:
        """Wait for a slot for an image of a shard, and occupy it until `release`."""
        async with self._head_of_queue:
            while not self._has_free_slot() and not await self._gives_up_waiting():
                pass
            await interval.wait()
            self._shard_images += 1

    def release(self) -> None:
        """Free the slot of an image of a shard."""
        self._shard_images -= 1
        self._freed.set()

    def _has_free_slot(self) -> bool:
        return self._singles + self._shard_images < self._total

    async def _gives_up_waiting(self) -> bool:
        """Wait for a slot. Return whether to stop waiting without one."""
        self._freed.clear()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._freed.wait()
        except TimeoutError:
            return not self._shard_images

        return False


class StartInterval:
    """Keeps a minimum interval between the starts of two images."""

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._next = 0.0

    async def wait(self) -> None:
        """Wait until the next image may start. Callers wait one after the other."""
        if not self._interval_seconds:
            return

        clock = asyncio.get_running_loop().time
        if (seconds := self._next - clock()) > 0:
            await asyncio.sleep(seconds)
        self._next = clock() + self._interval_seconds
