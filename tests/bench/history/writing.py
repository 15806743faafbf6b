"""Measure what it costs to write rows through the archiver's code."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from postgres import Postgres
from vision_node_contract.batch_objects import ResultLine
from vision_node_contract.history.database import Database, DatabaseSettings
from vision_node_contract.history.records import ImageRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history.store import LIMITS, HistoryStore

from bench.errors import BenchError
from bench.history import server
from bench.history.invented import PIECE_ROWS, SHARD_ROWS, Invented, is_batch, rows_of
from bench.history.results import WriteCost

GROUPS = (20, 500)
"""Numbers of ImageJobs in a transaction. The archiver waits 0.2 s for others, so 50 images/s make
groups of about ten to twenty; 500 is the maximum, when it catches up."""


@dataclass
class _Meter:
    """Counts the rows of a block, and afterward has what they cost."""

    rows: int = 0
    server_seconds: float = 0.0
    writer_seconds: float = 0.0
    seconds: float = 0.0

    def cost(self, title: str) -> WriteCost:
        """Return the result of the measurement."""
        return WriteCost(title, self.rows, self.server_seconds, self.writer_seconds, self.seconds)


@dataclass
class Writing:
    """Writes rows to a server that has a history already."""

    postgres: Postgres
    store: HistoryStore
    rows: int
    """Number of rows to write in each way."""
    costs: list[WriteCost] = field(default_factory=list)

    async def measure(self) -> list[WriteCost]:
        """Write rows in all ways, and return what they cost."""
        for group in GROUPS:
            await self._single_images(group)
        await self._batches()

        return self.costs

    async def _single_images(self, group: int) -> None:
        title = f"single images, {group} in a transaction"
        # The watch's events are made before the clock starts, because the API server sends them.
        events = [json.dumps(body) for body in _bodies(self._history(title), self.rows)]

        async with self._measuring() as meter:
            for start in range(0, len(events), group):
                now = datetime.now(UTC)
                bodies = (json.loads(it) for it in events[start : start + group])
                rows = [rows_of(body, now) for body in bodies]
                written = await self.store.add_jobs(rows, 1000)
                meter.rows += _all_of(written.rows, len(rows))

        self.costs.append(meter.cost(title))

    async def _batches(self) -> None:
        title = f"images of batches, {SHARD_ROWS} in a transaction"
        batches = list(_batches(self._history(title), self.rows))

        async with self._measuring() as meter:
            for batch, body, objects in batches:
                await self.store.add_batch(batch, body)
                for number, lines in enumerate(objects):
                    now = datetime.now(UTC)
                    parsed = (ResultLine.model_validate_json(it) for it in lines)
                    rows = [ImageRow.of_line(batch, it, now) for it in parsed]
                    written = await self.store.add_batch_images(batch.metadata.uid, number, rows)
                    meter.rows += _all_of(written.rows, len(rows))

        self.costs.append(meter.cost(title))

    def _history(self, title: str) -> Invented:
        # Twice as many, because they consist of both single images and batches.
        rows = 8 * max(self.rows, PIECE_ROWS)
        seed = f"{title} {time.time_ns()}"
        return Invented(rows, datetime.now(UTC), timedelta(minutes=10), seed)

    @asynccontextmanager
    async def _measuring(self) -> AsyncIterator[_Meter]:
        """Measure a block, and the checkpoint that brings its rows to the disk."""
        meter = _Meter()
        started, served, used = (
            time.monotonic(),
            server.cpu_seconds(self.postgres),
            time.process_time(),
        )
        yield meter
        meter.seconds = time.monotonic() - started
        meter.writer_seconds = time.process_time() - used

        await asyncio.to_thread(self.postgres.execute, "CHECKPOINT")
        meter.server_seconds = server.cpu_seconds(self.postgres) - served


async def measure(postgres: Postgres, rows: int) -> list[WriteCost]:
    """Write rows to a server that has a history already, and return what they cost."""
    settings = DatabaseSettings(postgres.url())
    async with Database.open(settings, server.SCHEMA, LIMITS) as database:
        return await Writing(postgres, HistoryStore(database), rows).measure()


def _all_of(written: int, rows: int) -> int:
    """Return the number of rows if all were written; others would make the cost look too low."""
    if written != rows:
        raise BenchError(f"bench-history: only {written} of {rows} new rows were written")
    return rows


def _bodies(history: Invented, count: int) -> Iterator[dict[str, object]]:
    left = count
    for piece in range(history.pieces):
        if is_batch(piece):
            continue
        for body in history.jobs(piece):
            if not left:
                return
            left -= 1
            yield body


def _batches(
    history: Invented, count: int
) -> Iterator[tuple[ImageBatch, str, Sequence[Sequence[str]]]]:
    """Yield batches with at least `count` images in all: their bodies and index objects."""
    left = count
    for piece in filter(is_batch, range(history.pieces)):
        if left <= 0:
            return
        batch, body = history.batch(piece)
        lines = [it.model_dump_json(by_alias=True) for it in history.lines(piece)]
        left -= len(lines)
        objects = [lines[at : at + SHARD_ROWS] for at in range(0, len(lines), SHARD_ROWS)]
        yield batch, json.dumps(body), objects
