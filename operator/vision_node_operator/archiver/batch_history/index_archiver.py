"""Write the results that one index object lists to the database."""

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

from vision_node_contract.batch_objects import BatchFolder, IndexEntry
from vision_node_contract.clients.batch_results import (
    MAX_CHUNK_BYTES,
    MAX_INDEX_BYTES,
    BadResultsError,
    chunks_of,
    error_of,
    failed_lines,
    manifest_key,
    verified_results,
)
from vision_node_contract.clients.bucket import Bucket, ObjectChangedError, ObjectNotFoundError
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.history.records import ImageRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import RangeSet

from ..history.store import HistoryStore
from .counts import BatchCounts
from .holds import HeldError, Holds
from .result_lines import ResultLines

log = logging.getLogger(__name__)

GROUP_ROWS = 500
"""Maximum number of rows in one transaction, which takes PostgreSQL some 100 ms."""

MIN_GROUP_ROWS = 25
"""Number of rows in one transaction if PostgreSQL is too slow for more."""

GROUP_BYTES = 4 << 20
"""Size of the texts of rows, in bytes, at which they are written. Together with an index object and
two pieces of results, they take at most 16 MiB of memory."""

ROW_BYTES = 2000
"""Approximate memory of a row besides its texts, in bytes: about 30 words and the objects."""


class IndexArchiver:
    """Archives index objects, one at a time.

    The rows of an index object may be thousands, so they are written in groups, and the last group
    counts the index object. If the process is killed in between, all of them are offered again, and
    those that exist stay as they are.
    """

    def __init__(
        self, bucket: Bucket, store: HistoryStore, holds: Holds, counts: BatchCounts
    ) -> None:
        self._bucket = bucket
        self._store = store
        self._holds = holds
        self._counts = counts
        self._group_rows = GROUP_ROWS

    async def archive(self, batch: ImageBatch, number: int) -> bool:
        """Archive one index object; return whether any row is new.

        If no row is new, the index object may not have been counted, because another archiver was
        faster, or the batch was deleted.

        Raises:
            StoreUnavailableError: The bucket does not answer, and another attempt may succeed.
            HistoryUnavailableError: The database does not answer.
            HeldError: An object is missing, but that may be because of the bucket itself.
        """
        uid, group, size, new = batch.metadata.uid, list[ImageRow](), 0, 0
        async with aclosing(self._rows(batch, number)) as rows:
            async for row in rows:
                group.append(row)
                size += ROW_BYTES + len(row.body) + len(row.result or "")
                if len(group) >= self._group_rows or size >= GROUP_BYTES:
                    new += await self._write(uid, number, group, is_last=False)
                    group, size = [], 0

        new += await self._write(uid, number, group, is_last=True)
        # Not after each group: if larger ones are too slow, the whole index object starts over.
        self._group_rows = min(GROUP_ROWS, 2 * self._group_rows)
        return new > 0

    async def _write(
        self, uid: str, number: int, rows: Sequence[ImageRow], *, is_last: bool
    ) -> int:
        try:
            written = await self._store.add_batch_images(uid, number, rows, is_last=is_last)
        except HistoryUnavailableError:
            self._group_rows = max(MIN_GROUP_ROWS, self._group_rows // 2)
            raise

        self._counts.archived += written.rows
        self._counts.refused += written.refused
        return written.rows + written.refused

    async def _rows(self, batch: ImageBatch, number: int) -> AsyncGenerator[ImageRow, None]:
        folder = BatchFolder(self._bucket.folders, batch.metadata.uid)
        key = folder.index(number)
        for line in await self._index_lines(batch, key):
            try:
                entry = IndexEntry.model_validate_json(line)
                ended = entry.ended
            except ValueError as error:
                await self._skip(batch, key, f"a line can't be read: {ascii(str(error))[:512]}")
                continue

            read = self._failed_rows if entry.key is None else self._rows_of
            async with aclosing(read(batch, folder, entry, ended)) as rows:
                async for row in rows:
                    yield row

    async def _index_lines(self, batch: ImageBatch, key: str) -> Iterator[bytes]:
        try:
            data = await self._bucket.get(key, MAX_INDEX_BYTES)
        except ObjectNotFoundError:
            await self._skip(batch, key, "it is missing")
            return iter(())

        if len(data) > MAX_INDEX_BYTES:
            await self._skip(batch, key, f"it has more than {MAX_INDEX_BYTES} bytes")
            return iter(())

        return _lines(data)

    async def _rows_of(
        self, batch: ImageBatch, folder: BatchFolder, entry: IndexEntry, ended: RangeSet
    ) -> AsyncGenerator[ImageRow, None]:
        lines = ResultLines(batch, entry.key or "", ended, _time_of(batch))
        try:
            async with aclosing(verified_results(self._bucket, folder, entry)) as pieces:
                async for piece in pieces:
                    for row in lines.feed(piece):
                        yield row
        except (BadResultsError, ObjectNotFoundError, ObjectChangedError) as error:
            await self._skip(batch, entry.key or "", str(error))
            return

        for row in lines.finish():
            yield row
        self._counts.unreadable_lines += lines.unreadable

    async def _failed_rows(
        self, batch: ImageBatch, folder: BatchFolder, entry: IndexEntry, ended: RangeSet
    ) -> AsyncGenerator[ImageRow, None]:
        """Yield rows of images whose shard ended without results, for example of memory.

        Their names are in the frozen manifest.
        """
        at, error = _time_of(batch), error_of(entry)
        for chunk in chunks_of(ended, batch.total):
            try:
                key = manifest_key(batch, folder, chunk)
                data = await self._bucket.get(key, MAX_CHUNK_BYTES)
                rows = [ImageRow.of_line(batch, it, at) for it in failed_lines(data, chunk, error)]
            except (ObjectNotFoundError, ValueError) as bad:
                await self._skip(batch, f"manifest of {chunk}", ascii(str(bad))[:512])
                continue

            for row in rows:
                yield row

    async def _skip(self, batch: ImageBatch, key: str, why: str) -> None:
        """Count and log an unreadable object, unless it may be the wrong bucket.

        Raises:
            HeldError: It may be the wrong bucket, so the object is to be tried again.
        """
        if hold := await self._holds.hold("clean"):
            raise HeldError(f"{key}: {why}; it is not skipped yet, because {hold}")

        self._counts.unreadable_objects += 1
        log.warning(
            "ImageBatch %s: %s is skipped, so its images can't be found in the history: %s",
            *(batch.metadata.name, key, why),
        )


def _time_of(batch: ImageBatch) -> datetime:
    """Return the time of archiving, which is never before the creation of the ImageBatch."""
    now = datetime.now(UTC)
    return max(now, batch.metadata.creation_timestamp or now)


def _lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines one by one, because an index object may have megabytes."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if line := data[start:end].strip():
            yield line
        start = end + 1
