"""How much memory uploads may take together, how many there may be, and how slow one may be."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from ..web.problems import Problem
from .minimum_rate import GRACE_SECONDS, MinimumRate
from .upload_memory import UploadMemory

UPLOADS_AT_ONCE = 256
"""Each connection may hold 320 KiB that are not counted: uvicorn's buffer and the last piece."""

WAIT_SECONDS = 10.0
"""How long an upload waits for memory; after that, clients should rather come back later."""

STALL_SECONDS = 5.0
"""How long an upload may stall while others wait for memory: less than they wait, so that they get
it."""

RETRY_AFTER_SECONDS = "5"


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The limits of one API process."""

    memory_bytes: int
    """Memory for all uploads, including the reserve."""
    largest_bytes: int
    """The most that one upload can hold, which is the size of the reserve even if `memory_bytes` is
    less."""
    bytes_per_second: int
    """Minimum average rate after the grace."""
    grace_seconds: float = GRACE_SECONDS
    at_once: int = UPLOADS_AT_ONCE
    wait_seconds: float = WAIT_SECONDS
    stall_seconds: float = STALL_SECONDS


class UploadLimiter:
    """Admits uploads, and gives them memory as their bytes arrive, so slow clients hold little.

    When memory is short, uploads wait for it and do not read, which slows their clients down (TCP
    flow control). One upload can always be completed (see UploadMemory), and those whose clients
    stall meanwhile are refused.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        shared_bytes = max(0, limits.memory_bytes - limits.largest_bytes)
        self._memory = UploadMemory(shared_bytes, limits.largest_bytes)
        self._places: set[UploadPlace] = set()
        self._waiting: deque[_Request] = deque()

    @property
    def uploads(self) -> int:
        """Number of uploads that are being received or stored."""
        return len(self._places)

    @property
    def held_bytes(self) -> int:
        """Memory that uploads hold now, in bytes."""
        return self._memory.held_bytes

    @property
    def is_short(self) -> bool:
        """Whether an upload waits for memory."""
        return bool(self._waiting)

    @contextmanager
    def admit(self) -> Iterator["UploadPlace"]:
        """Admit an upload for the duration of the block, whose end frees the upload's memory.

        Raises:
            Problem: 429 TooManyUploads.
        """
        if self.uploads >= self.limits.at_once:
            raise _too_many(f"{self.uploads} uploads are being received, which is the limit")

        place = UploadPlace(self)
        self._places.add(place)
        try:
            yield place
        finally:
            self._places.discard(place)
            self._resize(place, 0)

    async def hold(self, place: "UploadPlace", size: int, ahead: int) -> None:
        """Let an upload hold `size + ahead` bytes, and wait for memory if necessary.

        Raises:
            Problem: 429 TooManyUploads.
        """
        if self._resize(place, size + ahead):
            return

        # Memory taken ahead is of no use while waiting; another upload may be completed with it.
        self._resize(place, size)
        try:
            async with asyncio.timeout(self.limits.wait_seconds):
                await self._wait(place, size + ahead)
        except TimeoutError as error:
            why = f"the memory for uploads has been in use for {self.limits.wait_seconds:.0f} s"
            raise _too_many(why) from error

    async def _wait(self, place: "UploadPlace", size: int) -> None:
        request = _Request(place, size, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._adjust_deadlines()

        try:
            await request.granted
        finally:
            with suppress(ValueError):  # it is no longer there if it was granted
                self._waiting.remove(request)
            self._adjust_deadlines()

    def _resize(self, place: "UploadPlace", size: int) -> bool:
        resized = self._memory.resize(place, size)
        if resized:
            self._serve_waiting()
        return resized

    def _serve_waiting(self) -> None:
        """Grant what fits: small uploads overtake large ones, and the oldest request gets the reserve."""
        for request in [*self._waiting]:
            if self._memory.resize(request.place, request.size):
                self._waiting.remove(request)
                if not request.granted.done():
                    request.granted.set_result(None)

    def _adjust_deadlines(self) -> None:
        for place in self._places:
            place.adjust_deadline()


class UploadPlace:
    """One admitted upload: its memory, and the time that its client may take."""

    def __init__(self, limiter: UploadLimiter) -> None:
        limits = limiter.limits
        self.rate = MinimumRate(limits.bytes_per_second, limits.grace_seconds)
        self._limiter = limiter
        self._reading: asyncio.Timeout | None = None
        self._deadline = 0.0
        """When the client has to have sent more, in the event loop's time."""

    async def hold(self, size: int, ahead: int = 0) -> None:
        """Hold so much memory from now on, and wait for it if necessary; less than before is immediate.

        Args:
            size: Bytes that are in memory.
            ahead: Bytes that are expected soon.

        Raises:
            Problem: 429 TooManyUploads.
        """
        await self._limiter.hold(self, size, ahead)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Bound the time of the block, in which the client's next bytes are awaited.

        Raises:
            Problem: 408 UploadTooSlow, or 429 TooManyUploads if others wait for memory meanwhile.
        """
        now = asyncio.get_running_loop().time
        self._deadline = now() + self.rate.seconds_left
        try:
            async with asyncio.timeout(None) as self._reading:
                self.adjust_deadline()
                yield
        except TimeoutError as error:
            if now() >= self._deadline:
                raise self.rate.too_slow() from error
            raise _too_many("the memory for uploads is in use, and this one has stalled") from error
        finally:
            self._reading = None

    def adjust_deadline(self) -> None:
        """Set the end of the current read, which is sooner while others wait for memory."""
        if self._reading is None or self._reading.expired():
            return
        limits = self._limiter.limits
        sooner = max(0.0, limits.grace_seconds - limits.stall_seconds)
        self._reading.reschedule(self._deadline - (sooner if self._limiter.is_short else 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """An upload that waits for memory."""

    place: UploadPlace
    size: int
    granted: "asyncio.Future[None]"


def _too_many(why: str) -> Problem:
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = f"{why}; try again in {RETRY_AFTER_SECONDS} s"
    return Problem(429, "TooManyUploads", detail, headers=headers)
