"""Submitting and reading back: the image to the bucket, then the ImageJob, then the answer."""

import asyncio
import base64
import hashlib
import logging
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from vision_node_contract.bucket_keys import is_as_stored, new_image_key, own_result_key
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from vision_node_contract.models.description import Result
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec, ImageRef, StoredResult
from vision_node_contract.models.reasons import STORAGE_REASONS, Reason

from ..settings import Settings
from ..uploads.form import Upload, largest_upload_bytes
from ..uploads.intake import Limits, inspect
from ..uploads.submit_options import Wishes
from ..uploads.upload_limit import UploadLimiter, UploadLimits
from ..watch.describer_cache import Describers
from ..watch.imagejob_cache import JobCache
from ..web.problems import Problem
from .storage_health import StorageHealth

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "2"
"""For clients, while the bucket or the API server is away."""

ADMINISTRATOR_RETRY_AFTER_SECONDS = "30"
"""For clients, while the bucket refuses what only a person can put right."""

INSPECTORS = 2
"""Headers read at once, off the event loop: one made to be slow must not stall everybody's answers."""

MAX_RESULT_BYTES = 16 << 20
"""No describer says so much; what is larger was not written by one."""

FULL_RETRY_AFTER_SECONDS = "10"
"""For clients, while too many jobs wait."""

ANY_TYPE = "application/octet-stream"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Jobs:
    """ImageJobs as the API's users know them: by their id, which is the ImageJob's name."""

    imagejobs: ImageJobClient
    cache: JobCache
    describers: Describers
    store: Bucket
    settings: Settings
    uploads: UploadLimiter = field(init=False)
    inspectors: Executor = field(default_factory=lambda: ThreadPoolExecutor(INSPECTORS, "inspect"))
    storage: StorageHealth = field(default_factory=StorageHealth)

    def __post_init__(self) -> None:
        limits = UploadLimits(
            memory_bytes=self.settings.upload_memory_bytes,
            largest_bytes=largest_upload_bytes(self.settings.max_image_bytes),
            bytes_per_second=self.settings.upload_bytes_per_second,
        )
        object.__setattr__(self, "uploads", UploadLimiter(limits))

    async def submit(self, upload: Upload, idempotency_key: str | None) -> ImageJob:
        """Store the image, create the ImageJob, return it.

        With an idempotency key, the second submit of the same image returns the first one's
        ImageJob.

        Raises:
            Problem: the upload is refused (see intake), the key was used for another image (422),
            too
                many jobs wait (429), or storage or Kubernetes is away (503).
        """
        key = new_image_key()
        image = await self.inspect(upload, key)
        wishes = Wishes.read(upload.fields)
        describer = await self._describer(wishes.describer)
        spec = ImageJobSpec(image=image, describer=describer, options=wishes.options)
        name = _name(idempotency_key)

        if idempotency_key:
            known = await self._read(name)
            if known:
                return _same(known, spec)

        self._check_room()
        with self.storing(writing=True):
            await self.store.put(key, upload.data, image.media_type or ANY_TYPE, image.sha256)

        return await self._create(name, spec)

    async def inspect(self, upload: Upload, key: str) -> ImageRef:
        """Return the `spec.image` of an ImageJob for an upload that will be stored under `key`.

        Raises:
            Problem: the upload is not an acceptable image (see intake).
        """
        limits = Limits(self.settings.max_image_bytes, self.settings.max_image_pixels)
        look = asyncio.get_running_loop().run_in_executor
        return await look(self.inspectors, inspect, upload.data, upload.file_name, key, limits)

    async def get(self, job_id: str) -> ImageJob:
        """Return the ImageJob with that id, as the watch has shown it last.

        Raises:
            Problem: 404 JobNotFound; 503 while Kubernetes is away.
        """
        job = None
        if _NAME.fullmatch(job_id):
            with answering():
                job = await self.cache.get(job_id)
        if job is None:
            raise _unknown()
        return job

    async def result(self, job_id: str) -> dict[str, Any]:
        """Return the whole result of a job that is done.

        Raises:
            Problem: 409 NotDone while it isn't, 409 with the error's reason if it failed; 410
            ResultGone;
                502 ResultChanged, ResultUnreadable; 404; 503.
        """
        job = await self._confirmed(await self.get(job_id))
        status = job.status
        if status.error and status.phase == "failed":
            raise Problem(
                409, status.error.reason, status.error.message, job_id=job_id, job_status="failed"
            )
        if status.phase != "done" or status.result is None:
            detail = f"the job is {status.phase}; ask again later, or follow /status/{job_id}"
            raise Problem(409, "NotDone", detail, job_id=job_id, job_status=status.phase)

        result = status.result.inline or await self._read_result(job, status.result)
        return {"job_id": job_id, "status": status.phase, **result.to_json()}

    async def _confirmed(self, job: ImageJob) -> ImageJob:
        """Return the job as the API server has it, unless it is done, which is final.

        Another replica may have told the client already what this one's watch has yet to show.
        """
        if job.status.phase == "done":
            return job

        try:
            current = await self._read(job.metadata.name)
        except Problem:
            # A failed job doesn't change either; what was asked for was whether it is still the
            # same one.
            if job.status.phase == "failed":
                return job
            raise

        if current is None:
            raise _unknown()

        return current

    def _check_room(self) -> None:
        limit = self.settings.max_unfinished_jobs
        if self.cache.unfinished >= limit:
            detail = f"{limit} jobs are unfinished, which is the limit; try again later"
            raise Problem(
                429, "TooManyJobs", detail, headers={"Retry-After": FULL_RETRY_AFTER_SECONDS}
            )

    async def _create(self, name: str, spec: ImageJobSpec) -> ImageJob:
        try:
            created = await self.imagejobs.create(name, spec, {})
        except (AlreadyExistsError, UnavailableError) as error:
            # Another submit was faster, or our own request was carried out and its answer lost.
            job = await self._read(name)
            if job is None:
                # It may yet be carried out, so the image stays; a real orphan is the sweep's.
                raise unavailable(
                    "KubernetesUnavailable", "the API server does not answer"
                ) from error

            if job.spec.image.key != spec.image.key:
                await self._discard(spec.image.key)
            return _same(job, spec)
        except KubeError as error:
            await self._discard(spec.image.key)
            raise Problem(
                422, "JobRefused", f"Kubernetes refused the ImageJob: {error.message}"
            ) from error

        self.cache.created(created)
        return created

    async def _read(self, name: str) -> ImageJob | None:
        """Read from the API server itself: what is promised must not rest on a watch that lags."""
        with answering():
            return await self.imagejobs.get(name)
        return None

    async def _read_result(self, job: ImageJob, named: StoredResult) -> Result:
        """Return the result from the bucket, if it is still the one that the worker stored."""
        key = own_result_key(job)
        if key is None:
            detail = (
                "the job is done, but what it names is not its own result; submit the image again"
            )
            raise Problem(410, "ResultGone", detail)

        data = await self._fetch_result(key, named.size_bytes or MAX_RESULT_BYTES)
        if not is_as_stored(named, data):
            log.warning("object %s is not what the worker of job %s stored", key, job.metadata.name)
            detail = (
                "the job is done, but its result in storage was overwritten: its SHA-256 is not the one in "
                "the job's status; submit the image again"
            )
            raise Problem(502, "ResultChanged", detail)

        try:
            return Result.model_validate_json(data)
        except ValueError as error:
            raise Problem(502, "ResultUnreadable", "what storage holds is not a result") from error

    async def _fetch_result(self, key: str, size_bytes: int) -> bytes:
        """Return a stored result's bytes, and at most one more than it should have."""
        if size_bytes > MAX_RESULT_BYTES:
            detail = (
                f"the job's result has {size_bytes} bytes, and at most {MAX_RESULT_BYTES} are read"
            )
            raise Problem(502, "ResultUnreadable", detail)

        try:
            with self.storing():
                return await self.store.get(key, size_bytes)
        except ObjectNotFoundError as error:
            raise Problem(
                410, "ResultGone", "the job is done, but its result was removed"
            ) from error

    async def _discard(self, key: str) -> None:
        """Remove an upload that no ImageJob names; if that fails, the operator's sweep will."""
        try:
            with self.storage.observing():
                await self.store.delete(key)
        except StoreUnavailableError as error:
            log.warning("upload %s stays behind: %s", key, error)

    @contextmanager
    def storing(self, *, writing: bool = False) -> Iterator[None]:
        """Turn the bucket's timeouts and refusals into problems, and record its health.

        Raises:
            Problem: 503 with one of STORAGE_REASONS.
        """
        try:
            with self.storage.observing(writing=writing):
                yield
        except StoreUnavailableError as error:
            raise unavailable(error.reason, str(error)) from error

    async def _describer(self, wished: str | None) -> str:
        default = self.settings.default_describer
        name = wished or default
        # The default one is the administrator's word: at a release's start it comes a moment later.
        if name == default:
            return name

        with answering():
            if await self.describers.has(name):
                return name

        known = ", ".join(describer.metadata.name for describer in self.describers.all())
        detail = f"no describer is named {name!r}; there are: {known}"
        raise Problem(422, Reason.DESCRIBER_NOT_FOUND, detail)


