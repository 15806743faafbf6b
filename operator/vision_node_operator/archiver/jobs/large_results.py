"""Read results that are not in the ImageJobs' status, to put them into their rows."""

import json
import logging

from vision_node_contract.bucket_keys import BucketFolders, is_as_stored
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.history.records import MAX_ROW_RESULT_BYTES
from vision_node_contract.json_types import Json
from vision_node_contract.models.imagejob import ImageJob, StoredResult

log = logging.getLogger(__name__)


def bytes_to_read(job: ImageJob, folders: BucketFolders) -> int:
    """Return how many bytes of the bucket archiving this ImageJob takes, at most."""
    if folders.own_result_key(job) is None or job.status.result is None:
        return 0

    size = job.status.result.size_bytes
    return MAX_ROW_RESULT_BYTES if size is None else min(size, MAX_ROW_RESULT_BYTES)


async def read_result(bucket: Bucket, job: ImageJob, body: Json) -> Json | None:
    """Return the complete result of an ImageJob as JSON; None if there is none for its row.

    A result stays in the bucket if it is large, missing or altered, or not the ImageJob's own.

    Raises:
        StoreUnavailableError: The bucket did not respond or refused the request.
    """
    stored = job.status.result
    if stored is None:
        return None

    if stored.inline is not None:
        inline: Json = body["status"]["result"]["inline"]
        return inline

    key = bucket.folders.own_result_key(job)
    if key is None or (stored.size_bytes or 0) > MAX_ROW_RESULT_BYTES:
        return None

    try:
        data = await bucket.get(key, MAX_ROW_RESULT_BYTES)
    except ObjectNotFoundError:
        log.warning("the result of ImageJob %s is missing: %s", job.metadata.name, key)
        return None

    if len(data) > MAX_ROW_RESULT_BYTES:
        return None

    return _parse(data, stored, job)


def _parse(data: bytes, stored: StoredResult, job: ImageJob) -> Json | None:
    if not is_as_stored(stored, data):
        log.warning("the result of ImageJob %s was altered: %s", job.metadata.name, stored.key)
        return None

    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        log.warning("the result of ImageJob %s is not JSON: %s", job.metadata.name, error)
        return None

    return found if isinstance(found, dict) else None
