"""Fetch images from the bucket within the memory budget for files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import DescribeError, Reason

from .memory import FETCH_COPIES, Budgets


class ImageFetcher:
    """Fetches the images of ImageJobs, and reserves memory for their files."""

    def __init__(self, bucket: Bucket, budgets: Budgets, max_image_bytes: int) -> None:
        self._bucket = bucket
        self._budgets = budgets
        self._max_image_bytes = max_image_bytes

    @asynccontextmanager
    async def fetch(self, job: ImageJob) -> AsyncIterator[bytes]:
        """Fetch the image, and reserve memory for its file until the block ends.

        The size stated in the ImageJob is untrusted. If the file is larger than stated, more memory
        is reserved and the file is fetched again.

        Raises:
            DescribeError: ImageTooLarge, if the file exceeds the limit.
            ObjectNotFoundError: The image is not in the bucket.
            StoreUnavailableError: The bucket can't be reached.
        """
        key = job.spec.image.key
        max_bytes = min(self._max_image_bytes, self._budgets.largest_file_bytes)
        stated_bytes = min(job.spec.image.size_bytes or max_bytes, max_bytes)

        for expected_bytes in dict.fromkeys((stated_bytes, max_bytes)):
            wanted = FETCH_COPIES * expected_bytes
            async with self._budgets.files.reserve(wanted) as reservation:
                image = await self._get(key, expected_bytes)
                if len(image) <= expected_bytes:
                    reservation.shrink(len(image))
                    yield image
                    return

                del image  # its reservation ends here

        raise self._too_large(key, max_bytes)

    async def _get(self, key: str, max_bytes: int) -> bytes:
        """Return the image. A key in the inbox may lack the release's id."""
        folders = self._bucket.folders
        if not key.startswith(INBOX_PREFIX) or key.startswith(folders.inbox):
            return await self._bucket.get(key, max_bytes)

        try:
            return await self._bucket.get(folders.inbox_key(key), max_bytes)
        except ObjectNotFoundError as missing:
            older = folders.older_inbox_key(key.removeprefix(INBOX_PREFIX))
            if older is None:
                raise
            try:
                return await self._bucket.get(older, max_bytes)
            except StoreUnavailableError as error:
                if error.reason != Reason.STORAGE_DENIED:
                    raise
                # The policy allows only the release's own folders, where the image is missing.
                raise missing from error

    def _too_large(self, key: str, max_bytes: int) -> DescribeError:
        advice = "make it smaller"
        if max_bytes < self._max_image_bytes:
            advice += ", or raise the describer's memory limit, which is too low for larger files"

        message = f"{key} is larger than {max_bytes} bytes; {advice}"
        return DescribeError(Reason.IMAGE_TOO_LARGE, message)
