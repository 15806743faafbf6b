"""Read the keys again for clients with an unknown key, rarely and for all of them together.

Another replica may have created the key a moment ago. The watch tells this replica within some
milliseconds, but a client may be faster. Wrong keys look the same, and anyone can send thousands a
second, so the API server gets at most one request a second from this.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from vision_node_contract.clients.kube import KubeError, UnavailableError

INTERVAL_SECONDS = 1.0
"""Minimum number of seconds between the beginnings of two requests."""

READ_SECONDS = 2.0
"""Time limit for a request in seconds."""

MAX_WAITING = 200
"""Maximum number of clients that wait for the next request. Others are told at once that their key
is unknown."""

CONTINUED_PER_SECOND = 400
"""How many of the clients that have waited continue a second. An answer and the next request
cost about 0.1 ms. If all continued at once, they would delay clients with known keys."""


class SecretRefresh:
    """Reads the Secret at most once a second.

    Args:
        read: Function that reads it. It raises KubeError if that fails.
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(
        self, read: Callable[[], Awaitable[None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._next: asyncio.Task[KubeError | None] | None = None
        """The request that has not begun yet; it sees all that was written before now."""
        self._begun: set[asyncio.Task[KubeError | None]] = set()
        self._last = -INTERVAL_SECONDS
        self._waiting = 0

    async def wait(self) -> None:
        """Return when the Secret has been read by a request that began after this call.

        Those that wait continue one after the other, the last one half a second after the first.
        Return at once if too many clients are waiting.

        Raises:
            KubeError: the Secret could not be read.
        """
        if self._waiting >= MAX_WAITING:
            return

        if self._next is None:
            self._next = asyncio.create_task(self._read_in_turn())

        position = self._waiting
        self._waiting += 1
        try:
            # The others go on waiting if this client leaves.
            error = await asyncio.shield(self._next)
            await asyncio.sleep(position / CONTINUED_PER_SECOND)
        finally:
            self._waiting -= 1

        if error:
            raise error

    async def _read_in_turn(self) -> KubeError | None:
        task = self._next
        await asyncio.sleep(self._last + INTERVAL_SECONDS - self._clock())
        self._last = self._clock()
        self._next = None
        if task:
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)

        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._read()
        except TimeoutError:
            detail = f"the API server did not answer within {READ_SECONDS:g} s"
            return UnavailableError(0, "NoAnswer", detail)
        except KubeError as error:
            return error

        return None
