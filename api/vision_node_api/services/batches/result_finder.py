"""Find the result of one image of an ImageBatch in the bucket."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from vision_node_contract.batch_objects import BatchFolder, IndexEntry, LineError, ResultLine
from vision_node_contract.clients.batch_results import (
    GONE,
    MAX_INDEX_BYTES,
    BadResultsError,
    error_of,
    verified_results,
)
from vision_node_contract.clients.bucket import Bucket, ObjectChangedError, ObjectNotFoundError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import RangeSet

from ...web.fair_turns import FairTurns
from ..dependency_problems import storage_problems
from ..storage_health import StorageHealth
from .line_blocks import LineBlocks
from .result_line import index_of

log = logging.getLogger(__name__)

MAX_LOOKUPS = 2
"""Maximum number of images to look for at the same time. Each may take 16 MiB of memory: an index
object, or a long result. Most take a few hundred kilobytes."""

MAX_KNOWN_PARTS = 4000
"""Maximum number of parts whose indexes are kept in memory. Each usually takes 200 bytes, and at
most 4 kB. A batch has at most one part per second, so these are an hour of one batch."""


class ResultFinder:
    """Finds results of single images.

    Args:
        bucket: The bucket.
        storage: Records the health of the bucket.
    """

    def __init__(self, bucket: Bucket, storage: StorageHealth) -> None:
        self._bucket = bucket
        self._storage = storage
        self._lookups = FairTurns(MAX_LOOKUPS)
        self._parts: dict[str, str] = {}
        """Indexes of the images of parts, as text, by the key of the index object. It never
        changes."""

    async def find(self, batch: ImageBatch, index: int) -> ResultLine:
        """Return the outcome of a counted image. A result that can't be read is an error.

        Raises:
            Problem: 503 with one of STORAGE_REASONS.
        """
        folder = BatchFolder(self._bucket.folders, batch.metadata.uid)
        async with self._lookups:
            entry = await self._entry(batch, folder, index)
            if entry is None:
                message = "The part of the results with this image was deleted, or can't be read."
                return _failed(index, LineError(reason=GONE, message=message))
            if entry.key is None:
                return _failed(index, error_of(entry))

            return await self._line(folder, entry, index)

    async def _entry(self, batch: ImageBatch, folder: BatchFolder, index: int) -> IndexEntry | None:
        """Return what the shard with an image has contributed; None if it can't be found.

        Images are described roughly in their order, so the search begins at the part that the image
        would be in if all parts had the same size.
        """
        guess = index * batch.index // max(batch.total, 1)
        for number in sorted(range(batch.index), key=lambda it: abs(it - guess)):
            key = folder.index(number)
            known = self._parts.get(key)
            if known is not None and index not in RangeSet.parse(known):
                continue

            entries = await self.entries(key)
            for entry in entries:
                if index in entry.ended:
                    return entry

        return None

    async def entries(self, key: str) -> list[IndexEntry]:
        """Return the readable entries of an index object; none if it is missing.

        Raises:
            Problem: 503 with one of STORAGE_REASONS.
        """
        try:
            with storage_problems(self._storage):
                data = await self._bucket.get(key, MAX_INDEX_BYTES)
        except ObjectNotFoundError:
            log.warning("index object %s is missing", key)
            return []

        entries = read_entries(data, key)
        self._know(key, RangeSet(it for entry in entries for it in entry.ended.ranges))
        return entries

    def _know(self, key: str, ended: RangeSet) -> None:
        while len(self._parts) >= MAX_KNOWN_PARTS:
            del self._parts[next(iter(self._parts))]

        self._parts[key] = str(ended)

    async def _line(self, folder: BatchFolder, entry: IndexEntry, index: int) -> ResultLine:
        try:
            with storage_problems(self._storage):
                async with aclosing(lines_of(self._bucket, folder, entry)) as lines:
                    async for line in lines:
                        if index_of(line) == index:
                            return ResultLine.model_validate_json(line)
        except BadResultsError as bad:
            return _failed(index, LineError(reason=bad.reason, message=str(bad)))
        except (ObjectChangedError, ObjectNotFoundError, ValueError) as error:
            log.warning("results %s of shard %s: %s", entry.key, entry.shard, error)

        message = f"The results of shard {entry.shard} have no readable line for this image."
        return _failed(index, LineError(reason=GONE, message=message))


async def lines_of(
    bucket: Bucket, folder: BatchFolder, entry: IndexEntry
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of an object with results, without their ends.

    Raises:
        BadResultsError: The object is missing or differs, and nothing was yielded.
        ObjectChangedError, ObjectNotFoundError: It changed after some lines had been yielded.
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    blocks = LineBlocks()
    async with aclosing(verified_results(bucket, folder, entry)) as pieces:
        async for piece in pieces:
            for block in blocks.feed(piece):
                for line in filter(None, block.split(b"\n")):
                    yield line

    for block in blocks.feed(b"\n"):
        for line in filter(None, block.split(b"\n")):
            yield line


def read_entries(data: bytes, key: str) -> list[IndexEntry]:
    """Return the entries of an index object. Those that can't be read are logged and left out."""
    entries = []
    for line in data.splitlines():
        try:
            entry = IndexEntry.model_validate_json(line)
            RangeSet.parse(entry.ranges)
        except ValueError as error:
            log.warning("index object %s: %s", key, error)
            continue
        entries.append(entry)

    return entries


def _failed(index: int, error: LineError) -> ResultLine:
    return ResultLine(index=index, custom_id="", error=error)
