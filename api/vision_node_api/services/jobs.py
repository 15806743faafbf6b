"""Submit images, and read jobs and their results."""

import asyncio
import logging
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from vision_node_contract.batch_objects import LineError
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from vision_node_contract.history.database import HistoryError
from vision_node_contract.models.description import Result
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec, ImageRef, StoredResult
from vision_node_contract.models.reasons import Reason
from vision_node_contract.names import OWNER_LABEL, REUSE_LABEL

from ..settings import Settings
from ..uploads.form import Upload
from ..uploads.image_inspection import ImageLimits, inspect_image
from ..uploads.submit_options import SubmitOptions
from ..uploads.upload_body import largest_upload_bytes
from ..uploads.upload_limit import UploadLimiter, UploadLimits
from ..watch.describer_cache import DescriberCache
from ..watch.imagejob_cache import ImageJobCache
from ..web.access import current_access
from ..web.problems import Problem
from .callbacks import require_callback
from .dependency_problems import kubernetes_problems, kubernetes_unavailable, storage_problems
from .history.history_problems import history_problems
from .history.history_rows import JobRow
from .history.reader import HistoryReader
from .job_limits import refused_by_kubernetes, require_capacity
from .job_name import is_job_name, new_job_name
from .owner_quotas import OwnerQuotas
from .owners import is_visible, visible_owner
from .reusable_jobs import ReusableJobs, Wanted
from .reuse_key import reuse_key
from .storage_health import StorageHealth
from .stored_result import LargeResultLimit, read_stored_result

log = logging.getLogger(__name__)

INSPECTORS = 2
"""Number of threads that read image headers. A maliciously crafted header may be slow to read, so
headers are not read on the event loop, which serves all other clients."""

ANY_TYPE = "application/octet-stream"

REPEATED_WITHIN = timedelta(hours=24)
"""How long a submission with the same Idempotency-Key returns a job that is only in the history."""

REPEATED_SECONDS = 0.5
"""How long a submission waits for the history, in seconds. While the database is away, every job
stays in etcd, so hardly any repeated submission is missed."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """An ImageJob to create."""

    name: str
    spec: ImageJobSpec
    describer: str | None
    """The Describer that the request names; None if it names none."""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The outcome of a submission."""

    job: ImageJob
    reused: bool | None = None
    """Whether it is the job of an earlier submission with the same image and options; None if the
    client did not ask for that."""


