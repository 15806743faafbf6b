"""Read the results of an ImageBatch from the bucket, and verify them.

Any worker can write to any of these objects, so they are compared with the SHA-256 in the index
before anybody uses them.
"""

import hashlib
from collections.abc import AsyncGenerator, Iterator

from ..batch_objects import (
    CHUNK_LINES,
    BatchFolder,
    IndexEntry,
    LineError,
    ManifestLine,
    ResultLine,
    chunk_key,
)
from ..models.imagebatch import ImageBatch
from ..models.reasons import Reason
from ..ranges import Range, RangeSet
from .bucket import Bucket, ObjectChangedError, ObjectNotFoundError

PIECE_BYTES = 1 << 20
"""Number of bytes of results to keep in memory. Larger objects are read twice, in pieces of this
size: once to compare their SHA-256, and once to use them."""

MAX_INDEX_BYTES = 8 << 20
"""Maximum size of an index object. It lists up to 200 shards, which take about 60 kB. If
each has ten failures with the longest messages, it has a few megabytes."""

MAX_CHUNK_BYTES = 20 << 20
"""Maximum size of a part of the manifest: 1,000 lines, each with the longest prompt."""

GONE = "ResultGone"
CHANGED = "ResultChanged"


class BadResultsError(Exception):
    """Stored results can't be used. `reason` is GONE or CHANGED."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def verified_results(
    bucket: Bucket, folder: BatchFolder, entry: IndexEntry
) -> AsyncGenerator[bytes, None]:
    """Yield an object with results in pieces if it is unchanged since the worker stored it.

    Args:
        bucket: The bucket.
        folder: The folder of the ImageBatch.
        entry: The line of the index object that names the object.

    Raises:
        BadResultsError: The object is missing or differs, and nothing was yielded.
        ObjectChangedError, ObjectNotFoundError: It changed after some pieces had been yielded.
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    key, size = entry.key or "", entry.size_bytes
    if not key.startswith(f"{folder.prefix}results/"):
        raise BadResultsError(GONE, "The shard's status names an object of another batch.")
    if size is None or entry.sha256 is None:
        raise _changed(entry)

    try:
        if size <= PIECE_BYTES:
            yield await _whole(bucket, entry, key, size)
            return

        etag = await _verify(bucket, entry, key, size)
    except ObjectNotFoundError as error:
        message = "The results of the shard with this image were deleted from storage."
        raise BadResultsError(GONE, message) from error
    except ObjectChangedError as error:
        raise _changed(entry) from error

    for start in range(0, size, PIECE_BYTES):
        yield await bucket.get_part(key, start, PIECE_BYTES, etag)


async def _whole(bucket: Bucket, entry: IndexEntry, key: str, size: int) -> bytes:
    data = await bucket.get(key, size)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise _changed(entry)

    return data


async def _verify(bucket: Bucket, entry: IndexEntry, key: str, size: int) -> str:
    """Return the ETag of a large object whose size and SHA-256 are right."""
    found = await bucket.stat(key)
    if found.size_bytes != size:
        raise _changed(entry)

    digest = hashlib.sha256()
    for start in range(0, size, PIECE_BYTES):
        digest.update(await bucket.get_part(key, start, PIECE_BYTES, found.etag))
    if digest.hexdigest() != entry.sha256:
        raise _changed(entry)

    return found.etag


def _changed(entry: IndexEntry) -> BadResultsError:
    message = (
        f"The results of shard {entry.shard} in storage were overwritten: their SHA-256 differs "
        "from the one that the worker reported."
    )
    return BadResultsError(CHANGED, message)


def error_of(entry: IndexEntry) -> LineError:
    """Return why the images of a shard without results have none."""
    message = f"Shard {entry.shard} ended without results."
    return entry.error or LineError(reason=Reason.WORKER_LOST, message=message)


def chunks_of(ended: RangeSet, total: int) -> Iterator[Range]:
    """Split indexes into ranges, each within one chunk of the frozen manifest."""
    for found in ended.ranges:
        first, end = found.first, min(found.last + 1, total)
        while first < end:
            next_first = min(end, (first // CHUNK_LINES + 1) * CHUNK_LINES)
            yield Range(first, next_first - 1)
            first = next_first


def manifest_key(batch: ImageBatch, folder: BatchFolder, chunk: Range) -> str:
    """Return the key of the object with this part of the frozen manifest.

    Raises:
        ValueError: The status names no manifest of this ImageBatch.
    """
    manifest = batch.status.manifest
    if manifest is None or not manifest.folder.startswith(folder.prefix):
        raise ValueError("the status names no manifest of this batch")

    return chunk_key(manifest.folder, chunk.first)


def failed_lines(data: bytes, chunk: Range, error: LineError) -> Iterator[ResultLine]:
    """Yield a line with the error for each image of a part of the frozen manifest.

    Args:
        data: The object that `manifest_key` names.
        chunk: The indexes of the images.
        error: Why they have no results.

    Raises:
        ValueError: A line of the manifest can't be read.
    """
    first = chunk.first % CHUNK_LINES
    for line in data.split(b"\n", first + chunk.size)[first : first + chunk.size]:
        image = ManifestLine.model_validate_json(line)
        yield ResultLine(
            index=image.index,
            custom_id=image.custom_id,
            key=image.key,
            size=image.size,
            error=error,
        )
