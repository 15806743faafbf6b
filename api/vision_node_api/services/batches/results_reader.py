"""Read the results of an ImageBatch from the bucket, one part at a time.

A part is what the operator counted at once: an index object, which names the objects with the
results of some shards. Any worker can write to any of these objects, so they are compared with the
SHA-256 in the index before they are sent.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

from vision_node_contract.batch_objects import (
    BatchFolder,
    IndexEntry,
    LineError,
)
from vision_node_contract.clients.batch_results import (
    CHANGED,
    GONE,
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
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import Range, RangeSet

from ...web.fair_turns import FairTurns
from ...web.json_lines import json_line
from ...web.problems import Problem
from ..dependency_problems import storage_problems
from ..storage_health import StorageHealth

log = logging.getLogger(__name__)


class FindBatch(Protocol):
    """Returns an ImageBatch in its current state; None if it has been deleted."""

    async def __call__(self, batch: ImageBatch, *, is_fresh: bool) -> ImageBatch | None:
        """Ask the API server if `is_fresh` is true; otherwise, the cache may answer."""
        ...


class ResultsReader:
    """Reads the results of one ImageBatch.

    Args:
        batch: The ImageBatch, which may be replaced by a newer state of the same one.
        bucket: The bucket.
        storage: Records the health of the bucket.
        find: Function that finds out whether the ImageBatch still exists.
        chunk_reads: Limits how many chunks of frozen manifests are in memory.
    """

    def __init__(
        self,
        batch: ImageBatch,
        bucket: Bucket,
        storage: StorageHealth,
        find: FindBatch,
        chunk_reads: FairTurns,
    ) -> None:
        self.batch = batch
        self.find = find
        self._bucket = bucket
        self._storage = storage
        self._chunk_reads = chunk_reads
        self._folder = BatchFolder(bucket.folders, batch.metadata.uid)

    async def part(self, number: int) -> AsyncGenerator[bytes, None]:
        """Yield the lines of the part with this number, in pieces of up to PIECE_BYTES.

        An image whose result can't be sent gets a line with an error.

        Raises:
            Problem: 404 BatchNotFound if the ImageBatch was deleted; 503 with one of
                STORAGE_REASONS.
        """
        try:
            index = await self._get(self._folder.index(number), MAX_INDEX_BYTES)
        except ObjectNotFoundError:
            await self._require_batch()
            yield self._lost_part(number)
            return

        for line in index.splitlines():
            try:
                entry = IndexEntry.model_validate_json(line)
                ended = entry.ended
            except ValueError as error:
                log.warning("index object %s: %s", self._folder.index(number), error)
                yield self._lost_part(number)
                continue

            async for piece in self._lines_of(entry, ended):
                yield piece

    async def _lines_of(self, entry: IndexEntry, ended: RangeSet) -> AsyncIterator[bytes]:
        if entry.key is None:
            async for piece in self._error_lines(ended, error_of(entry)):
                yield piece
            return

        try:
            async for piece in self._stored(entry):
                yield piece
        except BadResultsError as bad:
            log.warning("results %s of shard %s: %s", entry.key, entry.shard, bad)
            error = LineError(reason=bad.reason, message=str(bad))
            async for piece in self._error_lines(ended, error):
                yield piece

    async def _stored(self, entry: IndexEntry) -> AsyncIterator[bytes]:
        """Yield an object with results if it is unchanged since the worker stored it.

        Raises:
            BadResultsError: the object is missing or differs, and nothing has been sent.
            Problem: it changed while it was being sent, or the bucket is unavailable.
        """
        last = b""
        async with aclosing(verified_results(self._bucket, self._folder, entry)) as pieces:
            while (piece := await self._next(pieces)) is not None:
                last = piece[-1:]
                yield piece

        if last != b"\n":
            yield b"\n"

    async def _next(self, pieces: AsyncGenerator[bytes, None]) -> bytes | None:
        try:
            with storage_problems(self._storage):
                return await anext(pieces, None)
        except (ObjectChangedError, ObjectNotFoundError) as error:
            await self._require_batch()
            detail = "Results were overwritten or deleted while they were being sent."
            raise Problem(502, CHANGED, detail) from error

    async def _error_lines(self, ended: RangeSet, error: LineError) -> AsyncIterator[bytes]:
        """Yield a line with the error for each image.

        The images' keys are in the manifest. If it is missing, yield one line for all of them.
        """
        for chunk in chunks_of(ended, self.batch.total):
            try:
                yield await self._error_lines_of_chunk(chunk, error)
            except (ObjectNotFoundError, ValueError) as cause:
                await self._require_batch()
                log.warning("manifest of batch %s: %s", self.batch.metadata.name, cause)
                yield json_line({"ranges": str(chunk), "error": error.to_json()})

    async def _error_lines_of_chunk(self, chunk: Range, error: LineError) -> bytes:
        key = manifest_key(self.batch, self._folder, chunk)

        async with self._chunk_reads:
            data = await self._get(key, MAX_CHUNK_BYTES)
            lines = failed_lines(data, chunk, error)
            return b"".join(json_line(line.to_json()) for line in lines)

    async def _require_batch(self) -> None:
        """Raise an error if objects are missing because the ImageBatch was deleted.

        Raises:
            Problem: 404 BatchNotFound; 503 KubernetesUnavailable.
        """
        if await self.find(self.batch, is_fresh=True) is None:
            raise batch_deleted()

    def _lost_part(self, number: int) -> bytes:
        message = f"Part {number} of the results was deleted from storage, or can't be read."
        return json_line({"part": number, "error": {"reason": GONE, "message": message}})

    async def _get(self, key: str, max_bytes: int) -> bytes:
        with storage_problems(self._storage):
            return await self._bucket.get(key, max_bytes)


def batch_deleted() -> Problem:
    """Return the problem for an ImageBatch that was deleted while its results were being sent."""
    return Problem(404, "BatchNotFound", "The batch was deleted while its results were being sent.")
