"""Get images of an ImageBatch from the bucket, to describe them again."""

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.batch_uploads import UploadFolder
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.zip_member import MAX_OVERHEAD_BYTES, MemberDamagedError, unpack

from ...uploads.bulk.file_content import too_large
from ...uploads.bulk.refusals import FileReason
from ...web.sentences import sentence

IMAGE_GONE = "ImageGone"

_BEYOND_END = frozenset({"InvalidRange", "416"})
"""Error codes for a range that begins after the end of the object (RFC 9110, section 15.5.17)."""


class NotCopiedError(Exception):
    """An image can't be described again. The error's text says why."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ImageSource:
    """Reads the images of one ImageBatch.

    Args:
        bucket: The bucket.
        uid: The uid of the ImageBatch.
        max_bytes: Maximum size of an image in bytes.
    """

    def __init__(self, bucket: Bucket, uid: str, max_bytes: int) -> None:
        self._bucket = bucket
        self._uploads = UploadFolder(bucket.folders, uid).prefix
        self._max_bytes = max_bytes

    async def get(self, line: ManifestLine) -> bytes:
        """Return the image of a line of the manifest, as it is now.

        An image in the inbox may have been replaced since the batch began.

        Raises:
            NotCopiedError: The image does not exist anymore, or can't be used.
            StoreUnavailableError: The bucket did not respond or refused the request.
        """
        if line.key is None:
            raise _error_of(line)

        try:
            data = await self._read(line, line.key)
        except ObjectNotFoundError as error:
            message = "The image was deleted from storage. Upload it again."
            raise NotCopiedError(IMAGE_GONE, message) from error
        except MemberDamagedError as error:
            message = f"The zip file is damaged: {error}. Upload the image again."
            raise NotCopiedError(FileReason.MEMBER_DAMAGED, message) from error

        if len(data) > self._max_bytes:
            raise self._too_large()
        if not data:
            message = "The image in storage is empty. Upload it again."
            raise NotCopiedError(FileReason.EMPTY_FILE, message)
        return data

    async def _read(self, line: ManifestLine, key: str) -> bytes:
        if not key.startswith((self._bucket.folders.inbox, self._uploads)):
            message = "The list of images names an object that is no image of this batch."
            raise NotCopiedError(IMAGE_GONE, message)
        if line.offset is None or line.length is None:
            return await self._bucket.get(key, self._max_bytes)

        return await self._part(line, key, line.offset, line.length)

    async def _part(self, line: ManifestLine, key: str, offset: int, length: int) -> bytes:
        size = line.size or length
        if size > self._max_bytes or length > self._max_bytes + MAX_OVERHEAD_BYTES:
            raise self._too_large()

        try:
            data = await self._bucket.get_part(key, offset, length, "")
        except StoreUnavailableError as error:
            if error.code in _BEYOND_END:
                raise ObjectNotFoundError(key) from error
            raise

        if len(data) < length:
            raise ObjectNotFoundError(key)
        return await unpack(data, line.zip, size) if line.zip else data

    def _too_large(self) -> NotCopiedError:
        return NotCopiedError(FileReason.IMAGE_TOO_LARGE, str(too_large(self._max_bytes)))


def _error_of(line: ManifestLine) -> NotCopiedError:
    """Return why a line names no image: it was invalid, or its file was refused."""
    if line.error:
        return NotCopiedError(line.error.reason, sentence(line.error.message))

    return NotCopiedError(IMAGE_GONE, "The list of images names no object.")
