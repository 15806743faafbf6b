"""Read results that are in the bucket because they are too large for an ImageJob's status."""

import logging
from contextlib import AbstractAsyncContextManager, nullcontext

from vision_node_contract.bucket_keys import is_as_stored
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.models.description import Result
from vision_node_contract.models.imagejob import ImageJob, StoredResult

from ..web.fair_turns import FairTurns
from ..web.problems import Problem
from .dependency_problems import storage_problems
from .storage_health import StorageHealth

log = logging.getLogger(__name__)

MAX_RESULT_BYTES = 16 << 20
"""Maximum size of a stored result in bytes. A larger object can't be a result, because no describer
writes that much."""

LARGE_BYTES = 1 << 20
"""Size in bytes above which a result is large. Results of the project's describers are smaller."""

MAX_LARGE_READS = 2
"""Maximum number of large results to read and parse at the same time. Parsing one of the maximum
size may take 100 MB."""


class LargeResultLimit:
    """Limits how many large results are in memory at the same time."""

    def __init__(self) -> None:
        self._reads = FairTurns(MAX_LARGE_READS)

    def reading(self, stored: StoredResult) -> AbstractAsyncContextManager[None]:
        """Wait until the result may be read, and count it for the duration of the block.

        A result whose size is unknown counts as large. Other results never wait.
        """
        size_bytes = stored.size_bytes or MAX_RESULT_BYTES
        return self._reads if size_bytes > LARGE_BYTES else nullcontext()


async def read_stored_result(
    job: ImageJob, stored: StoredResult, key: str | None, bucket: Bucket, storage: StorageHealth
) -> Result:
    """Return the job's result from the bucket, unless it has changed since the worker stored it.

    Args:
        job: The ImageJob.
        stored: The result in the ImageJob's status.
        key: Key of the job's own result; None if the status names another result.
        bucket: The bucket.
        storage: Records the health of the bucket.

    Raises:
        Problem: 410 ResultGone; 502 ResultChanged, ResultUnreadable; 503 with one of
            STORAGE_REASONS.
    """
    if key is None:
        detail = (
            "The job is done, but its status does not refer to a result of this job. "
            "Submit the image again."
        )
        raise Problem(410, "ResultGone", detail)

    data = await _fetch(key, stored.size_bytes or MAX_RESULT_BYTES, bucket, storage)
    if not is_as_stored(stored, data):
        name = job.metadata.name
        log.warning("object %s is not the result that the worker of job %s stored", key, name)
        detail = (
            "The job is done, but its result in storage was overwritten. Its SHA-256 differs from "
            "the one in the job's status. Submit the image again."
        )
        raise Problem(502, "ResultChanged", detail)

    try:
        return Result.model_validate_json(data)
    except ValueError as error:
        detail = "The job is done, but its result in storage can't be read. Submit the image again."
        raise Problem(502, "ResultUnreadable", detail) from error


async def _fetch(key: str, size_bytes: int, bucket: Bucket, storage: StorageHealth) -> bytes:
    """Return up to `size_bytes` + 1 bytes from the start of a stored result.

    The extra byte reveals a result that is larger than the worker reported.
    """
    if size_bytes > MAX_RESULT_BYTES:
        detail = (
            f"The job's result has {size_bytes} bytes and exceeds the limit of {MAX_RESULT_BYTES}. "
            "Submit the image again."
        )
        raise Problem(502, "ResultUnreadable", detail)

    try:
        with storage_problems(storage):
            return await bucket.get(key, size_bytes)
    except ObjectNotFoundError as error:
        detail = "The job is done, but its result was deleted. Submit the image again."
        raise Problem(410, "ResultGone", detail) from error
