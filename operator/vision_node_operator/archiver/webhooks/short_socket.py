"""Sockets that receive no more than the head of an answer needs, whatever a receiver sends."""

import socket
from collections.abc import Sequence
from typing import Any

MAX_RECEIVED_BYTES = 128 << 10
"""Number of bytes that are received from a connection, with those of TLS. A certificate chain takes
up to 20 kB, and a response without its body, which is never read, less than that. A receiver may
send provisional responses (100 to 199) or headers without an end. Parsing them for the duration of
an attempt would take nearly all CPU time of the archiver."""


class ShortSocket(socket.socket):
    """A socket that fails once it has received MAX_RECEIVED_BYTES."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._left = MAX_RECEIVED_BYTES

    @classmethod
    def create(cls, address: Sequence[Any]) -> "ShortSocket":
        """Return a socket for an address as in the answers of socket.getaddrinfo()."""
        family, kind, protocol, *_ = address
        return cls(family, kind, protocol)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes.

        Raises:
            ConnectionAbortedError: Too many bytes were received before.
        """
        data = super().recv(self._allowed(bufsize), flags)
        self._left -= len(data)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0, /) -> int:
        """Receive bytes into a buffer, which TLS uses.

        Raises:
            ConnectionAbortedError: Too many bytes were received before.
        """
        size = self._allowed(nbytes or memoryview(buffer).nbytes)
        number = super().recv_into(buffer, size, flags)
        self._left -= number
        return number

    def _allowed(self, size: int) -> int:
        if self._left <= 0:
            raise ConnectionAbortedError("the receiver's answer is too long")

        return min(size, self._left)
