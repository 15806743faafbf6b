"""Freeze the manifest of one ImageBatch: copy the list of its images, and write its status."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import ConflictError, KubeError, backoff
from vision_node_contract.models import batch_transitions
from vision_node_contract.models.batch_transitions import StatusPatch
from vision_node_contract.models.imagebatch import FrozenManifest, ImageBatch
from vision_node_contract.models.reasons import BatchReason

from .batches import BatchClient
from .folder_cleaner import FolderCleaner
from .manifests.chunk_writer import ChunkWriter
from .manifests.freeze_errors import AttemptLostError, SourceChangedError, SourceRefusedError
from .manifests.sources import Source, source_of

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Maximum number of attempts to read a list of images that is replaced while it is being read."""

COMMIT_PAUSES = (0.05, 30.0)
"""First and longest wait in seconds before the status is written again. The frozen
manifest is kept until then, because freezing it may have taken a minute."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of freezing: a frozen manifest, or the reason why there is none."""

    reason: str
    message: str
    manifest: FrozenManifest | None = None
    other_attempts: tuple[str, ...] = ()
    """Folders of earlier attempts, whose objects are no longer needed."""

    def is_in(self, batch: ImageBatch) -> bool:
        """Return whether the ImageBatch's status has this outcome."""
        status = batch.status
        if self.manifest:
            return status.manifest == self.manifest

        return status.phase == "failed" and status.manifest is None

    def patch(self, batch: ImageBatch, now: datetime) -> StatusPatch:
        """Return the change to the status."""
        if self.manifest:
            return batch_transitions.freeze(batch, self.manifest, now)

        return batch_transitions.fail(batch, self.reason, self.message, now)


def may_freeze(batch: ImageBatch) -> bool:
    """Return whether an ImageBatch is queued, and its images are known, or no longer needed."""
    return batch.status.phase == "queued" and (batch.spec.cancel or not batch.is_being_uploaded)


