"""A cluster, a bucket and a database for tests of the history of ImageBatches."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from archiver_helpers import BATCHES
from fakes.batch_api import BatchApi
from fakes.s3 import S3
from vision_node_contract.batch_objects import BatchFolder, IndexEntry
from vision_node_contract.clients.bucket import Bucket
from vision_node_operator.archiver.batch_history.batch_history import (
    BatchHistory,
    BatchRetention,
    BatchStores,
)
from vision_node_operator.archiver.batch_history.holds import Step
from vision_node_operator.archiver.batches import BatchClient, read_batch
from vision_node_operator.archiver.folder_cleaner import FolderCleaner
from vision_node_operator.archiver.history.store import HistoryStore

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeHolds:
    """Holds that a test sets."""

    held: set[Step] = field(default_factory=set)

    async def hold(self, step: Step) -> str | None:
        """Return a reason if the test has set this hold."""
        return "a person must confirm" if step in self.held else None

    async def record(self) -> bool:
        """Return whether evictions may go on."""
        return "clean" not in self.held

    def compare(self, version: int, known: int) -> None:
        """Forbid conclusions if the list is older than what was known, as after a restore."""
        if version < known:
            self.held.add("clean")


def uid_of(name: str) -> str:
    """Return the uid of the ImageBatch with this name."""
    return str(UUID(bytes=hashlib.md5(name.encode()).digest()))  # noqa: S324 (no secret)


def result_line(index: int, caption: str = "", **changes: Any) -> bytes:
    """Return the line of an image that was described."""
    result = {"caption": caption or f"cat number {index}", "describer": "local"}
    line = {"index": index, "customId": f"image-{index}", "key": f"inbox/{index}", "result": result}
    return json.dumps(line | changes).encode()


@dataclass
class HistoryWorld:
    """Everything that the history of ImageBatches uses."""

    api: BatchApi
    client: BatchClient
    s3: S3
    bucket: Bucket
    cleaner: FolderCleaner
    store: HistoryStore
    url: str
    holds: FakeHolds = field(default_factory=FakeHolds)
    stay: timedelta = timedelta(hours=1)
    data: timedelta | None = None

    def start(self, **changes: Any) -> BatchHistory:
        """Return the history of a new process, which has seen all ImageBatches."""
        values = {"batches": self.client, "bucket": self.bucket, "cleaner": self.cleaner}
        stores = BatchStores(**values | {"database": self.store} | changes)
        history = BatchHistory(stores, self.holds, BatchRetention(self.stay, self.data))
        self.show(history)
        return history

    def show(self, history: BatchHistory) -> None:
        """Let the process list all ImageBatches."""
        for body in [*self.api.bodies.values()]:
            history.observe(body, read_batch(body))
        history.observe_all(self.api.bodies.keys(), self.api.version)

    async def settle(self, history: BatchHistory, rounds: int = 200) -> None:
        """Let the process work until it has seen all changes, and nothing is to be done."""
        quiet = 0
        while quiet < 3:
            is_busy = await history.round()
            self.show(history)
            quiet = 0 if is_busy or history.waiting else quiet + 1
            rounds -= 1
            assert rounds, "the history does not come to rest"

    def create(self, name: str, parts: int = 0, images: int = 2, **spec: Any) -> str:
        """Create an ImageBatch whose index objects have one shard each; return its uid."""
        uid = uid_of(name)
        body = self.api.create(name, uid, prefix="inbox/", describer="local", **spec)
        body["metadata"]["creationTimestamp"] = LONG_AGO.isoformat()
        body["metadata"]["labels"] = {"vision-node.dev/owner": "ann"}
        for _ in range(parts):
            self.count(name, images)

        return uid

    def count(self, name: str, images: int = 2) -> str:
        """Count another shard with the next images; return the key of its results."""
        first = self.api.batch(name).index * images
        lines = [result_line(index) for index in range(first, first + images)]
        return self.count_lines(name, lines, f"{first}-{first + images - 1}")

    def count_lines(self, name: str, lines: Iterable[bytes], ranges: str) -> str:
        """Count a shard with these lines; return the key of its results."""
        number = self.api.batch(name).index
        folder = BatchFolder(self.bucket.folders, uid_of(name))
        data = b"".join(line + b"\n" for line in lines)
        key = folder.results(number, "shard", 1)
        self.s3.put(key, data)
        sha256 = hashlib.sha256(data).hexdigest()
        entry = IndexEntry(
            shard=f"{name}-{number}", ranges=ranges, key=key, sha256=sha256, size_bytes=len(data)
        )
        self.count_entries(name, [entry])
        return key

    def count_entries(self, name: str, entries: Iterable[IndexEntry]) -> None:
        """Write the next index object, and count it."""
        number = self.api.batch(name).index
        key = BatchFolder(self.bucket.folders, uid_of(name)).index(number)
        self.s3.put(key, b"".join(json.dumps(it.to_json()).encode() + b"\n" for it in entries))
        self.api.change(name, status={"phase": "processing", "results": {"index": number + 1}})

    def finish(self, name: str, end: datetime = LONG_AGO) -> None:
        """Finish an ImageBatch."""
        self.api.change(name, status={"phase": "done", "completionTime": end.isoformat()})

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET search_path = {self._schema}".encode())
            return connection.execute(statement.encode(), values).fetchall()

    def execute(self, statement: str) -> None:
        """Execute a statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"SET search_path = {self._schema}".encode())
            connection.execute(statement.encode())

    @property
    def _schema(self) -> str:
        schema: str = self.store._database.schema
        return schema

    def images(self, name: str) -> list[int]:
        """Return the indexes of a batch's rows."""
        order = "SELECT image_index FROM images WHERE uid = %s ORDER BY image_index"
        return [index for (index,) in self.query(order, uid_of(name))]

    def is_marked(self, name: str) -> bool | None:
        """Return whether a batch's row is marked as evicted; None if it has no row."""
        rows = self.query("SELECT evicted_at FROM batches WHERE uid = %s", uid_of(name))
        return rows[0][0] is not None if rows else None

    def folder(self, name: str) -> list[str]:
        """Return the keys of a batch's objects."""
        return [key for key in self.s3.objects if key.startswith(f"{BATCHES}{uid_of(name)}/")]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until other tasks have made the condition true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (other tasks make it true)
            await asyncio.sleep(0.005)
