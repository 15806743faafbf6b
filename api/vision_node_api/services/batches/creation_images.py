"""Receive the images of an ImageBatch one by one, and start it when they are all there."""

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.requests import Request
from vision_node_contract.batch_uploads import UploadFolder
from vision_node_contract.clients.bucket import ObjectChangedError
from vision_node_contract.images.formats import recognize
from vision_node_contract.models.imagebatch import ImageBatch

from ...uploads.bulk.archive_names import is_archive_name
from ...uploads.bulk.file_content import FileContent, too_large
from ...uploads.bulk.file_names import NameInvalidError, custom_id_of
from ...uploads.bulk.refusals import FileReason, FileRefusedError
from ...uploads.upload_body import UploadBody, declared_length, draining, require_identity
from ...uploads.upload_limit import UploadSlot
from ...web.json_lines import json_line
from ...web.problems import Problem
from .creation import BatchCreation

_STATUSES = {
    FileReason.IMAGE_TOO_LARGE: 413,
    FileReason.UNSUPPORTED_FORMAT: 415,
    FileReason.NESTED_ARCHIVE: 415,
}
"""HTTP statuses of refused images; 422 for all other reasons."""


@dataclass(frozen=True, slots=True)
class SingleImages:
    """The images of ImageBatches that are uploaded one by one.

    An image that was accepted is part of the ImageBatch: it was stored before the start.
    """

    creation: BatchCreation

    async def put(self, name: str, path: str, request: Request) -> bool:
        """Store the image in the body of a request, and return whether it is new.

        Args:
            name: Name of the ImageBatch.
            path: The image's customId.
            request: The request, whose body is the image.

        Raises:
            Problem: 400 UploadBroken; 404 BatchNotFound; 408 UploadTooSlow; 409 NotAnUpload,
                UploadComplete; 413, 415 or 422 with a FileReason; 429 TooManyUploads,
                DailyBytesUsed; 503 while storage or Kubernetes is unavailable.
        """
        require_identity(request)
        with self.creation.jobs.uploads.admit() as slot:
            length, limit = declared_length(request), self.creation.jobs.settings.max_image_bytes
            body = UploadBody(request.receive, slot, limit, length)

            async with draining(request, body, slot):
                # The cache may be old, so that the state is checked again in the end.
                batch = _open(await self.creation.batches.get(name))
                try:
                    key = self._key(batch, path)
                    data = await self._receive(body, slot, length, path)
                except FileRefusedError as error:
                    raise _problem(error) from error

            await self.creation.jobs.quotas.refresh()
            with self.creation.jobs.quotas.receiving() as received:
                received.add(len(data))
                is_new = await self._store(key, data)

        _open(await self._current(name, batch.metadata.uid))
        return is_new

    async def lines(self, name: str) -> AsyncGenerator[bytes, None]:
        """Return the images that were uploaded one by one so far, as JSON Lines in pieces.

        Raises:
            Problem: 404 BatchNotFound; 409 NotAnUpload; 503 while Kubernetes is unavailable. The
                pieces raise 503 while storage is unavailable.
        """
        batch = _uploaded(await self.creation.batches.get(name))
        return self._lines(self._folder(batch))

    async def start(self, name: str) -> ImageBatch:
        """Start an ImageBatch whose images are all there, and return it. This may be repeated.

        Raises:
            Problem: 404 BatchNotFound; 409 NotAnUpload; 422 NoImages; 503 while storage or
                Kubernetes is unavailable.
        """
        known = await self.creation.batches.get(name)
        batch = _uploaded(await self._current(name, known.metadata.uid))
        if not batch.is_being_uploaded:
            return batch

        jobs = self.creation.jobs
        with jobs.storage_problems():
            page = await jobs.bucket.list_page(self._folder(batch).images, "", 1)
        if not page.objects:
            detail = (
                "The batch has no images. Upload some with PUT /batches/{name}/images/{customId}, "
                "and start it then."
            )
            raise Problem(422, "NoImages", detail)

        return await self.creation.complete(batch, None, 0)

    async def _receive(
        self, body: UploadBody, slot: UploadSlot, length: int | None, path: str
    ) -> bytes:
        limit = self.creation.jobs.settings.max_image_bytes
        if length is not None and length > limit:
            raise too_large(limit)

        content = FileContent(limit, is_archive=is_archive_name(path))
        try:
            while (chunk := await body.read()) is not None:
                content.write(chunk)
                del chunk  # the chunk must be freed before the wait for memory, which may be long
                kept = content.kept_bytes
                await slot.hold(kept, body.lookahead(kept))

            data = content.close()
        finally:
            content.discard()

        await slot.hold(len(data))
        return data

    async def _store(self, key: str, data: bytes) -> bool:
        """Store an image, and return whether it is new."""
        bucket, media_type = self.creation.jobs.bucket, recognize(data).media_type
        sha256 = hashlib.sha256(data).hexdigest()

        with self.creation.jobs.storage_problems(writing=True):
            try:
                await bucket.put_if(key, data, media_type, sha256, None)
            except ObjectChangedError:
                await bucket.put(key, data, media_type, sha256)
                return False

        return True

    async def _lines(self, folder: UploadFolder) -> AsyncGenerator[bytes, None]:
        jobs = self.creation.jobs
        with jobs.storage_problems():
            async for objects in jobs.bucket.list_all(folder.images):
                named = ((folder.custom_id(it.key), it.size_bytes) for it in objects)
                lines = (json_line({"customId": it, "size": size}) for it, size in named if it)
                yield b"".join(lines)

    async def _current(self, name: str, uid: str) -> ImageBatch:
        """Return an ImageBatch as it is now."""
        found = await self.creation.read(name)
        if found is None or found.metadata.uid != uid:
            raise Problem(404, "BatchNotFound", "The batch has been deleted.")

        return found

    def _key(self, batch: ImageBatch, path: str) -> str:
        """Return the key of an image.

        Raises:
            FileRefusedError: NameInvalid.
        """
        try:
            custom_id = custom_id_of(path)
            if custom_id == path:
                return self._folder(batch).image_key(custom_id)
            message = f"The customId is not a plain path. Use {custom_id}."
        except NameInvalidError as error:
            message = str(error)
        except ValueError as error:
            message = f"The customId is too long: {error}. Shorten it."

        raise FileRefusedError(FileReason.NAME_INVALID, message)

    def _folder(self, batch: ImageBatch) -> UploadFolder:
        return UploadFolder(self.creation.jobs.bucket.folders, batch.metadata.uid)


def _uploaded(batch: ImageBatch) -> ImageBatch:
    """Refuse an ImageBatch whose images are not uploaded."""
    if batch.spec.upload is None:
        detail = "The images of this batch are in the inbox, so none can be uploaded to it."
        raise Problem(409, "NotAnUpload", detail)

    return batch


def _open(batch: ImageBatch) -> ImageBatch:
    """Refuse an ImageBatch to which no more images can be uploaded."""
    if not _uploaded(batch).is_being_uploaded or batch.finished:
        detail = "The batch has been started, so no more images can be uploaded to it."
        raise Problem(409, "UploadComplete", detail)

    return batch


def _problem(error: FileRefusedError) -> Problem:
    return Problem(_STATUSES.get(error.reason, 422), error.reason, str(error))