@dataclass(frozen=True, slots=True)
class CompleteJob:
    """A job together with its result, or with the reason why the result can't be read."""

    job: ImageJob
    result: Result | None = None
    """None if there is none yet, or if it can't be read."""
    result_error: LineError | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """Submits images, and reads jobs by id. A job's id is the name of its ImageJob."""

    imagejobs: ImageJobClient
    cache: ImageJobCache
    describers: DescriberCache
    bucket: Bucket
    settings: Settings
    history: HistoryReader | None = None
    """The history; None if the release has no database."""
    uploads: UploadLimiter = field(init=False)
    quotas: OwnerQuotas = field(init=False)
    """The limits of owners, and what they use."""
    inspectors: Executor = field(default_factory=lambda: ThreadPoolExecutor(INSPECTORS, "inspect"))
    storage: StorageHealth = field(default_factory=StorageHealth)
    large_results: LargeResultLimit = field(default_factory=LargeResultLimit)

    def __post_init__(self) -> None:
        limits = UploadLimits(
            memory_bytes=self.settings.upload_memory_bytes,
            largest_bytes=largest_upload_bytes(self.settings.max_image_bytes),
            bytes_per_second=self.settings.upload_bytes_per_second,
        )
        object.__setattr__(self, "uploads", UploadLimiter(limits))

        of_owners = self.settings.owner_limits
        quotas = OwnerQuotas(of_owners, self.cache, self.describers, self.history)
        object.__setattr__(self, "quotas", quotas)

    async def submit(self, upload: Upload, idempotency_key: str | None) -> Submitted:
        """Store the image, create the ImageJob, and return it.

        If the same image is submitted again with the same idempotency key, return the existing
        ImageJob. With the option `reuse`, return the ImageJob of any submission that has the same
        result, if there is one.

        Raises:
            Problem: the image or an option is not acceptable (see inspect_image and SubmitOptions);
                422 IdempotencyKeyReused, DescriberNotFound, JobRefused, or as for require_callback;
                429 TooManyJobs, TooManyImageJobs, QuotaExceeded, TooManyJobsOfOwner,
                DailyBytesUsed, DailyTokensUsed; 503 while storage or Kubernetes is unavailable.
        """
        key = self.bucket.folders.new_image_key()
        image = await self.inspect(upload, key)
        options = SubmitOptions.read(upload.fields, self.settings.max_ttl_seconds)
        name = new_job_name(idempotency_key, current_access().owner)
        new = await self._new_job(image, options, name)
        not_reused = False if options.reuse else None

        existing = await self._repeated(new) if idempotency_key else None
        if existing:
            return Submitted(existing, not_reused)

        reusable = await self._reusable(new) if options.reuse else None
        if reusable:
            return Submitted(reusable, reused=True)

        require_capacity(self.cache, self.settings)
        await self.quotas.require(new.spec.describer, len(upload.data))

        with self.storage_problems(writing=True):
            await self.bucket.put(key, upload.data, image.media_type or ANY_TYPE, image.sha256)

        return Submitted(await self.create(new), not_reused)

    async def inspect(self, upload: Upload, key: str) -> ImageRef:
        """Return the `spec.image` of an ImageJob for an upload that will be stored under `key`.

        Raises:
            Problem: the image is not acceptable (see inspect_image).
        """
        limits = ImageLimits(self.settings.max_image_bytes, self.settings.max_image_pixels)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self.inspectors, inspect_image, upload.data, upload.file_name, key, limits
        )

    async def get(self, job_id: str) -> ImageJob:
        """Return the ImageJob with this id: from the cache, the API server or the history.

        A finished job is in the history before it leaves etcd, so this order misses no job.

        Raises:
            Problem: 404 JobNotFound; 502 JobUnreadable; 503 KubernetesUnavailable,
                HistoryUnavailable or another reason of the history.
        """
        return await self._live(job_id) or readable(await self.archived(job_id))

    async def complete(self, job_id: str) -> CompleteJob:
        """Return the job with this id as `get` does, together with its result.

        Raises:
            Problem: as for `get`. A result that can't be read is not a problem.
        """
        live = await self._live(job_id)
        job = live or readable(await self.archived(job_id, with_result=True))
        stored = job.status.result
        if job.status.phase != "done" or stored is None:
            return CompleteJob(job)

        try:
            return CompleteJob(job, stored.inline or await self._stored_result(job, stored))
        except Problem as problem:
            error = LineError(reason=problem.reason, message=problem.detail)
            return CompleteJob(job, result_error=error)

    async def result(self, job_id: str) -> dict[str, Any]:
        """Return the complete result of a job that is done.

        Raises:
            Problem: 404 JobNotFound; 409 NotDone, or the error's reason if the job failed; 410
                ResultGone; 502 ResultChanged, ResultUnreadable, JobUnreadable; 503 while storage,
                Kubernetes or the history is unavailable.
        """
        live = await self._live(job_id)
        job = await self._confirm(live) if live else None
        if job is None:
            job = readable(await self.archived(job_id, with_result=True))
        status = job.status

        if status.error and status.phase == "failed":
            raise Problem(
                409, status.error.reason, status.error.message, job_id=job_id, job_status="failed"
            )

        if status.phase != "done" or status.result is None:
            detail = f"The job is {status.phase}. Try again later, or poll /status/{job_id}."
            raise Problem(409, "NotDone", detail, job_id=job_id, job_status=status.phase)

        result = status.result.inline or await self._stored_result(job, status.result)
        return {"job_id": job_id, "status": status.phase, **result.to_json()}

    async def choose_describer(self, requested: str | None) -> str:
        """Return the Describer that a client has requested, or the default.

        Raises:
            Problem: 422 DescriberNotFound; 503 KubernetesUnavailable.
        """
        default = self.settings.default_describer
        name = requested or default
        # The default Describer is not looked up, because right after the installation, it may not
        # exist until shortly after the API has started.
        if name == default:
            return name

        with kubernetes_problems():
            if await self.describers.has(name):
                return name

        known = ", ".join(describer.metadata.name for describer in self.describers.all())
        detail = f"No describer is named {name!r}. Available describers: {known}."
        raise Problem(422, Reason.DESCRIBER_NOT_FOUND, detail)

    def storage_problems(self, *, writing: bool = False) -> AbstractContextManager[None]:
        """Convert bucket errors into problems and record the health of the storage."""
        return storage_problems(self.storage, writing=writing)

    async def _new_job(self, image: ImageRef, options: SubmitOptions, name: str) -> NewJob:
        require_callback(options.callback_url, self.settings.callbacks)
        spec = ImageJobSpec(
            image=image,
            describer=await self.choose_describer(options.describer),
            options=options.options,
            priority=options.priority or 0,
            ttl_seconds_after_finished=options.ttl_seconds,
            callback_url=options.callback_url,
        )
        labels = {**(options.labels or {}), **current_access().labels}
        return NewJob(name, spec, options.describer, self.labels_of(spec, labels))

    def labels_of(self, spec: ImageJobSpec, chosen: dict[str, str]) -> dict[str, str]:
        """Return the labels of a new ImageJob: those that were chosen for it, and the reuse key.

        Until the watch has reported the Describer, its state is unknown, and there is no key.
        """
        describer = self.describers.peek(spec.describer)
        if describer is None:
            return chosen

        owner = chosen.get(OWNER_LABEL, "")
        key = reuse_key(owner, spec, describer, self.settings.workers_revision)
        return {**chosen, REUSE_LABEL: key}

    async def _repeated(self, new: NewJob) -> ImageJob | None:
        """Return the ImageJob of an earlier request with the same Idempotency-Key."""
        existing = await self.read(new.name) or await self.archived_recently(new.name)
        if existing:
            require_same_request(existing, new)

        return existing

    async def _reusable(self, new: NewJob) -> ImageJob | None:
        """Return an ImageJob whose result is, or will be, that of `new`."""
        key = new.labels.get(REUSE_LABEL)
        if key is None:
            return None

        settings = self.settings
        jobs = ReusableJobs(
            self.imagejobs, self.cache, self.bucket, self.history, settings.job_kept
        )
        return await jobs.find(Wanted(key, new.spec, new.labels.get(OWNER_LABEL, "")))

    async def _live(self, job_id: str) -> ImageJob | None:
        """Return an ImageJob from the cache or the API server; None if it is not in etcd."""
        if not is_job_name(job_id):
            raise job_not_found()

        with kubernetes_problems():
            cached = self.cache.peek(job_id)
        if cached and is_visible(cached):
            return cached

        # The job of another owner takes as long as an unknown one.
        return await self.read(job_id)

    async def archived(self, job_id: str, *, with_result: bool = False) -> JobRow:
        """Return a job from the history.

        Raises:
            Problem: 404 JobNotFound; 503 HistoryUnavailable or another reason of the history.
        """
        if self.history is None:
            raise job_not_found()

        with history_problems():
            row = await self.history.find_job(
                job_id, with_result=with_result, owner=visible_owner()
            )
        if row is None:
            raise job_not_found()

        return row

    async def archived_recently(self, name: str) -> ImageJob | None:
        """Return a job from the history that may be repeated by its Idempotency-Key.

        While the history is unavailable, there is none: submissions must go on.
        """
        if self.history is None:
            return None

        try:
            row = await self.history.find_job(name, seconds=REPEATED_SECONDS, owner=visible_owner())
        except HistoryError as error:
            log.warning("the history can't tell whether %s exists: %s", name, error)
            return None

        job = readable(row) if row else None
        created = job.metadata.creation_timestamp if job else None
        is_recent = created is not None and datetime.now(UTC) - created < REPEATED_WITHIN
        return job if is_recent else None

    async def _stored_result(self, job: ImageJob, stored: StoredResult) -> Result:
        """Return a result that is not in the ImageJob, from the bucket or else from the history.

        When the archiver evicts an ImageJob, it deletes the result from the bucket, because the row
        has it. The cache may still have the ImageJob, which names the key in the bucket.
        """
        key = self.bucket.folders.own_result_key(job)
        try:
            async with self.large_results.reading(stored):
                return await read_stored_result(job, stored, key, self.bucket, self.storage)
        except Problem as problem:
            moved = await self._moved_result(job) if problem.reason == "ResultGone" else None
            if moved is None:
                raise
            return moved

    async def _moved_result(self, job: ImageJob) -> Result | None:
        """Return a job's result from the history, or None if it is not there.

        Raises:
            Problem: 410 ResultGone if the database refused it; 503 while the history is away.
        """
        if self.history is None or not _is_uid(job.metadata.uid):
            return None

        with history_problems():
            row = await self.history.find_result(job.metadata.uid)

        if row and row.archive_error:
            detail = "The job is done, but the database refused its result. Submit the image again."
            raise Problem(410, "ResultGone", detail)

        stored = readable(row).status.result if row else None
        return stored.inline if stored else None

    async def _confirm(self, job: ImageJob) -> ImageJob | None:
        """Return the job in the state that the API server currently reports; None if it is gone.

        The cached state may be older than the state that another replica has already reported to
        the client. A job that is done is returned unchanged, because its state is final.
        """
        if job.status.phase == "done":
            return job

        try:
            current = await self.read(job.metadata.name)
        except Problem:
            # The state of a failed job is final, too. The request was only needed to check whether
            # the job has been deleted, or replaced by a new job with the same name.
            if job.status.phase == "failed":
                return job
            raise

        return current

    async def create(self, new: NewJob) -> ImageJob:
        """Create an ImageJob whose image has been stored, and return it.

        If it exists, because the same request was sent twice, return the existing one. If it can't
        be created, delete the image.

        Raises:
            Problem: 422 IdempotencyKeyReused, JobRefused; 429 QuotaExceeded; 503
                KubernetesUnavailable, after which the ImageJob may exist or not.
        """
        try:
            created = await self.imagejobs.create(new.name, new.spec, new.labels)
        except (AlreadyExistsError, UnavailableError) as error:
            return await self._find_created(new, error)
        except KubeError as error:
            await self._discard(new.spec.image.key)
            raise refused_by_kubernetes(error) from error

        self.cache.add_created(created)
        return created

    async def _find_created(self, new: NewJob, error: KubeError) -> ImageJob:
        """Return the ImageJob if it exists even though creating it failed with `error`.

        Either another submission created it, or the request succeeded but its response was lost.
        """
        existing = await self._read(new.name)
        if existing is None:
            # The request may still be executed, so the image is kept. If no ImageJob is created, a
            # sweep will delete the image.
            raise kubernetes_unavailable() from error

        if existing.spec.image.key != new.spec.image.key:
            await self._discard(new.spec.image.key)

        if not is_visible(existing):  # its owner was changed
            raise _key_is_taken() from error
        require_same_request(existing, new)
        return existing

    async def read(self, name: str) -> ImageJob | None:
        """Return an ImageJob from the API server, or None if it does not exist.

        The cache is not used, because it may be out of date.

        Raises:
            Problem: 502 JobUnreadable; 503 KubernetesUnavailable.
        """
        found = await self._read(name)
        return found if found and is_visible(found) else None

    async def _read(self, name: str) -> ImageJob | None:
        """Return an ImageJob of any owner from the API server, or None if it does not exist."""
        with kubernetes_problems():
            try:
                return await self.imagejobs.get(name)
            except NotFoundError:
                return None

    async def _discard(self, key: str) -> None:
        """Delete an upload that no ImageJob uses.

        If this fails, a sweep will delete the upload.
        """
        try:
            with self.storage.recording():
                await self.bucket.delete(key)
        except StoreUnavailableError as error:
            log.warning("upload %s could not be deleted: %s", key, error)


