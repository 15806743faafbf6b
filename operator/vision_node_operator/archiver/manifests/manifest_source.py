"""Read a user's list of images, which is an object in the inbox in JSON Lines."""

from collections.abc import AsyncIterator

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.clients.bucket import Bucket, ObjectChangedError, ObjectNotFoundError
from vision_node_contract.models.reasons import BatchReason

from .digest_set import DigestSet
from .freeze_errors import SourceChangedError, SourceRefusedError
from .line_splitter import MAX_LINE_BYTES, LineSplitter
from .manifest_line import duplicate_of, read_line, too_long_line

PART_BYTES = 1 << 18
"""Number of bytes to read at a time. Parsing them blocks the event loop for some 20 ms."""


class ManifestSource:
    """A list of images: an object in the inbox.

    Every line that is not blank is an image. An invalid line has an error instead of a key.
    All lines come from the same version of the object.
    """

    def __init__(self, bucket: Bucket, key: str, max_bytes: int) -> None:
        self._bucket = bucket
        self._key = bucket.folders.inbox_key(key)
        self._max_bytes = max_bytes
        self._custom_ids = DigestSet()
        self._number = 0
        self._index = 0
        self.place = self._key
        self.skipped = 0

    async def pages(self) -> AsyncIterator[list[ManifestLine]]:
        """Yield the lines, as many at a time as were read.

        Raises:
            SourceRefusedError: The object does not exist, or is too large.
            SourceChangedError: The object was replaced meanwhile.
            StoreUnavailableError: The bucket did not respond or refused a request.
        """
        size, etag = await self._find()
        splitter = LineSplitter()
        for first in range(0, size, PART_BYTES):
            piece = await self._read(first, min(PART_BYTES, size - first), etag)
            yield [line for text in splitter.feed(piece) for line in self._lines(text)]

        yield [line for text in splitter.finish() for line in self._lines(text)]

    async def _find(self) -> tuple[int, str]:
        """Return the size and the ETag of the object."""
        try:
            found = await self._bucket.stat(self._key)
        except ObjectNotFoundError as error:
            message = f"{self._key} is not in the bucket: store the list of images there"
            raise SourceRefusedError(
                BatchReason.MANIFEST_NOT_FOUND, f"{message}, and create another batch"
            ) from error

        if found.size_bytes > self._max_bytes:
            raise SourceRefusedError(
                BatchReason.MANIFEST_TOO_LARGE,
                f"{self._key} has {found.size_bytes} bytes, more than the allowed "
                f"{self._max_bytes} bytes: divide it into several batches",
            )

        return found.size_bytes, found.etag

    async def _read(self, first: int, size: int, etag: str) -> bytes:
        try:
            piece = await self._bucket.get_part(self._key, first, size, etag)
        except (ObjectChangedError, ObjectNotFoundError) as error:
            raise SourceChangedError(f"{self._key} was replaced") from error

        if len(piece) != size:
            raise SourceChangedError(f"{self._key} has become shorter")

        return piece

    def _lines(self, text: bytes | None) -> list[ManifestLine]:
        """Return the image of a line; none for a blank line. `text` is None if it is too long."""
        self._number += 1
        if text == b"":
            return []

        number, index = self._number, self._index
        self._index += 1
        if text is None:
            line = too_long_line(number, index, MAX_LINE_BYTES)
        else:
            line = read_line(text, number, index, self._bucket.folders)

        return [line if self._custom_ids.add(line.custom_id) else duplicate_of(line, number)]
