"""Read an object in parts, all of which belong to the same version."""

from collections.abc import AsyncIterator

from vision_node_contract.clients.bucket import Bucket, ObjectChangedError, ObjectNotFoundError
from vision_node_contract.clients.bucket_objects import StoredObject

from .freeze_errors import SourceChangedError

PART_BYTES = 1 << 18
"""Number of bytes to read at a time. To split them into lines takes some milliseconds."""


async def parts_of(bucket: Bucket, found: StoredObject) -> AsyncIterator[bytes]:
    """Yield the bytes of an object, PART_BYTES at a time.

    Raises:
        SourceChangedError: The object was replaced meanwhile.
        StoreUnavailableError: The bucket did not respond or refused a request.
    """
    for first in range(0, found.size_bytes, PART_BYTES):
        size = min(PART_BYTES, found.size_bytes - first)
        yield await _read(bucket, found, first, size)


async def _read(bucket: Bucket, found: StoredObject, first: int, size: int) -> bytes:
    try:
        piece = await bucket.get_part(found.key, first, size, found.etag)
    except (ObjectChangedError, ObjectNotFoundError) as error:
        raise SourceChangedError(f"{found.key} was replaced") from error

    if len(piece) != size:
        raise SourceChangedError(f"{found.key} has become shorter")

    return piece
