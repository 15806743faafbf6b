"""Memory for files and for describing, given out before it is used: one huge picture must not kill the rest.

Pictures whose decoding fits together are described together; one that fits only alone waits until it
has the worker to itself, and those after it wait, too; one that does not fit at all is refused before it
takes the worker down.

Files have a share of their own. They are fetched before it is known what decoding takes, so who waits for
memory to decode holds a file already: from one budget, all might wait for one another.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from vision_node_contract.reasons import DescribeError, Reason

PROCESS_BYTES = 104 << 20
"""Of the container's limit: the process itself (about 70 MB), answers and results, slack."""

FILES_BYTES = 96 << 20
"""Of the container's limit: files of images in hand. Enough for hundreds of photographs at once, or for four
of 20 MiB; it grows with `limits.imageBytes`, so that one of the largest always fits."""

RESERVED_BYTES = PROCESS_BYTES + FILES_BYTES
"""Of the container's limit: what decoding may not take."""

FETCH_COPIES = 2
"""While a file is fetched, its pieces and the whole are there."""


class Room:
    """Bytes that somebody holds, until its block ends."""

    def __init__(self, budget: "Budget", held: int) -> None:
        self._budget = budget
        self._held = held

    def shrink(self, held: int) -> None:
        """Give back what is held beyond `held` bytes."""
        if held < self._held:
            self._budget.give_back(self._held - held)
            self._held = held


class Budget:
    """The bytes that one kind of use may take at once, out of a container's `limit_bytes`."""

    def __init__(self, limit_bytes: int, reserved_bytes: int = RESERVED_BYTES) -> None:
        self.total = max(0, limit_bytes - reserved_bytes)
        """In bytes."""
        self._used = 0
        self._turn = asyncio.Lock()
        """Held by the first in line: small ones that keep coming must not pass a large one for ever."""
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def room(self, wanted: int) -> AsyncIterator[Room]:
        """Wait for `wanted` bytes, first come, first served, and hold them.

        Raises:
            DescribeError: ImageTooLarge: there will never be so much.
        """
        if wanted > self.total:
            needs = f"describing the image may take {wanted >> 20} MiB, the worker has {self.total >> 20} MiB"
            advice = "scale it down, save it as JPEG or PNG, or raise the describer's memory limit"
            raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{needs}; {advice}")

        async with self._turn:
            while self._used + wanted > self.total:
                self._freed.clear()
                await self._freed.wait()
            self._used += wanted
        room = Room(self, wanted)
        try:
            yield room
        finally:
            room.shrink(0)

    def give_back(self, freed: int) -> None:
        """Take back so many bytes. It never waits, so that no cancellation can keep them."""
        self._used -= freed
        self._freed.set()


@dataclass(frozen=True, slots=True)
class Budgets:
    """A worker's memory, by use."""

    files: Budget
    decoding: Budget

    @classmethod
    def of(cls, limit_bytes: int, max_image_bytes: int) -> Self:
        """Share out a container's memory limit among files of up to so many bytes, and their decoding.

        Where a few of the largest files would take most of it, half is left for decoding, and files may be
        no larger than the other half allows.
        """
        there = max(0, limit_bytes - PROCESS_BYTES)
        wanted = min(FETCH_COPIES * max_image_bytes, there // 2)
        files = max(FILES_BYTES, wanted)
        return cls(Budget(files, 0), Budget(limit_bytes, PROCESS_BYTES + files))

    @property
    def largest_file_bytes(self) -> int:
        """The largest file that may be fetched."""
        return self.files.total // FETCH_COPIES
