"""Memory for describing, given out before it is used: one huge picture must not kill the rest.

Pictures whose decoding fits together are described together; one that fits only alone waits until it
has the worker to itself, and those after it wait, too; one that does not fit at all is refused before it
takes the worker down.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vision_node_contract.reasons import DescribeError, Reason

RESERVED_BYTES = 200 << 20
"""Of the container's limit: the process itself (about 70 MB), the files of images in hand, slack."""


class Budget:
    """The bytes that describing may take at once, out of a container's `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self._total = max(0, limit_bytes - RESERVED_BYTES)
        self._used = 0
        self._turn = asyncio.Lock()
        """Held by the first in line: small ones that keep coming must not pass a large one for ever."""
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def room(self, wanted: int) -> AsyncIterator[None]:
        """Wait for `wanted` bytes, first come, first served, and hold them.

        Raises:
            DescribeError: ImageTooLarge: there will never be so much.
        """
        if wanted > self._total:
            needs = (
                f"describing the image may take {wanted >> 20} MiB, the worker has {self._total >> 20} MiB"
            )
            advice = "scale it down, save it as JPEG or PNG, or raise the describer's memory limit"
            raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{needs}; {advice}")
        async with self._turn, self._changed:
            await self._changed.wait_for(lambda: self._used + wanted <= self._total)
            self._used += wanted
        try:
            yield
        finally:
            async with self._changed:
                self._used -= wanted
                self._changed.notify_all()
