"""Memory for files and for describing, reserved before it is used: one huge image must not kill the others.

Pictures whose decoding fits together are described together; one that fits only alone waits until
it has the worker to itself, and those after it wait, too; one that does not fit at all is refused
before it takes the worker down.

Files have their own budget. They are fetched before the memory for decoding is known, so an image
that waits for memory to decode already holds a file: with a single budget, all images might wait
for one another.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from vision_node_contract.models.reasons import DescribeError, Reason

PROCESS_BYTES = 104 << 20
"""Part of the container's limit for the process itself (about 70 MB), answers and results, and
slack."""

FILES_BYTES = 96 << 20
"""Part of the container's limit for fetched files: enough for hundreds of photographs at once, or
for four of 20 MiB. It grows with `limits.imageBytes`, so that one of the largest always fits."""

RESERVED_BYTES = PROCESS_BYTES + FILES_BYTES
"""Part of the container's limit that decoding may not use."""

FETCH_COPIES = 2
"""Copies in memory while a file is fetched: its chunks, and the whole."""


class Room:
    """Memory that is reserved until the end of a block."""

    def __init__(self, budget: "Budget", held: int) -> None:
        self._budget = budget
        self._held = held

    def shrink(self, held: int) -> None:
        """Release all but `held` bytes."""
        if held < self._held:
            self._budget.give_back(self._held - held)
            self._held = held


class Budget:
    """The memory for one kind of use: a container's `limit_bytes` without `reserved_bytes`."""

    def __init__(self, limit_bytes: int, reserved_bytes: int = RESERVED_BYTES) -> None:
        self.total = max(0, limit_bytes - reserved_bytes)
        """Bytes that may be held at once."""
        self._used = 0
        self._turn = asyncio.Lock()
        """Held by the first in line: small ones that keep coming must not pass a large one for
        ever."""
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
        """Return `freed` bytes to the budget. It never waits, so a cancellation can't interrupt it."""
        self._used -= freed
        self._freed.set()


@dataclass(frozen=True, slots=True)
class Budgets:
    """The memory budgets of a worker."""

    files: Budget
    decoding: Budget

    @classmethod
    def of(cls, limit_bytes: int, max_image_bytes: int) -> Self:
        """Divide a container's memory limit between files of up to `max_image_bytes` and decoding.

        Half is left for decoding even if the largest files need more than the other half; files
        that do not fit into that half are then refused.
        """
        there = max(0, limit_bytes - PROCESS_BYTES)
        wanted = min(FETCH_COPIES * max_image_bytes, there // 2)
        files = max(FILES_BYTES, wanted)
        return cls(Budget(files, 0), Budget(limit_bytes, PROCESS_BYTES + files))

    @property
    def largest_file_bytes(self) -> int:
        """Bytes of the largest file that may be fetched."""
        return self.files.total // FETCH_COPIES
