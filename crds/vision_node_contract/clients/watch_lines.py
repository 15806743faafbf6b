"""Split a watch into lines, each of which is an event."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp

MAX_LINE_BYTES = 16 << 20
"""Maximum length of a line in bytes. etcd stores objects of up to 1.5 MiB by default, but clusters
can allow more. A longer line is no event, and would fill the memory."""

MORE_BYTES = 64 << 10
"""Size of a piece after which more is probably waiting, so that there is no pause."""


async def lines_of(response: aiohttp.ClientResponse, pause: float) -> AsyncIterator[list[bytes]]:
    """Yield complete lines without their ends, as many as have arrived.

    Args:
        response: The response, whose body has not been read yet.
        pause: Time in seconds for which nothing is received between pieces, so that the next one
            has more lines. Without it, each event would wake up the process.

    Raises:
        ValueError: A line is too long, or the body ends within a line.
    """
    rest = bytearray()
    async for piece in response.content.iter_any():
        rest += piece
        end = rest.rfind(b"\n") + 1
        if end:
            lines = bytes(rest[: end - 1]).split(b"\n")
            del rest[:end]
            yield lines
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError(f"a line has more than {MAX_LINE_BYTES} bytes")
        if pause and len(piece) < MORE_BYTES:
            await _wait(response, pause)

    if rest:
        raise ValueError("the response ends within a line")


async def _wait(response: aiohttp.ClientResponse, seconds: float) -> None:
    """Wait, and receive nothing meanwhile."""
    protocol = response.connection.protocol if response.connection else None
    if protocol is None:  # the response has ended
        return

    protocol.pause_reading()
    try:
        await asyncio.sleep(seconds)
    finally:
        protocol.resume_reading()
