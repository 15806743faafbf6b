"""What takes more than one request: waiting, describing, uploading, following results."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ..errors import JobFailedError, ProblemError, UnreachableError, WaitTimeoutError
from ..images import Image, ImageData, read_image
from ..models import (
    Batch,
    CreatedBatch,
    Description,
    Failure,
    Job,
    Refusal,
    ResultPhase,
)
from ..options import BatchOptions, JobFilter, SubmitOptions
from . import calls
from .batch_source import BatchSource
from .lines import JobReader, PartReader
from .messages import Call
from .retries import Attempts, Retries, send, send_call
from .steps import Do, Flow, Give, NextChunk, Open, Parallel, Sleep, TransportError

WAIT_SECONDS = 600.0
"""Default of the longest time to wait for a job, in seconds. The server's queue may be long."""

FIRST_PAUSE_SECONDS = 0.05
"""Seconds between the first two polls of a state. Most jobs take less than a second."""

PAUSE_GROWTH = 1.5
"""Factor by which the pauses between polls grow."""

MAX_JOB_PAUSE_SECONDS = 1.0
"""Maximum seconds between two polls of a job."""

MAX_BATCH_PAUSE_SECONDS = 5.0
"""Maximum seconds between two polls of a batch, which takes minutes."""

PARALLEL_UPLOADS = 4
"""Number of images of a batch that are uploaded at the same time. More hardly help, because the
connection or the server's storage is busy with four."""

T = TypeVar("T", Job, Batch)


def new_key() -> str:
    """Return a new Idempotency-Key."""
    return str(uuid.uuid4())


def submit(image: Image, options: SubmitOptions, retries: Retries) -> Flow[Job]:
    """Submit an image."""
    data: ImageData = yield Do(partial(read_image, image))
    return (yield from send_call(calls.submit(data, options, new_key()), retries))


def wait_for_job(job_id: str, timeout: float | None, retries: Retries) -> Flow[Job]:
    """Return a job when it is done or has failed.

    Raises:
        WaitTimeoutError: It is neither after `timeout` seconds.
    """
    return (yield from _wait(calls.job(job_id), timeout, MAX_JOB_PAUSE_SECONDS, retries))


def wait_for_batch(name: str, timeout: float | None, retries: Retries) -> Flow[Batch]:
    """Return a batch when it is done or has failed.

    Raises:
        WaitTimeoutError: It is neither after `timeout` seconds.
    """
    return (yield from _wait(calls.batch(name), timeout, MAX_BATCH_PAUSE_SECONDS, retries))


def describe(
    image: Image, options: SubmitOptions, timeout: float | None, retries: Retries
) -> Flow[Description]:
    """Submit an image, wait, and return its description.

    Raises:
        JobFailedError: The image was not described.
        WaitTimeoutError: It was not described after `timeout` seconds.
    """
    job = yield from submit(image, options, retries)
    ended = yield from wait_for_job(job.id, timeout, retries)
    if ended.status == "failed":
        error = ended.error or Failure("Unknown", "the server does not say why")
        raise JobFailedError(job.id, error.reason, error.message)

    return (yield from send_call(calls.description(job.id), retries))


def create_batch(
    source: BatchSource, options: BatchOptions, retries: Retries
) -> Flow[CreatedBatch]:
    """Create a batch. If its images are on this machine, upload them, and start the batch.

    Images that the server refuses are in the result, and the others are described all the same.
    """
    if source.document is not None:
        call = calls.create_batch(source.document, options, new_key())
        return (yield from send_call(call, retries))

    images: dict[str, Image] = yield Do(source.images)
    return (yield from _create_batch_of(images, options, retries))


def create_upload(options: BatchOptions, key: str | None, retries: Retries) -> Flow[CreatedBatch]:
    """Create a batch whose images will be uploaded one by one."""
    call = calls.create_batch({"upload": {}}, options, key or new_key())
    return (yield from send_call(call, retries))


