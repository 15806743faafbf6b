"""Stream a response in JSON Lines (https://jsonlines.org).

A response that can't be completed must not look complete. Its last line is an error, and then the
connection is closed without the end of the body (RFC 9112, section 8), which curl reports as an
error, too.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from .access_check import while_allowed
from .http_protocol import ABORT
from .problems import Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/jsonl"

PIECE_BYTES = 64 << 10
"""Maximum number of bytes to give to the connection at a time, so that it buffers no more."""

STALLED_SECONDS = 60.0
"""Number of seconds for which a client may receive nothing. It then loses the connection, so that
clients that have stopped reading can't use up the limit on streams."""


IS_HEAD = "vision_node.is_head"
"""Key in the scope that says that the body of the response will be dropped, so it need not be
produced."""


class _StalledError(Exception):
    """The client has received nothing for STALLED_SECONDS."""


class JsonLinesResponse(StreamingResponse):
    """A streamed response whose client must keep reading.

    If the first piece raises a Problem, the problem is the response.
    """

    body_iterator: AsyncGenerator[bytes, None]
    media_type = MEDIA_TYPE

    def __init__(self, pieces: AsyncGenerator[bytes, None], headers: dict[str, str]) -> None:
        # nginx would otherwise keep the results of a running batch until it has 4 to 8 kB of them.
        super().__init__(pieces, headers={"X-Accel-Buffering": "no", **headers})
        self._scope: Scope = {}
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response until it ends or the client leaves."""
        self._scope = scope
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the response, and break off if it can't be completed."""
        try:
            await self._send_or_break_off(send)
        except _StalledError:
            log.warning("%r was broken off: the client stopped reading", self._scope["path"])
            if abort := self._scope.get(ABORT):
                abort()

    def last_piece(self, problem: Problem) -> bytes:
        """Return what ends a response that can't be completed because of a problem."""
        error = {"reason": problem.reason, "message": problem.detail}
        return json_line({"error": error, **problem.extensions})

    async def _send_or_break_off(self, send: Send) -> None:
        try:
            async with aclosing(self.body_iterator) as pieces, while_allowed(self._scope):
                await self._send_all(pieces, send)
        except Problem as problem:
            if not self._started:
                raise
            log.warning("%r was broken off: %s", self._scope["path"], problem)
            await self._send(send, _body(self.last_piece(problem)))

    async def _send_all(self, pieces: AsyncGenerator[bytes, None], send: Send) -> None:
        piece = await anext(pieces, None)

        head = {"type": "http.response.start", "status": self.status_code}
        await self._send(send, {**head, "headers": self.raw_headers})
        self._started = True
        if self._scope.get(IS_HEAD):
            piece = None

        while piece is not None:
            for offset in range(0, len(piece), PIECE_BYTES):
                await self._send(send, _body(piece[offset : offset + PIECE_BYTES]))
            piece = await anext(pieces, None)

        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, message: Message) -> None:
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await send(message)
        except TimeoutError as error:
            raise _StalledError from error


def json_line(value: dict[str, Any]) -> bytes:
    """Return a line of JSON Lines."""
    return (
        json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
        + b"\n"
    )


def _body(piece: bytes) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": True}
