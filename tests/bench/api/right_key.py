"""Poll the status of a job with a right key, and note how long each answer takes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from bench.stats import percentile

POLL_SECONDS = 0.01
"""Pause between two polls."""

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Delay:
    """How long answers took, in milliseconds."""

    median: float
    p95: float

    @classmethod
    def of(cls, seconds: list[float]) -> Self:
        """Return the percentiles of what was measured."""
        return cls(*(percentile(seconds, share) * 1000 for share in (0.5, 0.95)))


@dataclass(frozen=True, slots=True)
class Polls:
    """What a client with a right key notices."""

    count: int
    """Number of polls of each kind."""
    kept: Delay
    """Delay on a connection that stays open."""
    new: Delay
    """Delay of polls each of which opens a connection of its own, which takes some of the time."""


async def poll(port: int, request: bytes, seconds: float) -> Polls:
    """Poll for some seconds, in turn on a connection that stays open and on a new one.

    Args:
        port: Port of the API on the loopback device.
        request: A request with a right key.
        seconds: Duration.

    Raises:
        RuntimeError: The key was refused.
    """
    kept, new = [], []
    ended = time.monotonic() + seconds
    async with _connected(port) as streams:
        while time.monotonic() < ended:
            started = time.perf_counter()
            await _ask(streams, request)
            kept.append(time.perf_counter() - started)
            await asyncio.sleep(POLL_SECONDS)

            started = time.perf_counter()
            async with _connected(port) as own:
                await _ask(own, request)
                new.append(time.perf_counter() - started)
            await asyncio.sleep(POLL_SECONDS)

    return Polls(len(kept), Delay.of(kept), Delay.of(new))


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[_Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _ask(streams: _Streams, request: bytes) -> None:
    reader, writer = streams
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the right key was refused: {head.decode()}")

    length = next(it for it in head.lower().split(b"\r\n") if it.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
