"""Read the body of a request, with limits on its size and its rate."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.types import Message, Receive

from ..web.problems import Problem
from .image_inspection import too_many_bytes
from .upload_limit import UploadSlot

FORM_OVERHEAD_BYTES = 64 * 1024
"""Maximum number of bytes in a form in addition to the image, for boundaries, headers and small
fields."""

DRAIN_BYTES = 64 << 20
"""Maximum number of bytes to read and discard from a refused upload before the response is sent.
Otherwise, a client that is still sending might see a broken connection instead of the reason."""

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

_DIGITS = re.compile(r"[0-9]{1,19}")

_NO_DRAIN = frozenset({408, 429})
"""Statuses of responses that are sent without draining the body first. Draining a slow upload (408)
would take too long, and a busy server (429) has no resources for it."""


def largest_upload_bytes(max_image_bytes: int) -> int:
    """Return the maximum size of an upload in bytes if its image may have `max_image_bytes`.

    Base64 text has four characters for every three bytes, and line breaks add up to five percent.
    """
    return max_image_bytes * 7 // 5 + FORM_OVERHEAD_BYTES


class RequestBody:
    """Reads an ASGI request's body piece by piece, whatever its size.

    Args:
        receive: The ASGI function that receives the body.
        slot: The upload's slot, which limits the time spent waiting for the client.
        clock: Function that returns the monotonic time in seconds.
    """

    def __init__(self, receive: Receive, slot: UploadSlot, clock: Clock = time.monotonic) -> None:
        self._receive = receive
        self._slot = slot
        self._clock = clock

        self._received = 0
        self._reading_seconds = 0.0
        self._ended = False
        self.started = False
        """Whether reading has begun. At that point, uvicorn responds to `Expect: 100-continue`."""

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end of the body.

        Raises:
            Problem: 408 UploadTooSlow, 429 TooManyUploads, or 400 UploadBroken if the client has
                disconnected.
        """
        while not self._ended:
            if chunk := _bytes_of(await self._next_in_time()):
                return chunk

        return None

    async def drain(self) -> None:
        """Read and discard the rest of the body, within DRAIN_BYTES and DRAIN_SECONDS."""
        limit = self._received + DRAIN_BYTES
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended and self._received < limit:
                    await self._next()
        except TimeoutError:
            return  # the response is sent even though the body has not ended

    async def _next_in_time(self) -> Message:
        started = self._clock()
        async with self._slot.reading():
            message = await self._next()

        if message["type"] == "http.disconnect":
            detail = "The upload was interrupted. Send it again."
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


class UploadBody(RequestBody):
    """Reads the body of a request with one image, which limits its size.

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
        super().__init__(receive, slot, clock)
        self._max_image_bytes = max_image_bytes
        self._max_bytes = largest_upload_bytes(max_image_bytes)
        self._expected = self._max_bytes if declared is None else min(declared, self._max_bytes)

    async def read(self) -> bytes | None:
        """Return the next bytes, or None at the end of the body.

        Raises:
            Problem: 413 ImageTooLarge, or as for other bodies.
        """
        chunk = await super().read()
        if self._received > self._max_bytes:
            raise too_many_bytes(self._max_image_bytes)

        return chunk

    def lookahead(self, kept_bytes: int) -> int:
        """Estimate how many bytes beyond `kept_bytes` will soon have to be kept in memory."""
        rate = kept_bytes / max(self._reading_seconds, FIRST_SECONDS)
        return min(int(rate * LOOKAHEAD_SECONDS), max(0, self._expected - self._received))


@asynccontextmanager
async def draining(request: Request, body: RequestBody, slot: UploadSlot) -> AsyncIterator[None]:
    """Read and discard the rest of an upload that the block refuses, within limits.

    The client might otherwise not see the reason.
    """
    try:
        yield
    except Problem as refusal:
        await slot.hold(0)
        if refusal.status not in _NO_DRAIN and not _awaits_permission(request, body):
            await body.drain()
        raise


def require_identity(request: Request) -> None:
    """Refuse a body that is compressed.

    Raises:
        Problem: 415 ContentEncodingUnsupported.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        detail = "Compressed bodies (Content-Encoding) are not supported. Send the image unchanged."
        # This header tells the client which encoding is accepted (RFC 9110, section 15.5.16).
        headers = {"Accept-Encoding": "identity"}
        raise Problem(415, "ContentEncodingUnsupported", detail, headers=headers)


def declared_length(request: Request) -> int | None:
    """Return the Content-Length, or None if it is invalid or missing (as for chunked bodies)."""
    declared = request.headers.get("content-length", "")
    return int(declared) if _DIGITS.fullmatch(declared) else None


def _awaits_permission(request: Request, body: RequestBody) -> bool:
    """Return whether the client is still waiting for `100 Continue`.

    If so, the client has not sent a body that could be drained.
    """
    return not body.started and request.headers.get("expect", "").lower() == "100-continue"


def _bytes_of(message: Message) -> bytes:
    body: bytes = message.get("body", b"")
    return body
