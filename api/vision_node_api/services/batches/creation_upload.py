"""Receive many images in one request, store them, and complete their ImageBatch."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from vision_node_contract.batch_uploads import PACK_BYTES
from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.models.imagebatch import ImageBatch, UploadSpec

from ...uploads.batch_options import BATCH_OPTION_NAMES, BatchOptions
from ...uploads.bulk.file_collector import FileCollector
from ...uploads.bulk.readers import FilesReader, reader_for
from ...uploads.bulk.refusals import Refusals
from ...uploads.form import query_options
from ...uploads.upload_body import RequestBody, draining, require_identity
from ...uploads.upload_limit import UploadSlot
from ...web.problems import Problem
from ..received_bytes import Reception
from .creation import BatchCreation, WantedBatch
from .upload_writer import TooManyImagesError, UploadWriter, WriterLimits

MEMORY_BYTES = 5 * PACK_BYTES // 2
"""Memory from which an upload waits for packs that are being stored before it reads on, in bytes.
It is enough for a pack that fills, one that is stored and an image of usual size. The largest
images take more. Four uploads together take less than 100 MB."""

_UNUSABLE = frozenset({404, 409, 413, 415, 422})
"""Statuses of refusals for which a repeated request would be refused as well. After any other one,
a batch with an Idempotency-Key is kept for the next attempt."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an upload."""

    batch: ImageBatch
    images: int = 0
    """Number of images that were accepted."""
    skipped: int = 0
    """Number of hidden files, which were left out."""
    refusals: Refusals = field(default_factory=Refusals)


