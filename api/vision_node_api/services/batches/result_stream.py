"""Stream the results of an ImageBatch and, if the client wants it, follow the batch."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from ...watch.imagebatch_cache import ImageBatchCache
from ...web.json_lines import json_line
from ...web.problems import Problem
from .line_blocks import LineBlocks
from .result_formats import Encoder, ResultFormat, encoder_of
from .result_line import EndedPhase
from .results_reader import ResultsReader, batch_deleted
from .stream_limit import StreamLimit

KEEP_ALIVE_SECONDS = 15.0
"""Number of seconds without results after which an empty line is sent. Many proxies cut connections
on which nothing is sent for 30 to 60 s."""


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """Which results a client wants."""

    after: int = 0
    """Number of parts to leave out, because the client has them."""
    follow: bool = False
    """Whether to continue until the ImageBatch is finished."""
    marks: bool = False
    """Whether to send a line after each part that says where to resume."""
    format: ResultFormat = "jsonl"
    phase: EndedPhase | None = None
    """Which images to send; None for all."""

    @property
    def encoder(self) -> Encoder | None:
        """What converts the results; None if they are sent as they are stored."""
        return encoder_of(self.format, self.phase)


class ResultStream:
    """The results of one ImageBatch for one client."""

    def __init__(
        self, reader: ResultsReader, cache: ImageBatchCache, limit: StreamLimit, query: ResultQuery
    ) -> None:
        self.known_parts = reader.batch.index
        """Number of parts at the start."""
        self._reader = reader
        self._cache = cache
        self._limit = limit
        self._query = query
        self._encoder = query.encoder
        self._sent = query.after
        """Number of parts that have been sent, or that the client had before."""

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the results in pieces. An empty piece means that there are no more results yet.

        Raises:
            Problem: 404 BatchNotFound; 429 TooManyStreams, OwnerShareUsed; 502 ResultChanged; 503
                while storage or Kubernetes is unavailable. Its member `after` says where to resume.
        """
        name = self._reader.batch.metadata.name
        with self._limit.streaming(), self._cache.changes_of(name) as changed:
            # The batch may have changed since it was read.
            changed.set()
            start = self._encoder.start if self._encoder and not self._query.after else b""

            try:
                async with aclosing(self._pieces(changed)) as pieces:
                    async for piece in pieces:
                        # Not on its own, so that a problem can still be the response.
                        yield start + piece
                        start = b""
                if start:
                    yield start
            except Problem as problem:
                problem.extensions["after"] = self._sent
                raise

    async def _pieces(self, changed: asyncio.Event) -> AsyncGenerator[bytes, None]:
        while True:
            while self._sent < self._reader.batch.index:
                async for piece in self._part(self._sent):
                    yield piece
                self._sent += 1
                if self._query.marks:
                    yield json_line({"after": self._sent})

            if not self._query.follow or self._reader.batch.finished:
                return

            yield b""
            if not await _is_set(changed):
                yield self._encoder.keep_alive if self._encoder else b"\n"
            changed.clear()
            await self._refresh()

    async def _part(self, number: int) -> AsyncGenerator[bytes, None]:
        """Yield one part in the format that the client wants."""
        async with aclosing(self._reader.part(number)) as pieces:
            if self._encoder is None:
                async for piece in pieces:
                    yield piece
                return

            lines = LineBlocks()
            async for piece in pieces:
                for block in lines.feed(piece):
                    if converted := self._encoder.encode(block):
                        yield converted
                    # Other requests have their turn, even if all of the piece is left out.
                    await asyncio.sleep(0)

    async def _refresh(self) -> None:
        """Read the current state of the ImageBatch.

        Raises:
            Problem: 404 BatchNotFound.
        """
        try:
            current = await self._reader.find(self._reader.batch, is_fresh=False)
        except Problem:
            # The API server is unavailable, which has been logged. The next change or the next
            # empty line leads to another attempt.
            return

        if current is None:
            raise batch_deleted()
        self._reader.batch = current


async def _is_set(event: asyncio.Event) -> bool:
    """Return whether the event is set within KEEP_ALIVE_SECONDS."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_SECONDS):
            return await event.wait()
    except TimeoutError:
        return False
