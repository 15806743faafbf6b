"""Get the images of jobs that are described again."""

import asyncio
import hashlib
from pathlib import PurePosixPath
from typing import Protocol

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.models.imagejob import ImageRef

from ...web.problems import Problem
from ..batches.image_copies import IMAGE_GONE, ImageSource, NotCopiedError
from ..images.job_objects import read_image


class OldImage(Protocol):
    """The image of a job, or an image of a batch."""

    @property
    def max_bytes(self) -> int:
        """Maximum number of bytes that reading it takes."""

    @property
    def file_name(self) -> str | None:
        """The name of its file; None if it is unknown."""

    async def read(self) -> bytes:
        """Return the image.

        Raises:
            Problem: 410 ImageGone.
            StoreUnavailableError: The bucket did not respond or refused the request.
        """


class ImageOfJob:
    """The image of a job.

    Args:
        bucket: The bucket.
        ref: The job's `spec.image`.
        limit: Maximum size of an image in bytes.
    """

    def __init__(self, bucket: Bucket, ref: ImageRef, limit: int) -> None:
        self.max_bytes = min(ref.size_bytes or limit, limit)
        self.file_name = ref.file_name
        self._bucket = bucket
        self._ref = ref
        self._limit = limit

    async def read(self) -> bytes:
        """Return the image, unless it was deleted, or replaced in the inbox."""
        data = await read_image(self._bucket, self._ref.key, self.max_bytes)
        if data is None:
            detail = (
                "The image was deleted: images may be kept for a shorter time than their jobs. "
                "Submit it again."
            )
            raise _gone(detail)

        if len(data) > self._limit:
            raise _gone(f"The image has more than {self._limit} bytes, which is the limit.")
        if await self._is_replaced(data):
            raise _gone("The image was replaced after the job was created. Submit it again.")
        return data

    async def _is_replaced(self, data: bytes) -> bool:
        """Return whether this is not the image that the job has described."""
        size, digest = self._ref.size_bytes, self._ref.sha256
        if size is not None and len(data) != size:
            return True

        return digest is not None and await asyncio.to_thread(_sha256, data) != digest


class ImageOfBatch:
    """An image of a batch.

    Args:
        source: Reads the images of the batch.
        line: The image's line in the manifest.
        limit: Maximum size of an image in bytes.
    """

    def __init__(self, source: ImageSource, line: ManifestLine, limit: int) -> None:
        # An image in the inbox may have been replaced by a larger one, which is read as a whole.
        self.max_bytes = limit
        self.file_name = PurePosixPath(line.custom_id).name or None
        self._source = source
        self._line = line

    async def read(self) -> bytes:
        """Return the image as it is now."""
        try:
            return await self._source.get(self._line)
        except NotCopiedError as error:
            raise _gone(str(error)) from error


def _gone(detail: str) -> Problem:
    return Problem(410, IMAGE_GONE, detail)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
