"""Read the images of an ImageBatch that were uploaded through the API."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice

from pydantic import TypeAdapter, ValidationError
from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.batch_uploads import MAX_LINE_BYTES, MAX_LIST_BYTES, UploadFolder
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.digest_set import DigestSet
from vision_node_contract.models.imagebatch import UploadSpec
from vision_node_contract.models.reasons import BatchReason, Reason

from .freeze_errors import SourceRefusedError
from .line_splitter import LineSplitter
from .manifest_line import CustomId, error_line, too_long_line
from .manifest_source import PAGE_LINES
from .object_parts import parts_of
from .upload_line import read_upload_line

_CUSTOM_ID: TypeAdapter[str] = TypeAdapter(CustomId)


class UploadSource:
    """The images of a complete upload: those in its lists, and then those that were stored alone.

    Every line of a list is an image, and an invalid one has an error instead of a key. Other
    attempts to upload the batch are ignored.
    """

    def __init__(self, bucket: Bucket, uid: str, upload: UploadSpec) -> None:
        self._bucket = bucket
        self._folder = UploadFolder(bucket.folders, uid)
        self._upload = upload
        self._custom_ids = DigestSet()
        self._index = 0
        self.place = self._folder.prefix
        self.skipped = 0

    async def pages(self) -> AsyncIterator[list[ManifestLine]]:
        """Yield the lines, at most PAGE_LINES at a time, and let others run in between.

        Raises:
            SourceRefusedError: A list is missing or too large, or there are no images.
            SourceChangedError: A list was replaced meanwhile.
            StoreUnavailableError: The bucket did not respond or refused a request.
        """
        for number in range(self._upload.lists or 0):
            async for page in self._listed(number):
                yield page
                await asyncio.sleep(0)

        async for objects in self._bucket.list_all(self._folder.images):
            yield [line for it in objects for line in self._stored_alone(it)]

        if self._index == 0:
            raise SourceRefusedError(
                BatchReason.NO_IMAGES, "no images were uploaded: upload some to another batch"
            )

    async def _listed(self, number: int) -> AsyncIterator[list[ManifestLine]]:
        """Yield the images of a list."""
        try:
            folder = self._folder.attempt(self._upload.attempt or "")
        except ValueError as error:
            raise _unreadable(f"spec.upload.attempt: {error}") from error

        found = await self._find(self._folder.list_key(self._upload.attempt or "", number))
        splitter = LineSplitter(MAX_LINE_BYTES)
        async for piece in parts_of(self._bucket, found):
            for page in self._pages(splitter.feed(piece), folder):
                yield page
        for page in self._pages(splitter.finish(), folder):
            yield page

    async def _find(self, key: str) -> StoredObject:
        try:
            found = await self._bucket.stat(key)
        except ObjectNotFoundError as error:
            raise _unreadable(f"{key}, a list of images, is missing in the bucket") from error

        if found.size_bytes > MAX_LIST_BYTES:
            raise _unreadable(f"{key}, a list of images, has more than {MAX_LIST_BYTES} bytes")

        return found

    def _pages(self, texts: Iterator[bytes | None], folder: str) -> Iterator[list[ManifestLine]]:
        """Yield the images of these lines. None are made before they are asked for."""
        while some := list(islice(texts, PAGE_LINES)):
            yield [self._line(text, folder) for text in some]

    def _line(self, text: bytes | None, folder: str) -> ManifestLine:
        """Return the image of a line; `text` is None if it is too long."""
        number = self._index + 1
        if text is None:
            return self._added(too_long_line(number, self._index, MAX_LINE_BYTES))

        return self._added(read_upload_line(text, number, self._index, folder))

    def _stored_alone(self, found: StoredObject) -> Iterator[ManifestLine]:
        """Yield the image that is a whole object. An object with another name is skipped."""
        custom_id = self._folder.custom_id(found.key)
        if custom_id is None or not _is_valid(custom_id):
            self.skipped += 1
            return

        line = ManifestLine(
            index=self._index,
            custom_id=custom_id,
            key=found.key,
            etag=found.etag or None,
            size=found.size_bytes,
        )
        yield self._added(line)

    def _added(self, line: ManifestLine) -> ManifestLine:
        """Count the line, and return it, or one with an error if its customId is not new."""
        self._index += 1
        if self._custom_ids.add(line.custom_id):
            return line

        message = "another image of the upload has the same customId; give each image its own"
        return error_line(line.index, line.custom_id, Reason.DUPLICATE_CUSTOM_ID, message)


def _is_valid(custom_id: str) -> bool:
    try:
        _CUSTOM_ID.validate_python(custom_id)
    except ValidationError:
        return False

    return True


def _unreadable(what: str) -> SourceRefusedError:
    message = f"{what}: upload the images to another batch"
    return SourceRefusedError(BatchReason.UPLOAD_UNREADABLE, message)
