"""Connections that receive no more than the head of an answer needs, whatever a receiver sends."""

from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_RECEIVED_BYTES = 128 << 10
"""Number of bytes that are received from a connection. A response without its body, which is never
read, has some kilobytes. A receiver may send provisional responses (100 to 199) or headers without
an end. Parsing them for the duration of an attempt would take nearly all CPU time of the
archiver."""


class ShortConnector(aiohttp.TCPConnector):
    """Opens connections that end once MAX_RECEIVED_BYTES were received. `options` are aiohttp's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no option for it. Its own sockets don't help: uvloop reads from the kernel.
        handler: type[ResponseHandler] = _ShortHandler
        self._factory = partial(handler, loop=self._loop)


class _ShortHandler(ResponseHandler):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._left = MAX_RECEIVED_BYTES

    def data_received(self, data: bytes) -> None:
        """Parse what is received; end the connection if it is too much.

        The head of a response may have arrived before, and is then used.
        """
        if self._left <= 0:
            return

        part = data[: self._left]
        self._left -= len(part)
        super().data_received(part)
        if self._left <= 0 and self.transport is not None:
            self.transport.abort()
