"""Describe the image of a finished job again, in a new job."""

from dataclasses import dataclass

from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.models.description import Options
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec, ImageRef

from ...uploads.form import Upload
from ...uploads.retry_options import RetryOptions
from ...uploads.upload_limit import UploadSlot
from ...web.problems import Problem
from ..batches.batch_images import BatchImage, BatchImages
from ..batches.batches import Batches
from ..batches.failed_images import FailedImages
from ..batches.image_copies import IMAGE_GONE, ImageSource
from ..callbacks import require_callback
from ..job_limits import require_capacity
from ..job_name import is_job_name, new_job_name
from ..jobs import ANY_TYPE, Jobs, NewJob, job_not_found, readable, require_same_request
from ..kept_labels import kept_labels
from ..owners import owner_of
from .old_images import ImageOfBatch, ImageOfJob, OldImage

MAX_RETRY_OF = 253
"""Maximum length of `spec.retryOf`, as in the CRD. Ids of images of batches may be longer."""


@dataclass(frozen=True, slots=True)
class Original:
    """A finished job, or an image of a batch that has ended, which is described again."""

    job_id: str
    uid: str
    """Its uid; for an image of a batch, that of the batch and the index."""
    spec: ImageJobSpec
    labels: dict[str, str]
    image: OldImage


