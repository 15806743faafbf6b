"""Read the body of a request, with limits on its size and its rate."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Message, Receive

from ..web.problems import Problem
from .image_inspection import too_many_bytes
from .upload_limit import UploadSlot

FORM_OVERHEAD_BYTES = 64 * 1024
"""Maximum number of bytes in a form in addition to the image, for boundaries, headers and small
fields."""

DRAIN_BYTES = 64 << 20
"""Maximum number of bytes, beyond the size limit, to read and discard from a refused upload before
the response is sent. Otherwise, a client that is still sending might see a broken connection
instead of the reason."""

DRAIN_SECONDS = 30.0
"""Maximum number of seconds for reading and discarding a refused upload."""

LOOKAHEAD_SECONDS = 2.0
"""Number of seconds for which an upload reserves memory in advance. Fast uploads reserve all that
they need. They then finish one after another, instead of all getting stuck halfway. Slow uploads
reserve little."""

FIRST_SECONDS = 0.05
"""Minimum time in seconds over which a rate is measured. Shorter measurements would be wrong,
because the first bytes come from a buffer."""

Clock = Callable[[], float]


def largest_upload_bytes(max_image_bytes: int) -> int:
    """Return the maximum size of an upload in bytes if its image may have `max_image_bytes`.

    Base64 text has four characters for every three bytes, and line breaks add up to five percent.
    """
    return max_image_bytes * 7 // 5 + FORM_OVERHEAD_BYTES


class UploadBody:
    """Reads an ASGI request's body piece by piece.

    Args:
        receive: The ASGI function that receives the body.
        slot: The upload's slot, which limits the time spent waiting for the client.
        max_image_bytes: Maximum size of the image in bytes.
        declared: Size of the body in bytes as declared by the client; None if it is not declared.
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(
        self,
        receive: Receive,
        slot: UploadSlot,
        max_image_bytes: int,
        declared: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._receive = receive
        self._slot = slot
        self._clock = clock

        self._max_image_bytes = max_image_bytes
        self._max_bytes = largest_upload_bytes(max_image_bytes)
        self._expected = self._max_bytes if declared is None else min(declared, self._max_bytes)

        self._received = 0
        self._reading_seconds = 0.0
        self._ended = False
        self.started = False
        """Whether reading has begun. At that point, uvicorn responds to `Expect: 100-continue`."""

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end of the body.

        Raises:
            Problem: 408 UploadTooSlow, 413 ImageTooLarge, 429 TooManyUploads, or 400 UploadBroken
                if the client has disconnected.
        """
        while not self._ended:
            chunk = _bytes_of(await self._next_in_time())
            if self._received > self._max_bytes:
                raise too_many_bytes(self._max_image_bytes)

            if chunk:
                return chunk

        return None

    def lookahead(self, kept_bytes: int) -> int:
        """Estimate how many bytes beyond `kept_bytes` will soon have to be kept in memory."""
        rate = kept_bytes / max(self._reading_seconds, FIRST_SECONDS)
        return min(int(rate * LOOKAHEAD_SECONDS), max(0, self._expected - self._received))

    async def drain(self) -> None:
        """Read and discard the rest of the body, within DRAIN_BYTES and DRAIN_SECONDS."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended and self._received < self._max_bytes + DRAIN_BYTES:
                    await self._next()
        except TimeoutError:
            return  # the response is sent even though the body has not ended

    async def _next_in_time(self) -> Message:
        started = self._clock()
        async with self._slot.reading():
            message = await self._next()

        if message["type"] == "http.disconnect":
            detail = "The upload was interrupted. Send the image again."
            raise Problem(400, "UploadBroken", detail)

        waited = self._clock() - started
        self._reading_seconds += waited
        self._slot.rate.record(len(_bytes_of(message)), waited)

        return message

    async def _next(self) -> Message:
        self.started = True
        message = await self._receive()
        self._received += len(_bytes_of(message))
        self._ended = not message.get("more_body", False)
        return message


def _bytes_of(message: Message) -> bytes:
    body: bytes = message.get("body", b"")
    return body
