"""Extend uvicorn's HTTP/1.1 protocol with more limits, and with problem documents for errors."""

import asyncio
import json
import re
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .problems import MEDIA_TYPE, Problem

MAX_HEAD_BYTES = 64 * 1024
"""Maximum total size of the request line and the headers in bytes. Other servers allow 8 to
64 KiB."""

HEAD_SECONDS = 30.0
"""Time limit for the request line and the headers in seconds. For the first request, it is measured
from the start of the connection. For later requests, it is measured from their first byte."""

LINGER_SECONDS = 30.0
"""Number of seconds for which the rest of a body is read and discarded after the response. If the
connection were closed immediately, the client might not see the response."""

ABORT = "vision_node.abort"
"""Key in the scope under which a function is stored that drops the connection at once, with
everything that the client has not received."""

ON_SHUTDOWN = "vision_node.on_shutdown"
"""Key in the scope under which a function is stored that takes what to call when the server begins
to stop, or None. If the server is already stopping, it is called at once. Responses that wait, or
have no end, can then end, so that the server need not wait for them."""

_UPGRADE = re.compile(rb"^upgrade:", re.IGNORECASE | re.MULTILINE)


class HttpProtocol(HttpToolsProtocol):
    """A connection from a client.

    uvicorn itself limits neither the size of headers nor the time in which they must arrive. After
    a response, it also reads the rest of the request's body without a limit.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request."""
        super().connection_made(transport)
        self._reading_head = False
        self._head_bytes = 0
        self._held_back = b""
        """Last bytes of the received headers, if they may be the beginning of `Upgrade:`."""
        self._reading_body = False
        self._is_stopping = False
        self._on_shutdown: Callable[[], None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._set_deadline(HEAD_SECONDS, self._head_too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._clear_deadline()
        self._on_shutdown = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, and enforce the limits on headers that are still incomplete."""
        if self._reading_head:
            self._head_bytes += len(data)

        super().data_received(data if self._reading_body else self._without_upgrade(data))

        if self.transport.is_closing() or not self._reading_head:
            return

        if self._head_bytes > MAX_HEAD_BYTES:
            detail = (
                f"The request's headers exceed the limit of {MAX_HEAD_BYTES} bytes. "
                "Send fewer or shorter headers."
            )
            self._refuse(Problem(431, "HeadersTooLarge", detail))
        elif self._deadline is None:
            self._set_deadline(HEAD_SECONDS, self._head_too_slow)

    def on_message_begin(self) -> None:
        """Start to count the bytes of a request's headers."""
        super().on_message_begin()
        self._reading_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Stop limiting the headers, and start handling the request."""
        self._reading_head = False
        self._reading_body = True
        self._clear_deadline()
        self.scope[ABORT] = self.transport.abort  # type: ignore[literal-required]
        self.scope[ON_SHUTDOWN] = self._call_on_shutdown  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the timer, because the body is complete."""
        self._reading_body = False
        self._clear_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request, or limit the time for the rest of this request's body."""
        self._on_shutdown = None
        super().on_response_complete()
        if self.cycle.response_complete and self._reading_body and self._deadline is None:
            self._set_deadline(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """Close the connection after the current response, which need not wait any longer."""
        super().shutdown()
        self._is_stopping = True
        if self._on_shutdown:
            self._on_shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's signature)
        """Refuse an invalid request with a more helpful message than uvicorn's."""
        detail = (
            "The request is not valid HTTP/1.1. Check its request line (percent-encode characters "
            "that are not ASCII), header names, Content-Length and chunk sizes."
        )
        self._refuse(Problem(400, "BadRequest", detail))

    def _call_on_shutdown(self, function: Callable[[], None] | None) -> None:
        self._on_shutdown = function
        if function and self._is_stopping:
            function()

    def _without_upgrade(self, piece: bytes) -> bytes:
        """Rename the `Upgrade` header in received data, which may also contain part of a body.

        A server may ignore a client's offer to upgrade to another protocol (RFC 9110, section 7.8).
        However, if the parser sees such an offer, it drops the body. This matters because Java's
        HttpClient offers HTTP/2 in each request by default.
        """
        data = self._held_back + piece
        end = data.find(b"\r\n\r\n")
        head = data if end < 0 else data[:end]
        last_line = head[head.rfind(b"\n") + 1 :]
        self._held_back = (
            last_line if end < 0 and b"upgrade:".startswith(last_line.lower()) else b""
        )

        if not self._held_back and not _UPGRADE.search(head):
            return data

        head = _UPGRADE.sub(b"x-upgrade:", head.removesuffix(self._held_back))
        return head if end < 0 else head + data[end:]

    def _refuse(self, problem: Problem) -> None:
        """Respond unless a response has already started, and then close the connection."""
        if not self._is_responding():
            body = json.dumps(problem.document()).encode()
            head = {
                b"content-type": MEDIA_TYPE.encode(),
                b"content-length": str(len(body)).encode(),
                b"connection": b"close",
            }

            headers = [*self.server_state.default_headers, *head.items()]
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            self.transport.write(STATUS_LINE[problem.status] + lines + b"\r\n" + body)

        self.transport.close()

    def _is_responding(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _head_too_slow(self) -> None:
        self._deadline = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._set_deadline(HEAD_SECONDS, self._head_too_slow)
        elif self._reading_head:
            detail = (
                f"The request's headers did not arrive within {HEAD_SECONDS:.0f} s. "
                "Send the request again."
            )
            self._refuse(Problem(408, "RequestTooSlow", detail))
        else:
            # Nothing has arrived. Browsers may open connections that they never use.
            self.transport.close()

    def _set_deadline(self, seconds: float, expired: Callable[[], None]) -> None:
        self._deadline = self.loop.call_later(seconds, expired)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
