"""Receive a zip file, store it as one object, and complete the ImageBatch of its images."""

from collections.abc import AsyncIterator

from vision_node_contract.clients.bucket import ObjectChangedError, ObjectNotFoundError
from vision_node_contract.clients.bucket_uploads import UPLOAD_MEMORY_BYTES
from vision_node_contract.models.imagebatch import ImageBatch

from ...uploads.bulk.refusals import Refusals
from .creation import deleted_meanwhile
from .creation_upload import BatchUpload, Receipt, no_images
from .upload_writer import UploadWriter
from .zip_upload import ZipLimits, list_members, require_zip, store_zip


class ZipUpload(BatchUpload):
    """An upload of a zip file. Its options are in the query string."""

    async def receive(self) -> Receipt:
        """Receive the upload.

        Raises:
            Problem: 400 UploadBroken; 408 UploadTooSlow; 413 TooManyImages; 415
                ContentEncodingUnsupported; 422 NoImages, OptionsInvalid, DescriberNotFound; 429
                TooManyUploads, DailyBytesUsed; 503 while storage is unavailable; or a problem of
                `BatchCreation.create` or `complete`.
        """
        async with self._refusing():
            first = await self._body.read() or b""
            require_zip(first)
            batch = await self._create(self._query)
            if not batch.is_being_uploaded:
                return await self._ignore_rest(batch)

            await self._slot.hold(UPLOAD_MEMORY_BYTES)
            async with self._writer(batch) as writer:
                return await self._store(batch, writer, first)

    async def _store(self, batch: ImageBatch, writer: UploadWriter, first: bytes) -> Receipt:
        """Store the zip file, list its members, and complete the ImageBatch."""
        bucket, key = self._jobs.bucket, writer.zip_key
        with self._jobs.storage_problems(writing=True):
            size = await store_zip(bucket, self._chunks(first), key)

        skipped, refusals = 0, Refusals()
        try:
            with self._storage_errors():
                async for page in list_members(bucket, key, size, self._limits):
                    skipped += page.skipped
                    for refusal in page.refusals:
                        refusals.add(refusal)
                    for image in page.images:
                        await writer.add_line(image)
        except (ObjectChangedError, ObjectNotFoundError) as error:
            raise deleted_meanwhile() from error

        if not writer.images:
            raise no_images(refusals, skipped)

        completed = await self._complete(batch, writer)
        return Receipt(completed, writer.images, skipped, refusals)

    @property
    def _limits(self) -> ZipLimits:
        settings = self._jobs.settings
        return ZipLimits(settings.max_batch_images, settings.max_image_bytes)

    async def _chunks(self, first: bytes) -> AsyncIterator[bytes]:
        self._count(len(first))
        yield first
        while (chunk := await self._body.read()) is not None:
            self._count(len(chunk))
            yield chunk
