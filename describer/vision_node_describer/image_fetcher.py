"""Fetch images from the bucket within the memory budget for files."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from vision_node_contract.bucket_keys import INBOX_PREFIX
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_contract.zip_member import MAX_OVERHEAD_BYTES, MemberDamagedError, unpack

from .image_task import ImagePart, ImageTask
from .memory import FETCH_COPIES, Budget, Budgets, Reservation

_BEYOND_END = frozenset({"InvalidRange", "416"})
"""Error codes for a range that begins after the end of the object (RFC 9110, section 15.5.17)."""


class ImageFetcher:
    """Fetches images, and reserves memory for their files."""

    def __init__(self, bucket: Bucket, budgets: Budgets, max_image_bytes: int) -> None:
        self._bucket = bucket
        self._budgets = budgets
        self._background = Budget(budgets.files.total // 2, 0)
        """The part of the memory for files that images of shards may use, so that single images
        need not wait until images that were fetched ahead have been described."""
        self._max_image_bytes = max_image_bytes
        self.newest_success = float("-inf")
        """When the newest successful request for a file began (monotonic time)."""

    @asynccontextmanager
    async def fetch(self, task: ImageTask) -> AsyncIterator[bytes]:
        """Fetch the image, and reserve memory for its file until the block ends.

        The stated size is untrusted. If the file is larger than stated, more memory
        is reserved and the file is fetched again.

        Raises:
            DescribeError: ImageTooLarge, if the file exceeds the limit; ImageUnreadable, if a part
                of an object or a member of a zip file is not as stated.
            ObjectNotFoundError: The image is not in the bucket.
            ObjectChangedError: The image has another ETag than expected.
            StoreUnavailableError: The bucket can't be reached.
        """
        max_bytes = min(self._max_image_bytes, self._budgets.largest_file_bytes)
        if task.part:
            async with self._fetch_part(task, task.part, max_bytes) as image:
                yield image
            return

        stated_bytes = min(task.size_bytes or max_bytes, max_bytes)

        for expected_bytes in dict.fromkeys((stated_bytes, max_bytes)):
            wanted = FETCH_COPIES * expected_bytes
            async with self._reserve(task, wanted) as reservations:
                began = time.monotonic()
                image = await self._get(task, expected_bytes)
                self.newest_success = max(self.newest_success, began)

                if len(image) <= expected_bytes:
                    for reservation in reservations:
                        reservation.shrink(len(image))
                    yield image
                    return

                del image  # its reservation ends here

        raise self._too_large(task.key, max_bytes)

    @asynccontextmanager
    async def _fetch_part(
        self, task: ImageTask, part: ImagePart, max_bytes: int
    ) -> AsyncIterator[bytes]:
        """Fetch the part of an object that is the image, and take it out of its zip file."""
        overhead = MAX_OVERHEAD_BYTES if part.zip else 0
        if part.size > max_bytes or part.length > max_bytes + overhead:
            raise self._too_large(f"the image at byte {part.offset} of {task.key}", max_bytes)

        # The two largest copies are either those of the part, or those of the image.
        wanted = FETCH_COPIES * max(part.length, part.size)
        async with self._reserve(task, min(wanted, self._budgets.files.total)) as reservations:
            began = time.monotonic()
            image = await self._get_part(task, part)
            self.newest_success = max(self.newest_success, began)

            for reservation in reservations:
                reservation.shrink(len(image))
            yield image

    async def _get_part(self, task: ImageTask, part: ImagePart) -> bytes:
        if part.zip is None:
            return await self._get_range(task, part)

        try:
            # No variable holds the range, so that its memory is free before the image is copied.
            return await unpack(await self._get_range(task, part), part.zip, part.size)
        except MemberDamagedError as error:
            message = (
                f"the zip member at byte {part.offset} of {task.key} is damaged: {error}; "
                "make the zip file again"
            )
            raise DescribeError(Reason.IMAGE_UNREADABLE, message) from error

    async def _get_range(self, task: ImageTask, part: ImagePart) -> bytes:
        """Return the bytes of the part. All of them must exist."""
        try:
            found = await self._bucket.get_part(task.key, part.offset, part.length, task.etag or "")
        except StoreUnavailableError as error:
            if error.code not in _BEYOND_END:
                raise
            found = b""

        if len(found) < part.length:
            message = (
                f"{task.key} ends before the image that should be at byte {part.offset}: "
                "upload the image again"
            )
            raise DescribeError(Reason.IMAGE_UNREADABLE, message)

        return found

    @asynccontextmanager
    async def _reserve(self, task: ImageTask, wanted: int) -> AsyncIterator[list[Reservation]]:
        async with AsyncExitStack() as stack:
            reservations = []
            if task.is_background:
                share = self._background.reserve(min(wanted, self._background.total))
                reservations.append(await stack.enter_async_context(share))

            whole = self._budgets.files.reserve(wanted)
            reservations.append(await stack.enter_async_context(whole))
            yield reservations

    async def _get(self, task: ImageTask, max_bytes: int) -> bytes:
        """Return the image. A key in the inbox may lack the release's id."""
        key, folders = task.key, self._bucket.folders
        condition = (task.etag,) if task.etag else ()
        if not key.startswith(INBOX_PREFIX) or key.startswith(folders.inbox):
            return await self._bucket.get(key, max_bytes, *condition)

        try:
            return await self._bucket.get(folders.inbox_key(key), max_bytes, *condition)
        except ObjectNotFoundError as missing:
            older = folders.older_inbox_key(key.removeprefix(INBOX_PREFIX))
            if older is None:
                raise
            try:
                return await self._bucket.get(older, max_bytes, *condition)
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
