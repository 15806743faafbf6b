"""Send a stream of events (Server-Sent Events, https://html.spec.whatwg.org/#server-sent-events).

If a stream is broken off, for example because the client stopped reading, the connection is closed
without the end of the body.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from .json_lines import JsonLinesResponse
from .problems import Problem

MEDIA_TYPE = "text/event-stream"

RETRY_MS = 2000
"""Number of milliseconds after which clients connect again."""

HEARTBEAT = b": keep-alive\n\n"
"""A comment, which clients ignore."""


class EventStreamResponse(JsonLinesResponse):
    """A stream of events whose client must keep reading."""

    media_type = MEDIA_TYPE
    charset = "utf-8"

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        super().__init__(pieces, {"Cache-Control": "no-cache", "Content-Type": MEDIA_TYPE})

    def last_piece(self, problem: Problem) -> bytes:
        """Return a comment that says why the stream ends. The client connects again."""
        return b": " + json.dumps(problem.detail).encode() + b"\n\n"


def opening(event_id: str = "") -> bytes:
    """Return the beginning of a stream: when to connect again, and from where."""
    position = f"id: {event_id}\n" if event_id else ""
    return f"retry: {RETRY_MS}\n{position}\n".encode()


def event_text(name: str, data: str | Mapping[str, Any]) -> bytes:
    """Return an event without its id. JSON has no line breaks, so its data is one line."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n".encode(errors="replace")


def with_id(event_id: str | int, text: bytes) -> bytes:
    """Return an event with its id."""
    return b"id: %b\n%b" % (str(event_id).encode(), text)
