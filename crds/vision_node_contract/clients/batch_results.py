"""Read the results of an ImageBatch from the bucket, and verify them.

Any worker can write to any of these objects, so they are compared with the SHA-256 in the index
before anybody uses them.
"""

import hashlib
from collections.abc import AsyncGenerator

from ..batch_objects import BatchFolder, IndexEntry
from .bucket import Bucket, ObjectChangedError, ObjectNotFoundError

PIECE_BYTES = 1 << 20
"""Number of bytes of results to keep in memory. Larger objects are read twice, in pieces of this
size: once to compare their SHA-256, and once to use them."""

MAX_INDEX_BYTES = 8 << 20
"""Maximum size of an index object. It lists up to 200 shards, which take about 60 kB. If
each has ten failures with the longest messages, it has a few megabytes."""

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
