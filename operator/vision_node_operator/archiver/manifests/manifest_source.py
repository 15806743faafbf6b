"""Read a user's list of images, which is an object in the inbox in JSON Lines."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError
from vision_node_contract.clients.bucket_objects import StoredObject
from vision_node_contract.digest_set import DigestSet
from vision_node_contract.models.reasons import BatchReason

from .freeze_errors import SourceRefusedError
from .line_splitter import MAX_LINE_BYTES, LineSplitter
from .manifest_line import duplicate_of, read_line, too_long_line
from .object_parts import parts_of

PAGE_LINES = 1000
"""Maximum number of lines to turn into images at a time. If all are invalid, they take 15 ms, and
2 MB of memory: a part may have a hundred times as many lines as usual."""

MAX_BLANK_LINES = 2_000_000
"""Maximum number of blank lines. There may be two for each of a million images, and they take some
seconds to skip."""


class ManifestSource:
    """A list of images: an object in the inbox.

    Every line that is not blank is an image. An invalid line has an error instead of a key.
    All lines come from the same version of the object. A list in the folder of an owner may name
    only images in this folder.
    """

    def __init__(self, bucket: Bucket, key: str, max_bytes: int) -> None:
        self._bucket = bucket
        self._key = bucket.folders.inbox_key(key)
        self._folder = bucket.folders.owned_folder(self._key)
        """The folder of the owner who has stored the list; None if anyone's images are allowed."""
        self._max_bytes = max_bytes
        self._custom_ids = DigestSet()
        self._number = 0
        self._index = 0
        self.place = self._key
        self.skipped = 0

    async def pages(self) -> AsyncIterator[list[ManifestLine]]:
        """Yield the lines, at most PAGE_LINES at a time, and let others run in between.

        Raises:
            SourceRefusedError: The object does not exist, is too large, or has too many blank
                lines.
            SourceChangedError: The object was replaced meanwhile.
            StoreUnavailableError: The bucket did not respond or refused a request.
        """
        found, splitter = await self._find(), LineSplitter()
        async for piece in parts_of(self._bucket, found):
            for page in self._pages(splitter.feed(piece)):
                yield page
                await asyncio.sleep(0)

        for page in self._pages(splitter.finish()):
            yield page

    async def _find(self) -> StoredObject:
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

        return found

    def _pages(self, texts: Iterator[bytes | None]) -> Iterator[list[ManifestLine]]:
        """Yield the images of these lines. None are made before they are asked for."""
        while some := list(islice(texts, PAGE_LINES)):
            yield [line for text in some for line in self._lines(text)]

    def _lines(self, text: bytes | None) -> list[ManifestLine]:
        """Return the image of a line; none for a blank line. `text` is None if it is too long."""
        self._number += 1
        number, index = self._number, self._index
        if text == b"":
            self._refuse_blank_lines(number - index)
            return []

        self._index += 1
        if text is None:
            line = too_long_line(number, index, MAX_LINE_BYTES)
        else:
            line = read_line(text, number, index, self._bucket.folders, self._folder)

        return [line if self._custom_ids.add(line.custom_id) else duplicate_of(line, number)]

    def _refuse_blank_lines(self, count: int) -> None:
        if count > MAX_BLANK_LINES:
            raise SourceRefusedError(
                BatchReason.MANIFEST_TOO_LARGE,
                f"{self._key} has more than {MAX_BLANK_LINES} blank lines: store it without them, "
                "and create another batch",
            )