@contextmanager
def answering() -> Iterator[None]:
    """Turn the API server's silence and refusals into problems; what it doesn't have passes as nothing."""
    with suppress(NotFoundError):
        try:
            yield
        except NotFoundError:
            raise
        except KubeError as error:
            log.warning("reading from Kubernetes failed: %s", error)
            raise unavailable(
                "KubernetesUnavailable", "the API server does not answer well"
            ) from error
        except ValueError as error:
            log.warning("an ImageJob can't be read: %s", error)
            raise Problem(502, "JobUnreadable", "the ImageJob is not of this version") from error


def unavailable(reason: str, detail: str) -> Problem:
    """Return a 503 that says when to come back."""
    passes_by_itself = reason not in STORAGE_REASONS or reason == Reason.STORAGE_UNAVAILABLE
    seconds = RETRY_AFTER_SECONDS if passes_by_itself else ADMINISTRATOR_RETRY_AFTER_SECONDS
    return Problem(503, reason, f"{detail}; try again later", headers={"Retry-After": seconds})


def _unknown() -> Problem:
    return Problem(
        404, "JobNotFound", "no job has this id; finished jobs are deleted after a while"
    )


def _name(idempotency_key: str | None) -> str:
    """Return a new ImageJob's name: random, or derived, so that the API server refuses the second."""
    seed = secrets.token_bytes(20)
    if idempotency_key:
        seed = hashlib.sha256(idempotency_key.encode()).digest()[:20]
    return "job-" + base64.b32encode(seed).decode().lower()


def _same(job: ImageJob, spec: ImageJobSpec) -> ImageJob:
    before, now = ((it.image.sha256, it.describer, it.options) for it in (job.spec, spec))
    if before != now:
        detail = f"this Idempotency-Key belongs to {job.metadata.name}, submitted with another image or wish"
        raise Problem(422, "IdempotencyKeyReused", detail)
    return job
