"""Store the images of one attempt to upload an ImageBatch, in packs and lists."""

import json
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Self

from vision_node_contract.background_writes import BackgroundWrites
from vision_node_contract.batch_objects import LineError
from vision_node_contract.batch_uploads import (
    LIST_BYTES,
    LIST_LINES,
    PACK_BYTES,
    ZIP_NAME,
    UploadedImage,
    UploadFolder,
    new_attempt,
    pack_name,
)
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.models.description import Options
from vision_node_contract.models.imagebatch import UploadSpec

MAX_STORING = 2
"""Maximum number of packs that are being stored while the next one fills. Two hide the time that
the bucket takes to acknowledge one, and more would only take memory."""

PACK_TYPE = "application/octet-stream"
LIST_TYPE = "application/jsonl"


class TooManyImagesError(Exception):
    """The upload has more images than an ImageBatch may have."""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """The limits of one attempt."""

    images: int
    """Maximum number of images, including those with an error."""


class UploadWriter:
    """Writes an attempt of its own to upload the images of an ImageBatch.

    Nothing is valid before the ImageBatch's spec names the attempt (see `finish`). An image is
    stored at the latest when `finish` returns. At the end of the `async with` block, requests that
    are still running are cancelled.

    All methods that store raise StoreUnavailableError; an error of a pack that was stored in the
    background is raised by the next call.
    """

    def __init__(
        self, bucket: Bucket, folders: BucketFolders, uid: str, limits: WriterLimits
    ) -> None:
        self.attempt = new_attempt()
        self.images = 0
        """Number of images so far, without those that have an error."""
        self._bucket = bucket
        self._folder = UploadFolder(folders, uid)
        self._limits = limits

        self._pack = BytesIO()
        self._packs = 0
        """Number of packs that are complete."""
        self._storing = BackgroundWrites()
        """Packs that are being stored."""
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._listed = 0
        """Number of lines so far."""
        self._lists = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._storing.cancel()
        self._pack.close()

    @property
    def zip_key(self) -> str:
        """The key for a zip file whose members are the images of this attempt."""
        return self._folder.attempt(self.attempt) + ZIP_NAME

    @property
    def held_bytes(self) -> int:
        """Number of bytes of images that are in memory."""
        return self._pack.getbuffer().nbytes + self._storing.held_bytes

    async def add(self, custom_id: str, data: bytes, options: Options | None = None) -> None:
        """Add an image. Its bytes are copied, unless it is as large as a pack.

        Args:
            custom_id: What identifies its result.
            data: Its bytes.
            options: Its own options, which override those of the batch one by one.

        Raises:
            TooManyImagesError: The limit has been reached.
        """
        self._require_room()
        if self._pack.tell() + len(data) > PACK_BYTES:
            await self._store_pack()

        place = UploadedImage(
            custom_id=custom_id,
            object=pack_name(self._packs),
            offset=self._pack.tell(),
            length=len(data),
            size=len(data),
            options=options,
        )
        if len(data) >= PACK_BYTES:
            await self._store(data)
        else:
            self._pack.write(data)

        await self.add_line(place)

    async def add_error(self, custom_id: str, reason: str, message: str) -> None:
        """Add an image that has an error instead of bytes. It is an image of the ImageBatch.

        Raises:
            TooManyImagesError: The limit has been reached.
        """
        error = LineError(reason=reason, message=message)
        await self.add_line(UploadedImage(custom_id=custom_id, error=error))

    async def add_line(self, line: UploadedImage) -> None:
        """Add an image that is already in an object of this attempt.

        Raises:
            TooManyImagesError: The limit has been reached.
        """
        self._require_room()
        self._listed += 1
        self.images += line.error is None
        text = json.dumps(line.to_json(), ensure_ascii=False, separators=(",", ":"))
        self._lines.append(text.encode() + b"\n")
        self._lines_bytes += len(self._lines[-1])

        if len(self._lines) == LIST_LINES or self._lines_bytes >= LIST_BYTES:
            await self._store_list()

    async def flush(self) -> None:
        """Store everything that is in memory, and wait for it, so that its memory is free."""
        await self._store_pack()
        await self._storing.wait_until(0)

    async def free(self) -> bool:
        """Wait until a pack is stored. Return whether there was any, so that memory is free now."""
        if not self._storing:
            return False

        await self._storing.wait_until(len(self._storing) - 1)
        return True

    async def finish(self) -> UploadSpec:
        """Store what is left, and return the `spec.upload` that makes this attempt valid."""
        await self.flush()
        if self._lines:
            await self._store_list()

        return UploadSpec(complete=True, attempt=self.attempt, lists=self._lists)

    def _require_room(self) -> None:
        if self._listed >= self._limits.images:
            raise TooManyImagesError

    async def _store_pack(self) -> None:
        if not self._pack.tell():
            return

        # The pack's bytes are not copied: nothing else refers to the buffer.
        pack, self._pack = self._pack, BytesIO()
        await self._store(pack.getvalue())

    async def _store(self, data: bytes) -> None:
        """Store a pack in the background, once there are few enough."""
        await self._storing.wait_until(MAX_STORING - 1)

        key = self._folder.attempt(self.attempt) + pack_name(self._packs)
        self._packs += 1
        self._storing.start(self._bucket.put(key, data, PACK_TYPE), len(data))

    async def _store_list(self) -> None:
        data = b"".join(self._lines)
        await self._bucket.put(self._folder.list_key(self.attempt, self._lists), data, LIST_TYPE)

        self._lists += 1
        self._lines.clear()
        self._lines_bytes = 0
