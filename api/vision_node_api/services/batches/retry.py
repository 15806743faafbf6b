"""Describe the images of a finished ImageBatch again that have failed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.models.imagebatch import ImageBatch, ImageBatchSpec, UploadSpec

from ...uploads.bulk.refusals import Refusal, Refusals, shown_name
from ...web.problems import Problem
from ..dependency_problems import storage_problems
from ..kept_labels import kept_labels
from ..one_at_a_time import OneAtATime
from ..owners import owner_of
from .batches import Batches
from .creation import BatchCreation, CreatedBatch, WantedBatch
from .creation_upload import Receipt
from .failed_images import MAX_FAILED, FailedImages
from .image_copies import IMAGE_GONE, ImageSource, NotCopiedError
from .upload_writer import UploadWriter, WriterLimits

GROUP_IMAGES = 8
"""Maximum number of images to get from the bucket at the same time."""

GROUP_BYTES = 8 << 20
"""Size of the images to get at the same time, in bytes, for each of the batches that are copied."""

UNKNOWN_BYTES = GROUP_BYTES // 4
"""Assumed size of an image whose size is not in the manifest, in bytes."""

BUSY = "This replica is copying the images of another batch."
"""Why another request is refused meanwhile, which bounds the memory."""


@dataclass(slots=True)
class BatchRetry:
    """Copies failed images to new ImageBatches, one batch of an owner at a time."""

    creation: BatchCreation
    _turn: OneAtATime = field(default_factory=lambda: OneAtATime(BUSY), init=False)

    async def retry(self, name: str, idempotency_key: str | None) -> Receipt:
        """Create an ImageBatch with the failed images of a finished one, and return it.

        Args:
            name: Name of the finished ImageBatch.
            idempotency_key: If it was used for the same ImageBatch before, the ImageBatch that was
                created then is returned.

        Raises:
            Problem: as for `Batches.get`; 409 NotFinished, NothingFailed; 410 ImagesGone; 413
                TooManyFailedImages; 429 TooManyRetries, DailyBytesUsed; 503 with one of
                STORAGE_REASONS; or a problem of `BatchCreation.create` or `complete`.
        """
        with self._turn.running():
            batch = await self.batches.current(name)
            if not batch.finished:
                detail = f"Batch {name} is {batch.status.phase}. Wait for its end, or cancel it."
                raise Problem(409, "NotFinished", detail, batch_status=batch.status.phase)

            wanted = _wanted(batch, idempotency_key)
            existing = await self.creation.find(wanted)
            if existing and not existing.is_being_uploaded:
                return Receipt(existing, existing.total)

            failed = FailedImages(self.batches, batch)
            indexes = await failed.indexes()
            if not indexes:
                detail = f"No image of batch {name} has failed."
                raise Problem(409, "NothingFailed", detail)

            return await self._copy(batch, wanted, failed.lines(indexes))

    @property
    def batches(self) -> Batches:
        """The service that reads ImageBatches."""
        return self.creation.batches

    async def _copy(
        self, batch: ImageBatch, wanted: WantedBatch, lines: AsyncIterator[ManifestLine | int]
    ) -> Receipt:
        refused = Refusals()
        async with aclosing(self._images(batch, lines, refused)) as images:
            first = await anext(images, None)
            if first is None:
                raise _images_gone(refused)

            created = await self.creation.create(wanted)
            if not created.batch.is_being_uploaded:  # by the same request at another replica
                return Receipt(created.batch, created.batch.total)

            async with self._abandoning(created, wanted):
                written = await self._write(created.batch.metadata.uid, first, images)

        # From here on, the images may be described, even if the answer is lost.
        upload = written.upload
        completed = await self.creation.complete(created.batch, upload.attempt, upload.lists or 0)
        return Receipt(completed, written.images, refusals=refused)

    @asynccontextmanager
    async def _abandoning(self, created: CreatedBatch, wanted: WantedBatch) -> AsyncIterator[None]:
        """Delete the new ImageBatch if the block fails, unless the request can be repeated."""
        try:
            yield
        except BaseException:  # the request may also be cancelled
            if created.is_new and wanted.key is None:
                await asyncio.shield(self.creation.abandon(created.batch))
            raise

    async def _write(
        self,
        uid: str,
        first: tuple[ManifestLine, bytes],
        others: AsyncIterator[tuple[ManifestLine, bytes]],
    ) -> "_Written":
        bucket = self.batches.bucket
        limits = WriterLimits(MAX_FAILED)
        with (
            storage_problems(self.batches.storage, writing=True),
            self.creation.jobs.quotas.receiving() as received,
        ):
            async with UploadWriter(bucket, bucket.folders, uid, limits) as writer:
                line, image = first
                received.add(len(image))
                await writer.add(line.custom_id, image, line.options)
                async for line, image in others:
                    received.add(len(image))
                    await writer.add(line.custom_id, image, line.options)

                return _Written(await writer.finish(), writer.images)

    async def _images(
        self,
        batch: ImageBatch,
        lines: AsyncIterator[ManifestLine | int],
        refused: Refusals,
    ) -> AsyncGenerator[tuple[ManifestLine, bytes], None]:
        """Yield the images that exist, and record the others."""
        source = ImageSource(
            self.batches.bucket, batch.metadata.uid, self.batches.settings.max_image_bytes
        )
        async for group in _groups(lines, refused):
            with storage_problems(self.batches.storage):
                found = await _all(source, group)

            for line, image in zip(group, found, strict=True):
                if isinstance(image, NotCopiedError):
                    refused.add(Refusal(shown_name(line.custom_id), image.reason, str(image)))
                else:
                    yield line, image


@dataclass(frozen=True, slots=True)
class _Written:
    """An attempt to upload images that is stored, but not valid yet."""

    upload: UploadSpec
    images: int


def _wanted(batch: ImageBatch, idempotency_key: str | None) -> WantedBatch:
    """Return the new ImageBatch. The same key may be used for several batches.

    The new batch belongs to the owner of the old one, even if an administrator retries it.
    """
    key = f"retry {batch.metadata.uid} {idempotency_key}" if idempotency_key else None
    labels = batch.metadata.labels
    return WantedBatch(_spec_of(batch), key=key, labels=kept_labels(labels), owner=owner_of(labels))


def _spec_of(batch: ImageBatch) -> ImageBatchSpec:
    """Return the spec of an ImageBatch that does the same with other images."""
    return batch.spec.model_copy(
        update={
            "prefix": None,
            "manifest": None,
            "upload": UploadSpec(),
            "suspend": False,
            "cancel": False,
            "callback_url": None,
        }
    )


async def _groups(
    lines: AsyncIterator[ManifestLine | int], refused: Refusals
) -> AsyncIterator[list[ManifestLine]]:
    """Yield lines of images to get at the same time. Lines that were lost are refused."""
    group: list[ManifestLine] = []
    size = 0
    async for line in lines:
        if isinstance(line, int):
            message = "The list of the batch's images was deleted, or can't be read."
            refused.add(Refusal(f"image {line}", IMAGE_GONE, message))
            continue

        line_bytes = UNKNOWN_BYTES if line.size is None else max(line.size, line.length or 0)
        if group and (len(group) == GROUP_IMAGES or size + line_bytes > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(line)
        size += line_bytes

    if group:
        yield group


async def _all(source: ImageSource, lines: list[ManifestLine]) -> list[bytes | NotCopiedError]:
    """Return the images of several lines, or why they can't be copied.

    Raises:
        StoreUnavailableError: The bucket did not respond or refused a request.
    """
    tasks = (source.get(line) for line in lines)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    images: list[bytes | NotCopiedError] = []
    for it in found:
        if isinstance(it, BaseException) and not isinstance(it, NotCopiedError):
            raise it
        images.append(it)

    return images


def _images_gone(refused: Refusals) -> Problem:
    detail = "None of the images that have failed exists anymore. Upload them again."
    files = [{"file": it.file, "reason": it.reason, "message": it.message} for it in refused.files]
    return Problem(410, "ImagesGone", detail, refused={"count": refused.count, "files": files})
