"""Find the images of a finished ImageBatch that have failed, and their lines in the manifest."""

import logging
from collections.abc import AsyncIterator, Iterator
from itertools import groupby

from vision_node_contract.batch_objects import (
    CHUNK_LINES,
    BatchFolder,
    IndexEntry,
    ManifestLine,
)
from vision_node_contract.clients.batch_results import (
    MAX_CHUNK_BYTES,
    BadResultsError,
    manifest_key,
)
from vision_node_contract.clients.bucket import ObjectChangedError, ObjectNotFoundError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import Range

from ...web.problems import Problem
from ..dependency_problems import storage_problems
from .batches import Batches
from .result_finder import ResultFinder, lines_of
from .result_line import index_of, phase_of

log = logging.getLogger(__name__)

MAX_FAILED = 10_000
"""Maximum number of images to copy for another attempt. They are copied while the client waits: a
thousand small ones take about a second."""


class FailedImages:
    """Finds the images of one finished ImageBatch that have failed.

    Args:
        batches: The service for ImageBatches.
        batch: The ImageBatch.
    """

    def __init__(self, batches: Batches, batch: ImageBatch) -> None:
        self._batches = batches
        self._batch = batch
        self._bucket = batches.bucket
        self._finder = ResultFinder(batches.bucket, batches.storage)
        self._folder = BatchFolder(batches.bucket.folders, batch.metadata.uid)

    async def indexes(self) -> list[int]:
        """Return the indexes of the images that have failed, sorted.

        If the results of a shard with failed images are lost, these are all of its images.

        Raises:
            Problem: 413 TooManyFailedImages; 503 with one of STORAGE_REASONS.
        """
        found: set[int] = set()
        for number in range(self._batch.index):
            for entry in await self._finder.entries(self._folder.index(number)):
                async for index in self._failed(entry):
                    found.add(index)
                    if len(found) > MAX_FAILED:
                        raise _too_many()

        return sorted(found)

    async def lines(self, indexes: list[int]) -> AsyncIterator[ManifestLine | int]:
        """Yield what the manifest has about these images; the index if it has been lost.

        Raises:
            Problem: 503 with one of STORAGE_REASONS.
        """
        for chunk, group in groupby(indexes, lambda it: it // CHUNK_LINES):
            for found in await self._chunk(chunk * CHUNK_LINES, list(group)):
                yield found

    async def line(self, index: int) -> ManifestLine | None:
        """Return what the manifest has about an image; None if it has been lost.

        Raises:
            Problem: 503 with one of STORAGE_REASONS.
        """
        (found,) = await self._chunk(index // CHUNK_LINES * CHUNK_LINES, [index])
        return found if isinstance(found, ManifestLine) else None

    async def _failed(self, entry: IndexEntry) -> AsyncIterator[int]:
        if entry.key is None:
            for index in self._ended(entry):
                yield index
            return
        if not entry.failed:
            return

        ended = entry.ended
        try:
            with storage_problems(self._batches.storage):
                async for line in lines_of(self._bucket, self._folder, entry):
                    found = index_of(line) if phase_of(line) == "failed" else None
                    if found is not None and found in ended:
                        yield found
        except (BadResultsError, ObjectChangedError, ObjectNotFoundError) as error:
            log.warning("results %s of shard %s: %s", entry.key, entry.shard, error)
            for index in self._ended(entry):
                yield index

    def _ended(self, entry: IndexEntry) -> Iterator[int]:
        """Yield the indexes of the images that are counted for a shard."""
        for found in entry.ended.ranges:
            yield from range(found.first, min(found.last + 1, self._batch.total))

    async def _chunk(self, first: int, indexes: list[int]) -> list[ManifestLine | int]:
        try:
            key = manifest_key(self._batch, self._folder, Range(first, first))
            async with self._batches.limits.chunk_reads:
                with storage_problems(self._batches.storage):
                    data = await self._bucket.get(key, MAX_CHUNK_BYTES)
                texts = data.split(b"\n")
                return [ManifestLine.model_validate_json(texts[it - first]) for it in indexes]
        except (ObjectNotFoundError, ValueError, IndexError) as error:
            log.warning("manifest of batch %s: %s", self._batch.metadata.name, error)
            return list(indexes)


def _too_many() -> Problem:
    detail = (
        f"More than {MAX_FAILED} images have failed, which is the maximum for another attempt. Get "
        "them with GET /batches/{name}/results?phase=failed, and upload them again."
    )
    return Problem(413, "TooManyFailedImages", detail)