@dataclass(frozen=True, slots=True)
class JobRetry:
    """Creates jobs that repeat others.

    The new job gets a copy of the image. If both named the same object, the copy would cost
    nothing, but the object could be lost: whatever deletes images (the deletion of a job, the end
    of its time to live, or that of its image) looks for other jobs that name them, in a cache that
    a watch fills. Between this look and the deletion, and as long as the watch is behind, a new
    ImageJob goes unnoticed, and no check after its creation would prove that no deletion is on its
    way. A copy is as safe as a submission: its key is new, nothing deletes it until a sweep finds
    it unnamed after an hour, and a deletion of the original no longer matters.
    """

    jobs: Jobs
    images: BatchImages

    async def retry(
        self, job_id: str, changes: RetryOptions, key: str | None, slot: UploadSlot
    ) -> ImageJob:
        """Create a job that repeats a finished one, and return it.

        Args:
            job_id: The finished job, or an image of a batch.
            changes: What is to be different.
            key: If it was used for the same job before, the job that was created then is returned.
            slot: Provides the memory for the image.

        Raises:
            Problem: as for `original` and `repeat`.
        """
        return await self.repeat(await self.original(job_id), changes, key, slot)

    async def original(self, job_id: str) -> Original:
        """Return a finished job, from the API server or the history, or an image of a batch.

        Raises:
            Problem: 404 JobNotFound; 409 JobUnfinished; 410 ImageGone; 502 JobUnreadable,
                BatchUnreadable; 503 with one of STORAGE_REASONS, KubernetesUnavailable,
                HistoryUnavailable or another reason of the history.
        """
        if not is_job_name(job_id):
            raise job_not_found()

        try:
            job = await self.jobs.read(job_id) or readable(await self.jobs.archived(job_id))
        except Problem as problem:
            image = await self.images.find(job_id) if problem.reason == "JobNotFound" else None
            if image is None:
                raise
            return await self._of_batch(job_id, image)

        return self.of_job(job)

    def of_job(self, job: ImageJob) -> Original:
        """Return a finished job as something to repeat.

        Raises:
            Problem: 409 JobUnfinished.
        """
        meta = job.metadata
        if not job.finished:
            raise _unfinished(meta.name, job.status.phase)

        limit = self.jobs.settings.max_image_bytes
        image = ImageOfJob(self.jobs.bucket, job.spec.image, limit)
        return Original(meta.name, meta.uid, job.spec, kept_labels(meta.labels), image)

    async def repeat(
        self, original: Original, changes: RetryOptions, key: str | None, slot: UploadSlot
    ) -> ImageJob:
        """Create a job that repeats another, and return it. The arguments are as for `retry`.

        Raises:
            Problem: 410 ImageGone; 413, 415, 422 if the image is not acceptable any more (see
                inspect_image); 422 DescriberNotFound, IdempotencyKeyReused, JobRefused; 429
                TooManyJobs, TooManyImageJobs, TooManyUploads, QuotaExceeded or a reason of
                OwnerQuotas.require; 503 while storage or Kubernetes is unavailable.
        """
        name = name_of(original, key)
        existing = None
        if key:
            existing = await self.jobs.read(name) or await self.jobs.archived_recently(name)
        if existing is None:
            return await self.create(original, changes, key, slot)

        spec = await self._spec(original, changes)
        same_image = spec.model_copy(update={"image": existing.spec.image})
        require_same_request(existing, NewJob(name, same_image, _named(changes, spec)))
        return existing

    async def was_repeated(self, original: Original, key: str) -> bool:
        """Return whether a job that was created with this key to repeat another still exists.

        Raises:
            Problem: 502 JobUnreadable; 503 KubernetesUnavailable, HistoryUnavailable or another
                reason of the history.
        """
        name = name_of(original, key)
        if await self.jobs.read(name):
            return True

        try:
            await self.jobs.archived(name)
        except Problem as problem:
            if problem.reason == "JobNotFound":
                return False
            raise
        return True

    async def create(
        self, original: Original, changes: RetryOptions, key: str | None, slot: UploadSlot
    ) -> ImageJob:
        """Create a job that repeats another, without looking for an existing one first.

        Raises:
            Problem: as for `repeat`.
        """
        jobs = self.jobs
        spec = await self._spec(original, changes)
        require_capacity(jobs.cache, jobs.settings)
        await jobs.quotas.require(spec.describer, spec.image.size_bytes or 0)

        image = await self._copy(original, slot)
        wanted = spec.model_copy(update={"image": image})
        labels = jobs.labels_of(wanted, changes.labels_from(original.labels))
        return await jobs.create(
            NewJob(name_of(original, key), wanted, _named(changes, spec), labels)
        )

    async def _spec(self, original: Original, changes: RetryOptions) -> ImageJobSpec:
        wanted = changes.describer if changes.changes_describer else original.spec.describer
        describer = await self.jobs.choose_describer(wanted)
        retry_of = original.job_id if len(original.job_id) <= MAX_RETRY_OF else None
        update = {"describer": describer, "retry_of": retry_of}
        require_callback(changes.callback_url, self.jobs.settings.callbacks)
        return changes.applied_to(original.spec).model_copy(update=update)

    async def _copy(self, original: Original, slot: UploadSlot) -> ImageRef:
        """Store a copy of the image, and return the `spec.image` that names it."""
        jobs, old = self.jobs, original.image
        await slot.hold(old.max_bytes)
        with jobs.storage_problems():
            data = await old.read()
        await slot.hold(len(data))

        key = jobs.bucket.folders.new_image_key()
        image = await jobs.inspect(Upload(data, old.file_name, {}), key)
        with jobs.storage_problems(writing=True):
            await jobs.bucket.put(key, data, image.media_type or ANY_TYPE, image.sha256)
        return image

    async def _of_batch(self, job_id: str, image: BatchImage) -> Original:
        """Return an image of a batch as something to repeat."""
        if image.line is None:
            raise _unfinished(job_id, image.phase)

        batch, batches = image.batch, self.images.batches
        line = await self._line(batches, image)
        limit = batches.settings.max_image_bytes
        source = ImageSource(batches.bucket, batch.metadata.uid, limit)
        spec = ImageJobSpec(
            image=ImageRef(key=line.key or ""),
            describer=batch.spec.describer,
            options=_merged(batch.spec.options, line.options),
            max_attempts=batch.spec.max_attempts,
            timeout_seconds=batch.spec.timeout_seconds,
            ttl_seconds_after_finished=batch.spec.ttl_seconds_after_finished,
        )
        uid = f"{batch.metadata.uid}/{image.index}"
        labels = kept_labels(batch.metadata.labels)
        return Original(job_id, uid, spec, labels, ImageOfBatch(source, line, limit))

    async def _line(self, batches: Batches, image: BatchImage) -> ManifestLine:
        line = await FailedImages(batches, image.batch).line(image.index)
        if line is None:
            detail = (
                "The list of the batch's images was deleted, or can't be read. Submit it again."
            )
            raise Problem(410, IMAGE_GONE, detail)

        return line


def name_of(original: Original, key: str | None) -> str:
    """Return the name of the job that repeats another: the same for the same key.

    The new job belongs to the owner of the original, even if an administrator retries it.
    """
    text = f"retry {original.uid} {key}" if key else None
    return new_job_name(text, owner_of(original.labels))


def _named(changes: RetryOptions, spec: ImageJobSpec) -> str | None:
    """Return the describer that a repeated request must have; None if any will do.

    The default one may have changed since. That of the original is always the same.
    """
    return changes.describer if changes.changes_describer else spec.describer


def _merged(of_batch: Options | None, of_image: Options | None) -> Options | None:
    """Return the options of an image, which override those of its batch one by one."""
    if of_batch is None or of_image is None:
        return of_image or of_batch

    return of_batch.model_copy(update=of_image.model_dump(exclude_none=True))


def _unfinished(job_id: str, phase: str) -> Problem:
    detail = f"{job_id} is {phase}. Wait for its end, or cancel it, and retry it then."
    return Problem(409, "JobUnfinished", detail, job_id=job_id, job_status=phase)