def job_not_found() -> Problem:
    """Return the problem for an id that no job has."""
    detail = "No job has this id. Finished jobs are deleted after some time."
    return Problem(404, "JobNotFound", detail)


def readable(row: JobRow) -> ImageJob:
    """Return the job of a row.

    Raises:
        Problem: 502 JobUnreadable.
    """
    try:
        return row.job()
    except ValueError as error:
        log.warning("job %s in the history can't be read: %s", row.uid, error)
        detail = "This version of the API can't read the job in the history. Upgrade the API."
        raise Problem(502, "JobUnreadable", detail) from error


def _key_is_taken() -> Problem:
    """Return the problem for an idempotency key whose job belongs to someone else by now."""
    detail = "This Idempotency-Key was already used for another job. Use a new key."
    return Problem(422, "IdempotencyKeyReused", detail)


def _is_uid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def require_same_request(job: ImageJob, new: NewJob) -> None:
    """Refuse an idempotency key that was already used for a different request.

    Time to live, priority and labels are not compared, because they don't change what the client
    gets. If the request names no describer, that is not compared either, because the default may
    have changed since the first request.

    Args:
        job: The ImageJob that the key belongs to.
        new: The requested ImageJob.

    Raises:
        Problem: 422 IdempotencyKeyReused.
    """
    specs = (job.spec, new.spec)
    before, now = ((it.image.sha256, it.options, it.callback_url) for it in specs)
    if before != now or new.describer not in (None, job.spec.describer):
        detail = (
            f"Job {job.metadata.name} already used this Idempotency-Key for a different image or "
            "different options. Use a new key."
        )
        raise Problem(422, "IdempotencyKeyReused", detail)
