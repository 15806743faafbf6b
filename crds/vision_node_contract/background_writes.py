"""Write to the bucket in the background, while the next data are collected."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class BackgroundWrites:
    """The writes of one upload that are in progress.

    The caller bounds their number: it calls `wait_until` before it starts another one. The error of
    a failed write is raised by the next `wait_until` that has to wait for it.
    """

    def __init__(self) -> None:
        self._sizes: dict[asyncio.Task[None], int] = {}
        """Writes in progress, with the size of their data in bytes."""

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def held_bytes(self) -> int:
        """Number of bytes that the writes keep in memory, as far as they were stated."""
        return sum(self._sizes.values())

    def start(self, write: Coroutine[Any, Any, None], size: int = 0) -> None:
        """Start a write. `size` is the number of bytes that it keeps in memory."""
        self._sizes[asyncio.create_task(write)] = size

    async def wait_until(self, most: int) -> None:
        """Wait until at most this many writes are in progress; raise the error of a failed one."""
        while len(self._sizes) > most:
            ended, _ = await asyncio.wait(self._sizes, return_when=asyncio.FIRST_COMPLETED)
            for write in ended:
                # Those that follow stay known, so that cancel() takes note of their errors.
                del self._sizes[write]
                write.result()

    async def cancel(self) -> None:
        """End all writes, so that none happens afterwards."""
        for write in self._sizes:
            write.cancel()
        await asyncio.gather(*self._sizes, return_exceptions=True)
        self._sizes.clear()