class Freezer:
    """Freezes ImageBatches."""

    def __init__(
        self, bucket: Bucket, batches: BatchClient, cleaner: FolderCleaner, max_images: int
    ) -> None:
        self._bucket = bucket
        self._batches = batches
        self._cleaner = cleaner
        self._max_images = max_images
        self._last_deleted = 0
        """Highest number of an attempt whose folder this process deletes. Later attempts have
        higher numbers, so that a late deletion can't hit their objects."""

    async def freeze(self, name: str, uid: str) -> None:
        """Freeze the manifest of a queued ImageBatch, or mark the batch as failed.

        A batch whose upload is not complete is left alone, unless it was cancelled.

        Raises:
            BatchGoneError: The ImageBatch was deleted. Its folder may contain objects.
            StoreUnavailableError, KubeError, AttemptLostError: Another attempt may succeed.
        """
        batch = await self._batches.get(name, uid)
        if not may_freeze(batch):
            return

        outcome = await self._outcome(batch)
        await self._commit(batch, outcome)

    async def report_waiting(self, name: str, uid: str, error: StoreUnavailableError) -> None:
        """Set the condition Waiting because of the bucket, unless it already has this reason.

        Raises:
            BatchGoneError, KubeError: Nothing was written.
        """
        batch = await self._batches.get(name, uid)
        waiting = batch.status.condition("Waiting")
        if batch.status.phase != "queued" or (waiting and waiting.reason == error.reason):
            return

        message = f"the images can't be listed: {error}"
        patch = batch_transitions.wait(batch, error.reason, message, datetime.now(UTC))
        await self._batches.patch_status(batch, patch)

    async def _outcome(self, batch: ImageBatch) -> Outcome:
        if batch.spec.cancel:
            return _cancelled()

        try:
            manifest, other_attempts = await self._freeze_source(batch)
        except SourceRefusedError as error:
            return Outcome(error.reason, error.message)

        message = f"{manifest.images} images are listed in {manifest.folder}"
        if manifest.skipped:
            message += f"; {manifest.skipped} hidden files and folders were skipped"
        return Outcome(BatchReason.MANIFEST_FROZEN, message, manifest, other_attempts)

    async def _freeze_source(self, batch: ImageBatch) -> tuple[FrozenManifest, tuple[str, ...]]:
        """Copy the list of images, and start over if the list is replaced meanwhile.

        Return the copy, and the folders of earlier attempts.
        """
        for _ in range(MAX_ATTEMPTS):
            source = source_of(self._bucket, batch, self._max_images)
            folder, earlier = await self._new_folder(batch)
            try:
                return await self._copy(source, folder), earlier
            except SourceChangedError as error:
                log.info("freezing ImageBatch %s again: %s", batch.metadata.name, error)

        raise SourceRefusedError(
            BatchReason.MANIFEST_CHANGED,
            f"{source.place} was replaced {MAX_ATTEMPTS} times while it was being read: store it "
            "under a name that nothing else writes to, and create another batch",
        )

    async def _new_folder(self, batch: ImageBatch) -> tuple[str, tuple[str, ...]]:
        """Return the folder for the next attempt, and those of earlier attempts.

        Earlier attempts may be those of a process that was killed or is still running.
        """
        folder = BatchFolder(self._bucket.folders, batch.metadata.uid)
        earlier: list[int] = []
        async for names in self._bucket.list_folders(folder.prefix):
            earlier += [int(it[1:]) for it in names if it[:1] == "m" and it[1:].isdecimal()]

        new = max([*earlier, self._last_deleted]) + 1
        return folder.manifest(new), tuple(map(folder.manifest, sorted(earlier)))

    async def _copy(self, source: Source, folder: str) -> FrozenManifest:
        writer = ChunkWriter(self._bucket, folder)
        try:
            async with writer:
                return await self._copy_lines(source, writer)
        except AttemptLostError:
            raise  # another archiver may use the folder
        except BaseException:
            if writer.owns_folder:
                self._delete_attempt(folder)
            raise

    def _delete_attempt(self, folder: str) -> None:
        # A bucket that is full would otherwise be filled again by each of the next attempts.
        number = int(folder.rstrip("/").rpartition("/m")[2])
        self._last_deleted = max(self._last_deleted, number)
        self._clean(folder)

    async def _copy_lines(self, source: Source, writer: ChunkWriter) -> FrozenManifest:
        async for lines in source.pages():
            if writer.images + len(lines) > self._max_images:
                raise SourceRefusedError(
                    BatchReason.MANIFEST_TOO_LARGE,
                    f"{source.place} has more than {self._max_images} images: divide it into "
                    "several batches, or raise limits.batchImages in the chart's values",
                )

            for line in lines:
                await writer.add(line)

        if not writer.images:
            skipped = f", besides {source.skipped} hidden files or folders" * bool(source.skipped)
            raise SourceRefusedError(
                BatchReason.NO_IMAGES,
                f"{source.place} in the bucket has no images{skipped}: store some there, and "
                "create another batch",
            )

        return await writer.finish(source.skipped)

    async def _commit(self, batch: ImageBatch, outcome: Outcome) -> None:
        """Write the outcome to the status, and clean up what is no longer needed.

        Folders of other attempts are deleted only now. Before, another archiver might still have
        written such a folder to the status.

        Raises:
            BatchGoneError: The ImageBatch was deleted.
        """
        batch, written = await self._write(batch, outcome)
        if not written.is_in(batch):
            log.info("ImageBatch %s was frozen or ended by another process", batch.metadata.name)
            self._clean(outcome.manifest.folder if outcome.manifest else None)
            return

        log.info("ImageBatch %s: %s: %s", batch.metadata.name, written.reason, written.message)
        if written.manifest:
            self._clean(*outcome.other_attempts)
        else:
            self._clean(BatchFolder(self._bucket.folders, batch.metadata.uid).prefix)

        await self._batches.emit(batch, written.reason, written.message)

    async def _write(self, batch: ImageBatch, outcome: Outcome) -> tuple[ImageBatch, Outcome]:
        """Try to write the status until the ImageBatch is no longer queued.

        Return the resulting ImageBatch and the outcome, which is different if the ImageBatch was
        cancelled meanwhile.
        """
        failures = 0
        while batch.status.phase == "queued":
            if batch.spec.cancel and outcome.manifest:
                outcome = _cancelled()

            patch = outcome.patch(batch, datetime.now(UTC))
            try:
                await self._batches.patch_status(batch, patch)
            except KubeError as error:
                batch = await self._read_again(batch, error, failures)
                failures += 1
            else:
                batch = batch_transitions.after(batch, patch)

        return batch, outcome

    async def _read_again(self, batch: ImageBatch, error: KubeError, failures: int) -> ImageBatch:
        """Wait, and return the current ImageBatch, or the known one if it can't be read."""
        if not isinstance(error, ConflictError):
            log.warning("writing the status of ImageBatch %s: %s", batch.metadata.name, error)

        await asyncio.sleep(backoff(failures, *COMMIT_PAUSES))
        try:
            return await self._batches.get(batch.metadata.name, batch.metadata.uid)
        except KubeError:
            return batch  # the next write fails or says that the object has changed

    def _clean(self, *folders: str | None) -> None:
        for folder in filter(None, folders):
            self._cleaner.clean(folder)


def _cancelled() -> Outcome:
    return Outcome(BatchReason.CANCELLED, "cancelled before its images were listed")
