"""Store what is counted in an ImageBatch's index objects, each of which is written only once.

The index object is written before the status. If the operator stops in between, or if a second
operator is still writing, the next write finds the object and counts what it lists. So no shard is
counted twice, and no listed shard is missed.
"""

import hashlib
import json
import logging
from collections.abc import Sequence

from vision_node_contract.batch_objects import BatchFolder, IndexEntry
from vision_node_contract.clients.bucket import Bucket, ObjectChangedError, StoreUnavailableError
from vision_node_contract.models.imagebatch import ImageBatch

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/jsonl"

MAX_INDEX_BYTES = 8 << 20
"""Maximum size of an index object in bytes. It has at most MAX_ENTRIES (counting.py) entries,
of usually 300 bytes. An entry with ten failures of the maximum length has less than 64 KiB."""


async def store_entries(
    bucket: Bucket, batch: ImageBatch, entries: Sequence[IndexEntry]
) -> list[IndexEntry]:
    """Store the entries in the next index object; return those that the object has.

    If the object already exists, its entries are returned instead, and nothing is written.

    Raises:
        StoreUnavailableError: the object may or may not have been stored, or can't be read.
    """
    key = BatchFolder(bucket.folders, batch.metadata.uid).index(batch.index)
    data = "".join(_line(entry) for entry in entries).encode()
    digest = hashlib.sha256(data).hexdigest()

    try:
        await bucket.put_if(key, data, MEDIA_TYPE, digest, None)
    except ObjectChangedError:
        log.info("ImageBatch %s: counting what %s lists", batch.metadata.name, key)
        stored = await bucket.get(key, MAX_INDEX_BYTES)
        try:
            return [IndexEntry.model_validate_json(line) for line in stored.splitlines()]
        except ValueError as error:
            message = f"object {key} in the bucket was changed and can't be read: delete it"
            raise StoreUnavailableError(message) from error

    return [*entries]


def _line(entry: IndexEntry) -> str:
    return json.dumps(entry.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n"
