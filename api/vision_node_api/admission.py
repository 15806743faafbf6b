"""How many uploads are in hand at once: each may be as large as an image may be, and is held in memory."""

import asyncio
from types import TracebackType

from .problems import Problem

UPLOADS_AT_ONCE = 12
"""12 x 20 MiB fit the container's memory limit (512 MiB) beside the process itself."""

WAIT_SECONDS = 10.0
"""For a place; then it is better to be told to come back."""

RETRY_AFTER_SECONDS = "5"


class Admission:
    """A place for an upload: `async with admission: ...`."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def __aenter__(self) -> None:
        """Wait for a place.

        Raises:
            Problem: 429 TooManyUploads.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError as error:
            detail = f"{UPLOADS_AT_ONCE} uploads are under way and none ended within {WAIT_SECONDS:.0f} s"
            headers = {"Retry-After": RETRY_AFTER_SECONDS}
            raise Problem(429, "TooManyUploads", detail, headers=headers) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place back."""
        self._places.release()