class BatchUpload:
    """The base of uploads in one request: it creates the ImageBatch, and deletes it after errors.

    Args:
        creation: The service that creates ImageBatches.
        request: The request, whose body has not been read yet.
        slot: The upload's slot, which provides memory.
        key: The Idempotency-Key.
    """

    def __init__(
        self, creation: BatchCreation, request: Request, slot: UploadSlot, key: str | None
    ) -> None:
        self._creation = creation
        self._jobs = creation.jobs
        self._request = request
        self._slot = slot
        self._key = key
        self._body = RequestBody(request.receive, slot)
        self._received: Reception | None = None

        self._batch: ImageBatch | None = None
        self._is_new = False
        self._may_be_complete = False
        """Whether the upload has been completed, as far as is known."""

    async def _create(self, fields: dict[str, str]) -> ImageBatch:
        """Create the ImageBatch with these options, or find that of the same request."""
        options = BatchOptions.read(fields, self._jobs.settings.max_ttl_seconds)
        describer = await self._jobs.choose_describer(options.describer)
        spec = options.spec(describer, upload=UploadSpec())
        wanted = WantedBatch(spec, options.name, options.describer, self._key, options.labels or {})

        created = await self._creation.create(wanted)
        self._batch, self._is_new = created.batch, created.is_new
        return created.batch

    async def _complete(self, batch: ImageBatch, writer: UploadWriter) -> ImageBatch:
        with self._jobs.storage_problems(writing=True):
            upload = await writer.finish()

        self._may_be_complete = True
        return await self._creation.complete(batch, upload.attempt, upload.lists or 0)

    def _writer(self, batch: ImageBatch) -> UploadWriter:
        bucket = self._jobs.bucket
        limits = WriterLimits(self._jobs.settings.max_batch_images)
        return UploadWriter(bucket, bucket.folders, batch.metadata.uid, limits)

    async def _ignore_rest(self, batch: ImageBatch) -> Receipt:
        """Return what an earlier request has uploaded, and discard the rest of this one."""
        await self._slot.hold(0)
        await self._body.drain()
        return Receipt(batch, batch.total)

    @property
    def _query(self) -> dict[str, str]:
        return query_options(self._request, BATCH_OPTION_NAMES)

    @asynccontextmanager
    async def _refusing(self) -> AsyncIterator[None]:
        """Drain the body and delete the ImageBatch if the block refuses the upload."""
        require_identity(self._request)
        async with draining(self._request, self._body, self._slot):
            try:
                with self._jobs.quotas.receiving() as self._received:
                    yield
            except TooManyImagesError as error:
                await self._abandon(is_unusable=True)
                raise too_many_images(self._jobs.settings.max_batch_images) from error
            except Problem as problem:
                await self._abandon(is_unusable=problem.status in _UNUSABLE)
                raise
            except Exception:
                await self._abandon(is_unusable=False)
                raise

    def _count(self, size: int) -> None:
        """Count bytes of images that have arrived.

        Raises:
            Problem: 429 DailyBytesUsed.
        """
        if self._received:
            self._received.add(size)

    async def _abandon(self, *, is_unusable: bool) -> None:
        if self._batch is None or not self._is_new or self._may_be_complete:
            return

        if is_unusable or self._key is None:
            await self._creation.abandon(self._batch)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Convert errors of the bucket into problems.

        Success is not recorded, because a block need not have sent any request.
        """
        try:
            yield
        except StoreUnavailableError:
            with self._jobs.storage_problems(writing=True):
                raise


class FilesUpload(BatchUpload):
    """An upload of files in a form or in a tar stream. Images are stored while it arrives."""

    _writing: UploadWriter | None = None

    async def receive(self) -> Receipt:
        """Receive the upload.

        Raises:
            Problem: 400 BadRequest, UploadBroken; 408 UploadTooSlow; 413 TooManyImages; 415
                ArchiveUnsupported, ContentEncodingUnsupported, NotAnUpload; 422 NoImages,
                OptionsInvalid, DescriberNotFound; 429 TooManyUploads, DailyBytesUsed; 503 while
                storage is unavailable; or a problem of `BatchCreation.create` or `complete`.
        """
        collector = FileCollector(self._jobs.settings.max_image_bytes)
        async with self._refusing(), AsyncExitStack() as stack:
            # Its memory must be free before the rest of a refused upload is read.
            stack.callback(collector.discard)
            reader = reader_for(self._request, collector)
            return await self._receive(reader, collector, stack)

    async def _receive(
        self, reader: FilesReader, collector: FileCollector, stack: AsyncExitStack
    ) -> Receipt:
        while (chunk := await self._body.read()) is not None:
            reader.write(chunk)
            del chunk  # the chunk must be freed before the wait for memory, which may be long
            if collector.has_images and self._batch is None:
                batch = await self._create(self._query | reader.fields)
                if not batch.is_being_uploaded:
                    collector.discard()
                    return await self._ignore_rest(batch)
                self._writing = await stack.enter_async_context(self._writer(batch))

            if self._writing:
                await self._store(self._writing, collector)
            await self._hold(reader)

        reader.close()
        return await self._finish(collector)

    async def _store(self, writer: UploadWriter, collector: FileCollector) -> None:
        """Store the images that have arrived.

        No local variable of another method may refer to an image, which would stay in memory.
        """
        with self._storage_errors():
            for image in collector.take():
                self._count(len(image.data))
                await writer.add(image.custom_id, image.data)

    async def _hold(self, reader: FilesReader) -> None:
        """Account for the memory in use. If it is short, store everything that can be stored."""
        writer = self._writing
        if writer is None:
            await self._slot.hold(reader.kept_bytes)
            return

        with self._storage_errors():
            held = reader.kept_bytes + writer.held_bytes
            while held > MEMORY_BYTES and await writer.free():
                held = reader.kept_bytes + writer.held_bytes

            if not self._slot.try_hold(held):
                await writer.flush()
                await self._slot.hold(reader.kept_bytes)

    async def _finish(self, collector: FileCollector) -> Receipt:
        if self._batch is None or self._writing is None:
            raise no_images(collector.refusals, collector.skipped)

        completed = await self._complete(self._batch, self._writing)
        return Receipt(completed, self._writing.images, collector.skipped, collector.refusals)


def no_images(refusals: Refusals, skipped: int) -> Problem:
    """Return the problem for an upload without any acceptable image."""
    detail = (
        f"The upload has no acceptable image: {refusals.count} files were refused, and {skipped} "
        "hidden files were left out."
    )
    refused = {"count": refusals.count, "files": refusals.files}
    return Problem(422, "NoImages", detail, refused=refused, skipped=skipped)


def too_many_images(limit: int) -> Problem:
    """Return the problem for an upload with more than `limit` images."""
    detail = (
        f"The upload has more than {limit} images, which is the limit of a batch "
        "(limits.batchImages). Send the images in several batches."
    )
    return Problem(413, "TooManyImages", detail, limit_images=limit)
