"""Find the stored image of a job, or of an image of an ImageBatch, and read it."""

from dataclasses import dataclass

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob

from ...web.problems import Problem
from ..batches.batch_images import BatchImages
from ..batches.failed_images import FailedImages
from ..batches.image_copies import ImageSource, NotCopiedError
from ..jobs import Jobs
from .job_objects import keys_of, read_image


@dataclass(frozen=True, slots=True)
class StoredImage:
    """Where an image is stored, and what is known without reading it."""

    line: ManifestLine
    """The object, or the part of it, that has the image."""
    batch_uid: str
    """The uid of its ImageBatch; empty for the image of a job."""
    sha256: str | None
    """The digest of its bytes in hexadecimal; None if the object may be replaced."""
    file_name: str | None

    @property
    def identity(self) -> str:
        """Text that is different for different images."""
        line = self.line
        return f"{line.key}#{line.offset}#{self.sha256}#{self.batch_uid}"


@dataclass(frozen=True, slots=True)
class StoredImages:
    """Finds and reads the images of jobs."""

    jobs: Jobs
    batch_images: BatchImages

    async def find(self, job_id: str) -> StoredImage:
        """Return where the image of a job is stored. `<batch>.<index>` is an image of a batch.

        Raises:
            Problem: as for `Jobs.get` and `BatchImages.find`; 409 ImageUnknown; 410 ImageGone.
        """
        try:
            return self._of_job(await self.jobs.get(job_id))
        except Problem as problem:
            image = None
            if problem.reason == "JobNotFound":
                image = await self.batch_images.find(job_id)
            if image is None:
                raise

        return await self._of_batch(image.batch, image.index)

    async def read(self, image: StoredImage) -> bytes:
        """Return the bytes of an image.

        Raises:
            Problem: 410 ImageGone; 503 with one of STORAGE_REASONS.
        """
        with self.jobs.storage_problems():
            if image.batch_uid:
                return await self._read_part(image)
            return await self._read_object(image.line.key or "")

    async def _read_part(self, image: StoredImage) -> bytes:
        limit = self.jobs.settings.max_image_bytes
        source = ImageSource(self.jobs.bucket, image.batch_uid, limit)
        try:
            return await source.get(image.line)
        except NotCopiedError as error:
            raise _gone(str(error)) from error

    async def _read_object(self, key: str) -> bytes:
        limit = self.jobs.settings.max_image_bytes
        data = await read_image(self.jobs.bucket, key, limit)
        if data is None:
            raise _gone("The image was deleted from storage.")
        if len(data) > limit:
            raise _gone(f"The object in storage has more than {limit} bytes, which is the limit.")
        return data

    def _of_job(self, job: ImageJob) -> StoredImage:
        ref, folders = job.spec.image, self.jobs.bucket.folders
        if not keys_of(ref.key, folders):
            raise _gone("The job names an object that is no image of its own.")

        # An object in the inbox may have been replaced since the job was created.
        sha256 = ref.sha256 if folders.is_own_image(ref.key) else None
        line = ManifestLine(index=0, custom_id="", key=ref.key, size=ref.size_bytes)
        return StoredImage(line, "", sha256, ref.file_name)

    async def _of_batch(self, batch: ImageBatch, index: int) -> StoredImage:
        if batch.status.manifest is None:
            detail = (
                f"Batch {batch.metadata.name} is {batch.status.phase}, and its images have not been"
                " listed yet. Try again later."
            )
            raise Problem(409, "ImageUnknown", detail)

        line = await FailedImages(self.batch_images.batches, batch).line(index)
        if line is None:
            raise _gone("The list of the batch's images is lost.")

        name = line.custom_id.rsplit("/", 1)[-1]
        return StoredImage(line, batch.metadata.uid, None, name)


def _gone(detail: str) -> Problem:
    return Problem(410, "ImageGone", detail)
