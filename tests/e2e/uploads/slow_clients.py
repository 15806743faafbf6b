"""Clients that upload slowly, or go away in the middle."""

import math
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Self
from urllib.parse import urlencode, urlsplit

from conftest import FAST_DESCRIBER

from uploads.upload_requests import MEDIA_TYPES, key_header

ANSWER_SECONDS = 60.0
"""How long a client waits for the answer, or until its bytes are accepted."""

PAUSE_SECONDS = 0.2
"""Pause between two pieces of an upload at a steady rate."""

BYTE_SECONDS = 1.0
"""Pause between two bytes of an upload that is far too slow."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to an upload."""

    status: int
    body: bytes

    @classmethod
    def read(cls, connection: HTTPConnection) -> Self:
        """Wait for the response, and read it."""
        with connection.getresponse() as response:
            return cls(response.status, response.read())


@contextmanager
def sending_tar(url: str, name: str, size: int, key: str | None = None) -> Iterator[HTTPConnection]:
    """Begin to upload a tar file. Yield the connection, on which nothing of it has been sent.

    The connection is closed at the end of the block, even if the upload is not complete.

    Args:
        url: URL of the API.
        name: Name of the batch.
        size: Size of the tar file in bytes.
        key: The Idempotency-Key.
    """
    server = urlsplit(url)
    connection = HTTPConnection(server.hostname or "", server.port, timeout=ANSWER_SECONDS)
    try:
        query = urlencode({"name": name, "describer": FAST_DESCRIBER})
        connection.putrequest("POST", f"/batches?{query}")
        headers = {"Content-Type": MEDIA_TYPES["tar"], "Content-Length": str(size)}
        for header, value in {**headers, **key_header(key)}.items():
            connection.putheader(header, value)
        connection.endheaders()

        yield connection
    finally:
        connection.close()


def trickle(connection: HTTPConnection, data: bytes, seconds: float) -> Answer:
    """Send data in small pieces over this time, and return the answer."""
    piece = math.ceil(len(data) * PAUSE_SECONDS / seconds)
    for start in range(0, len(data), piece):
        connection.send(data[start : start + piece])
        time.sleep(PAUSE_SECONDS)

    return Answer.read(connection)


def stall(connection: HTTPConnection, data: bytes, stop: threading.Event) -> Answer | None:
    """Send one byte per second until the server answers, and return the answer.

    Return None if `stop` is set before.
    """
    for byte in data:
        if stop.is_set():
            return None

        connection.send(bytes([byte]))
        answered, _, _ = select.select([connection.sock], [], [], BYTE_SECONDS)
        if answered:
            break

    return Answer.read(connection)
