"""Limit the number of simultaneous uploads, and the total memory that they hold."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass

from ..web.access import current_access
from ..web.owner_share import OwnerShare
from ..web.problems import Problem
from .minimum_rate import GRACE_SECONDS, MinimumRate
from .read_deadline import ReadDeadline
from .upload_memory import UploadMemory

MAX_UPLOADS = 256
"""Maximum number of simultaneous uploads. The limits do not count another 320 KiB that each
connection may hold for uvicorn's buffer and the last chunk."""

WAIT_SECONDS = 10.0
"""Maximum number of seconds that an upload waits for memory. After this time, it is refused, and
the client should try again later."""

STALL_SECONDS = 5.0
"""Maximum number of seconds that an upload may stall while others wait for memory. This is shorter
than WAIT_SECONDS, so that the others get the memory in time."""

RETRY_AFTER_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The limits of one API process."""

    memory_bytes: int
    """Memory for all uploads, including the reserve."""
    largest_bytes: int
    """Maximum number of bytes that one upload can hold. The reserve has this size, even if
    `memory_bytes` is smaller."""
    bytes_per_second: int
    """Minimum average rate of an upload after the grace period."""
    grace_seconds: float = GRACE_SECONDS
    max_uploads: int = MAX_UPLOADS
    wait_seconds: float = WAIT_SECONDS
    stall_seconds: float = STALL_SECONDS


class UploadLimiter:
    """Admits uploads and gives them memory as their bytes arrive.

    Slow clients therefore hold little memory. When memory is short, uploads wait for it and stop
    reading, which slows down their clients (TCP flow control). One upload can always finish (see
    UploadMemory). Uploads whose clients stall while others wait are refused.

    One owner gets no more than its share of uploads and memory. An upload that waits for memory of
    its owner's share concerns only other uploads of this owner.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        shared_bytes = max(0, limits.memory_bytes - limits.largest_bytes)
        self._memory = UploadMemory(shared_bytes, limits.largest_bytes)
        self._slots: set[UploadSlot] = set()
        self._waiting: deque[_MemoryRequest] = deque()
        self.share = OwnerShare(
            limits.max_uploads,
            "send {limit} uploads",
            "Wait for the end of one.",
            RETRY_AFTER_SECONDS,
        )
        """How many uploads of one owner may be received or stored."""

    @property
    def uploads(self) -> int:
        """Number of uploads that are being received or stored."""
        return len(self._slots)

    @property
    def held_bytes(self) -> int:
        """Number of bytes of memory that all uploads hold now."""
        return self._memory.held_bytes

    def is_short_for(self, owner: str) -> bool:
        """Return whether an upload is waiting for memory that this owner's uploads could free."""
        return any(it.concerns in (None, owner) for it in self._waiting)

    @contextmanager
    def admit(self) -> Iterator["UploadSlot"]:
        """Admit an upload for the duration of the block, and then free the upload's memory.

        Raises:
            Problem: 429 TooManyUploads, OwnerShareUsed.
        """
        with self.share.holding(), self._admitted() as slot:
            yield slot

    @contextmanager
    def _admitted(self) -> Iterator["UploadSlot"]:
        if self.uploads >= self.limits.max_uploads:
            raise _too_many(f"The server is receiving {self.uploads} uploads, which is the limit.")

        slot = UploadSlot(self, current_access().owner)
        self._slots.add(slot)

        try:
            yield slot
        finally:
            self._slots.discard(slot)
            self.try_hold(slot, 0)

    def try_hold(self, slot: "UploadSlot", size: int) -> bool:
        """Let an upload hold `size` bytes, unless it would have to wait. Return whether it does."""
        resized = self._memory.resize(slot, size, slot.owner)
        if resized:
            self._grant_waiting()
        return resized

    async def hold(self, slot: "UploadSlot", size: int, ahead: int) -> None:
        """Let an upload hold `size + ahead` bytes, and wait for memory if necessary.

        Raises:
            Problem: 429 TooManyUploads.
        """
        if self.try_hold(slot, size + ahead):
            return

        # While this upload waits, it gives up the memory that it reserved in advance, because
        # another upload may need that memory to finish.
        self.try_hold(slot, size)

        try:
            async with asyncio.timeout(self.limits.wait_seconds):
                await self._wait(slot, size + ahead)
        except TimeoutError as error:
            waited = f"{self.limits.wait_seconds:.0f} s"
            raise _too_many(
                f"This upload waited {waited} for memory, but none was free."
            ) from error

    async def _wait(self, slot: "UploadSlot", size: int) -> None:
        concerns = slot.owner if self._memory.exceeds_share(slot, size, slot.owner) else None
        granted = asyncio.get_running_loop().create_future()
        request = _MemoryRequest(slot, size, concerns, granted)
        self._waiting.append(request)
        self._adjust_deadlines()

        try:
            await request.granted
        finally:
            with suppress(ValueError):  # a granted request has already been removed
                self._waiting.remove(request)
            self._adjust_deadlines()

    def _grant_waiting(self) -> None:
        """Grant all waiting requests for which there is enough memory.

        Small requests may be granted before older, larger ones. The oldest request gets the
        reserve.
        """
        for request in [*self._waiting]:
            if self._memory.resize(request.slot, request.size, request.slot.owner):
                self._waiting.remove(request)
                if not request.granted.done():
                    request.granted.set_result(None)

    def _adjust_deadlines(self) -> None:
        concerned = {it.concerns for it in self._waiting}
        for slot in self._slots:
            slot.deadline.adjust(memory_is_short=not concerned.isdisjoint({None, slot.owner}))


class UploadSlot:
    """The memory of an admitted upload, and the time that its client may take."""

    def __init__(self, limiter: UploadLimiter, owner: str = "") -> None:
        limits = limiter.limits
        self.owner = owner
        self._limiter = limiter
        self.rate = MinimumRate(limits.bytes_per_second, limits.grace_seconds)

        advance = max(0.0, limits.grace_seconds - limits.stall_seconds)
        self.deadline = ReadDeadline(self.rate, advance, _stalled)

    async def hold(self, size: int, ahead: int = 0) -> None:
        """Change how much memory the upload holds, and wait for it if necessary.

        Holding less memory than before requires no wait.

        Args:
            size: Number of bytes that are in memory.
            ahead: Number of bytes that are expected soon.

        Raises:
            Problem: 429 TooManyUploads.
        """
        await self._limiter.hold(self, size, ahead)

    def try_hold(self, size: int) -> bool:
        """Change how much memory the upload holds, unless it would have to wait for it.

        It also would if others are waiting. Return whether the upload holds `size` bytes now.
        """
        is_short = self._limiter.is_short_for(self.owner)
        return not is_short and self._limiter.try_hold(self, size)

    def reading(self) -> AbstractAsyncContextManager[None]:
        """Limit how long the block may wait for the client's next bytes.

        Raises:
            Problem: 408 UploadTooSlow, or 429 TooManyUploads if other uploads wait for memory.
        """
        return self.deadline.reading(memory_is_short=self._limiter.is_short_for(self.owner))


@dataclass(frozen=True, slots=True, eq=False)
class _MemoryRequest:
    """A request for memory, from an upload that is waiting."""

    slot: UploadSlot
    size: int
    concerns: str | None
    """The owner whose share it waits for; None if it waits for memory of any upload."""
    granted: "asyncio.Future[None]"


def _stalled() -> Problem:
    return _too_many("This upload stalled while others were waiting for memory.")


def _too_many(what_happened: str) -> Problem:
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = f"{what_happened} Try again in {RETRY_AFTER_SECONDS} s."
    return Problem(429, "TooManyUploads", detail, headers=headers)