def _create_batch_of(
    images: Mapping[str, Image], options: BatchOptions, retries: Retries
) -> Flow[CreatedBatch]:
    created = yield from create_upload(options, None, retries)
    refused: dict[str, Refusal] = {}
    uploads = (
        _upload(created.name, custom_id, image, refused, retries)
        for custom_id, image in images.items()
    )
    yield Parallel(uploads, PARALLEL_UPLOADS)
    yield from send_call(calls.start(created.name), retries)

    files = tuple(refused[it] for it in images if it in refused)
    return replace(created, images=len(images) - len(files), refused=files)


def _upload(
    batch: str, custom_id: str, image: Image, refused: dict[str, Refusal], retries: Retries
) -> Flow[None]:
    try:
        yield from upload_image(batch, custom_id, image, retries)
    except ProblemError as problem:
        if not problem.concerns_image:
            raise
        refused[custom_id] = Refusal(custom_id, problem.reason, problem.detail)


def upload_image(batch: str, custom_id: str, image: Image, retries: Retries) -> Flow[None]:
    """Upload an image of a batch that is not started yet."""
    data: ImageData = yield Do(partial(read_image, image))
    yield from send_call(calls.upload_image(batch, custom_id, data), retries)


def stored_images(batch: str, retries: Retries) -> Flow[None]:
    """Give each image that was uploaded one by one, as a StoredImage."""
    images = yield from send_call(calls.stored_images(batch), retries)
    for image in images:
        yield Give(image)


def batches(retries: Retries) -> Flow[None]:
    """Give each batch, as a ListedBatch."""
    cursor = None
    while True:
        page = yield from send_call(calls.batches(cursor), retries)
        for batch in page.batches:
            yield Give(batch)

        cursor = page.next_cursor
        if cursor is None:
            return


def jobs(wanted: JobFilter, retries: Retries) -> Flow[None]:
    """Give each job, as a ListedJob, the newest first."""
    cursor = None
    while True:
        page = yield from send_call(calls.jobs(wanted, cursor), retries)
        for job in page.jobs:
            yield Give(job)

        cursor = page.next_cursor
        if cursor is None:
            return


def export(
    wanted: JobFilter, cursor: str | None, limit: int | None, retries: Retries
) -> Flow[None]:
    """Give each job, as a JobDetails, the newest first.

    If the stream breaks off, it is resumed behind the last job.

    Raises:
        ProblemError: The filter or the cursor is invalid.
        UnreachableError: The server did not respond.
    """
    attempts = Attempts(retries)
    while limit is None or limit > 0:
        yield from send(Open(calls.export(wanted, cursor, limit)), attempts)
        reader = JobReader()

        try:
            while chunk := (yield NextChunk()):
                for job in reader.feed(chunk):
                    cursor = job.cursor
                    limit = None if limit is None else limit - 1
                    attempts.succeeded()
                    yield Give(job)
            reader.end()
        except TransportError as error:
            pause = attempts.pause_after(UnreachableError(f"the export broke off: {error}"))
        else:
            return

        yield pause


def result_parts(
    name: str, after: int, phase: ResultPhase | None, *, follow: bool, retries: Retries
) -> Flow[None]:
    """Give each Part of a batch's results; with `follow`, until the batch is finished.

    If the stream breaks off, it is resumed behind the last complete part.

    Raises:
        ProblemError: The batch is unknown or was deleted, or `after` is invalid.
        UnreachableError: The server did not respond.
    """
    attempts = Attempts(retries)
    while True:
        yield from send(Open(calls.results(name, after, phase, follow=follow)), attempts)
        reader = PartReader()

        try:
            while chunk := (yield NextChunk()):
                for part in reader.feed(chunk):
                    after = part.after
                    attempts.succeeded()
                    yield Give(part)
            reader.end()
        except TransportError as error:
            pause = attempts.pause_after(UnreachableError(f"the results broke off: {error}"))
        else:
            return

        yield pause


def _wait(call: Call[T], timeout: float | None, max_pause: float, retries: Retries) -> Flow[T]:
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_PAUSE_SECONDS

    while True:
        found = yield from send_call(call, retries)
        if found.finished:
            return found
        if deadline is not None and time.monotonic() >= deadline:
            raise WaitTimeoutError(
                f"{call.request.path} is still {found.status} after {timeout:g} s; it continues"
            )

        yield Sleep(pause)
        pause = min(pause * PAUSE_GROWTH, max_pause)
