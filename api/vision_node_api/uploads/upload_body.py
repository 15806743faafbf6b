"""A request's body as it arrives: bounded in bytes, and held to the minimum rate."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Message, Receive

from ..web.problems import Problem
from .intake import too_many_bytes
from .upload_limit import UploadPlace

DRAIN_BYTES = 64 << 20
"""How much of a refused upload is read and thrown away before the answer: a client that is still
sending might see a broken connection instead of the reason."""

DRAIN_SECONDS = 30.0
"""How long draining may take."""

LOOKAHEAD_SECONDS = 2.0
"""How far ahead an upload takes memory. Fast uploads then get all they need and are completed one
after another, instead of all of them waiting half received; slow ones take little."""

FIRST_SECONDS = 0.05
"""Minimum time over which a rate is measured: the first bytes of each upload come from a buffer."""

Clock = Callable[[], float]


class UploadBody:
    """Reads an ASGI request's body piece by piece.

    Args:
        receive: The request's ASGI channel.
        place: Bounds the time spent waiting for the client.
        limit: Maximum size of the image in bytes, for the words of a refusal.
        most: Maximum size of the body in bytes.
        declared: Size of the body as the client declares it; None if it does not.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        receive: Receive,
        place: UploadPlace,
        limit: int,
        most: int,
        declared: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._receive = receive
        self._place = place
        self._limit = limit
        self._most = most
        self._expected = most if declared is None else min(declared, most)
        self._clock = clock
        self._received = 0
        self._reading_seconds = 0.0
        self._ended = False
        self.started = False
        """Whether reading has begun; uvicorn then answers `Expect: 100-continue`."""

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end.

        Raises:
            Problem: 408 UploadTooSlow, 413 ImageTooLarge, 429 TooManyUploads, or 400 UploadBroken
                because the client is gone.
        """
        while not self._ended:
            chunk = _bytes_of(await self._next_in_time())
            if self._received > self._most:
                raise too_many_bytes(self._limit)
            if chunk:
                return chunk
        return None

    def lookahead(self, kept_bytes: int) -> int:
        """Return how many more bytes will soon have to be kept, judged by those kept so far."""
        rate = kept_bytes / max(self._reading_seconds, FIRST_SECONDS)
        return min(int(rate * LOOKAHEAD_SECONDS), max(0, self._expected - self._received))

    async def drain(self) -> None:
        """Read the rest of the body and throw it away, within DRAIN_BYTES and DRAIN_SECONDS."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended and self._received < self._most + DRAIN_BYTES:
                    await self._next()
        except TimeoutError:
            return  # the answer is sent all the same

    async def _next_in_time(self) -> Message:
        began = self._clock()
        async with self._place.reading():
            message = await self._next()

        if message["type"] == "http.disconnect":
            raise Problem(400, "UploadBroken", "the upload was cut off; send the image again")

        waited = self._clock() - began
        self._reading_seconds += waited
        self._place.rate.record(len(_bytes_of(message)), waited)
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
