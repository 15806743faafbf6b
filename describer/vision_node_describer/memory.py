"""Reserve memory for files and for describing, so that one huge image cannot crash the worker.

Images are described concurrently if they fit into memory together. An image that fits only by
itself waits until no other image is being described, and so do the images behind it. An image that
does not fit at all is refused before it can crash the worker.

Files have their own budget. They are fetched before the memory for decoding is known, so an image
that waits for decoding memory already occupies memory for its file. If both kinds of memory came
from a single budget, images could wait for each other forever.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Self

from vision_node_contract.models.reasons import DescribeError, Reason

PROCESS_BYTES = 104 << 20
"""Part of the container's memory limit that is set aside for the process itself (about 70 MB),
answers, results (up to 16 MiB), parts of manifests (usually below 1 MiB, at most 21 MiB), and a
safety margin."""

FILES_BYTES = 96 << 20
"""Part of the container's memory limit that is set aside for fetched files. It is enough for
hundreds of photographs, or for four files of 20 MiB. It grows with `limits.imageBytes`, so that a
file of the maximum size fits, but only up to half of the memory that the process leaves."""

RESERVED_BYTES = PROCESS_BYTES + FILES_BYTES
"""Part of the container's memory limit that is not available for decoding."""

FETCH_COPIES = 2
"""Number of copies of a file in memory while it is fetched: its chunks, and the whole file."""


class Reservation:
    """Memory that is reserved until the end of a block."""

    def __init__(self, budget: "Budget", size: int) -> None:
        self._budget = budget
        self._size = size

    def shrink(self, size: int) -> None:
        """Release all but `size` bytes."""
        if size < self._size:
            self._budget.release(self._size - size)
            self._size = size

    def try_grow(self, size: int) -> bool:
        """Reserve `size` more bytes if they are available now and nobody is waiting for memory.

        This method may be called in any thread.
        """
        if not self._budget.try_take(size):
            return False

        self._size += size
        return True


class Budget:
    """The memory for one purpose: a container's `limit_bytes` minus `reserved_bytes`."""

    def __init__(self, limit_bytes: int, reserved_bytes: int = RESERVED_BYTES) -> None:
        self.total = max(0, limit_bytes - reserved_bytes)
        """Maximum number of bytes that can be reserved at the same time."""
        self._used = 0
        self._counting = threading.Lock()
        """Held while `_used` changes, because threads also reserve memory."""
        self._head_of_queue = asyncio.Lock()
        """Held by the first waiter, so that small reservations cannot starve a large one."""
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def reserve(self, wanted: int) -> AsyncIterator[Reservation]:
        """Wait until `wanted` bytes are available, and reserve them until the block ends.

        Callers are served in the order of their arrival.

        Raises:
            DescribeError: ImageTooLarge, if `wanted` exceeds the whole budget.
        """
        if wanted > self.total:
            needs = (
                f"describing the image may take {wanted >> 20} MiB, "
                f"but the worker has only {self.total >> 20} MiB"
            )
            advice = "scale it down, save it as JPEG or PNG, or raise the describer's memory limit"
            raise DescribeError(Reason.IMAGE_TOO_LARGE, f"{needs}; {advice}")

        async with self._head_of_queue:
            while not self._take(wanted):
                self._freed.clear()
                await self._freed.wait()

        reservation = Reservation(self, wanted)
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    @contextmanager
    def reserve_later(self) -> Iterator[Reservation]:
        """Return a reservation of nothing that can grow until the block ends."""
        reservation = Reservation(self, 0)
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    def try_take(self, size: int) -> bool:
        """Take `size` bytes if they are available now, and nobody is waiting for memory."""
        return not self._head_of_queue.locked() and self._take(size)

    def _take(self, size: int) -> bool:
        with self._counting:
            if self._used + size > self.total:
                return False
            self._used += size
            return True

    def release(self, size: int) -> None:
        """Return `size` bytes to the budget.

        This method never waits, so a cancellation can't interrupt it.
        """
        with self._counting:
            self._used -= size
        self._freed.set()


@dataclass(frozen=True, slots=True)
class Budgets:
    """The memory budgets of a worker."""

    files: Budget
    decoding: Budget

    @classmethod
    def of(cls, limit_bytes: int, max_image_bytes: int, shared_bytes: int = 0) -> Self:
        """Divide a container's memory limit between files of up to `max_image_bytes` and decoding.

        The `shared_bytes` that the describer takes once are available for neither.

        Files get FILES_BYTES, or up to half of the available memory if the largest file needs more.
        A file that still does not fit is refused.
        """
        available = max(0, limit_bytes - PROCESS_BYTES)
        wanted = min(FETCH_COPIES * max_image_bytes, available // 2)
        files = max(FILES_BYTES, wanted)
        return cls(Budget(files, 0), Budget(limit_bytes, PROCESS_BYTES + files + shared_bytes))

    @property
    def largest_file_bytes(self) -> int:
        """Maximum size of a file that may be fetched, in bytes."""
        return self.files.total // FETCH_COPIES
