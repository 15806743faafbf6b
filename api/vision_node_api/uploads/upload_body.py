"""A request's body as it arrives, with limits on its size and rate."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Message, Receive

from ..web.problems import Problem
from .image_inspection import too_many_bytes
from .upload_limit import UploadSlot

FORM_OVERHEAD_BYTES = 64 * 1024
"""How many bytes to allow for boundaries, headers and the small fields next to the image."""

DRAIN_BYTES = 64 << 20
"""How many bytes of a refused upload are read and discarded before the response. A client that is
still sending might otherwise see a broken connection instead of the reason."""

DRAIN_SECONDS = 30.0
"""How long draining may take."""

LOOKAHEAD_SECONDS = 2.0
"""How many seconds ahead an upload reserves memory. Fast uploads then get all they need, and finish
one after another instead of all waiting half received. Slow uploads reserve little."""

FIRST_SECONDS = 0.05
"""Minimum time over which a rate is measured, because the first bytes come from a buffer."""

Clock = Callable[[], float]


def largest_upload_bytes(max_image_bytes: int) -> int:
    """Return the maximum size in bytes of an upload whose image may have `max_image_bytes`.

    Base64 text has four characters for three bytes, and up to five percent more with line breaks.
    """
    return max_image_bytes * 7 // 5 + FORM_OVERHEAD_BYTES


class UploadBody:
    """Reads an ASGI request's body piece by piece.

    Args:
        receive: The request's ASGI channel.
        slot: Limits the time spent waiting for the client.
        max_image_bytes: Maximum size of the image in bytes.
        declared: Size of the body according to the client; None if it declares none.
        clock: Monotonic time in seconds.
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
        """Whether reading has begun; uvicorn then responds to `Expect: 100-continue`."""

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end.

        Raises:
            Problem: 408 UploadTooSlow, 413 ImageTooLarge, 429 TooManyUploads, or 400 UploadBroken
                because the client has disconnected.
        """
        while not self._ended:
            chunk = _bytes_of(await self._next_in_time())
            if self._received > self._max_bytes:
                raise too_many_bytes(self._max_image_bytes)

            if chunk:
                return chunk

        return None

    def lookahead(self, kept_bytes: int) -> int:
        """Return an estimate of how many bytes must soon be kept in addition to `kept_bytes`."""
        rate = kept_bytes / max(self._reading_seconds, FIRST_SECONDS)
        return min(int(rate * LOOKAHEAD_SECONDS), max(0, self._expected - self._received))

    async def drain(self) -> None:
        """Read and discard the rest of the body, within DRAIN_BYTES and DRAIN_SECONDS."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended and self._received < self._max_bytes + DRAIN_BYTES:
                    await self._next()
        except TimeoutError:
            return  # the response is sent anyway

    async def _next_in_time(self) -> Message:
        started = self._clock()
        async with self._slot.reading():
            message = await self._next()

        if message["type"] == "http.disconnect":
            detail = "The upload was cut off. Send the image again."
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
