"""What takes more than one request: waiting, describing, uploading, following results."""

import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ..errors import (
    JobFailedError,
    ProblemError,
    UnreachableError,
    VisionNodeError,
    WaitTimeoutError,
)
from ..images import Image, ImageData, read_image
from ..models import (
    Batch,
    CreatedBatch,
    Description,
    Failure,
    Job,
    Refusal,
    ResultPhase,
    RetriedJobs,
)
from ..options import BatchOptions, JobFilter, SubmitOptions
from . import access_calls, calls
from .batch_source import BatchSource
from .event_reader import EventReader
from .lines import GONE, JobReader, PartReader
from .messages import Call, Request
from .retries import Attempts, Retries, send, send_call
from .steps import Do, Flow, Give, NextChunk, Open, Parallel, Send, Sleep, TransportError

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

FINISHED = "BatchFinished"
"""Reason for which a finished batch can't be cancelled."""

HTTP_NOT_FOUND = 404

HTTP_NO_CONTENT = 204
"""Status of a stream of events to which nothing would be added."""

S = TypeVar("S")
T = TypeVar("T", Job, Batch)


class Deadline:
    """The end of the time to wait for a job or a batch.

    Args:
        timeout: Seconds until then; None to wait forever.
    """

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + timeout

    @property
    def has_passed(self) -> bool:
        """Whether the time has ended."""
        return time.monotonic() >= self._end

    def wait_seconds(self) -> float:
        """Return how long a request may wait now, in seconds."""
        return self._end - time.monotonic()


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
    deadline = Deadline(timeout)
    return (yield from _wait(calls.job(job_id), deadline, MAX_JOB_PAUSE_SECONDS, retries))


def wait_for_batch(name: str, timeout: float | None, retries: Retries) -> Flow[Batch]:
    """Return a batch when it is done or has failed.

    Raises:
        WaitTimeoutError: It is neither after `timeout` seconds.
    """
    deadline = Deadline(timeout)
    return (yield from _wait(calls.batch(name), deadline, MAX_BATCH_PAUSE_SECONDS, retries))


def describe(
    image: Image, options: SubmitOptions, timeout: float | None, retries: Retries
) -> Flow[Description]:
    """Submit an image, wait, and return its description.

    Raises:
        JobFailedError: The image was not described.
        WaitTimeoutError: It was not described after `timeout` seconds.
    """
    deadline = Deadline(timeout)
    data: ImageData = yield Do(partial(read_image, image))
    attempts = Attempts(retries)
    call = calls.describe(data, options, new_key())
    found = yield from _send_waiting(call, deadline.wait_seconds(), attempts)
    if isinstance(found, Description):
        return found

    if not found.finished:
        may_wait, call_job = not attempts.has_failed, calls.job(found.id)
        found = yield from _wait(
            call_job, deadline, MAX_JOB_PAUSE_SECONDS, retries, may_wait=may_wait
        )
    if found.status == "failed":
        error = found.error or Failure("Unknown", "the server does not say why")
        raise JobFailedError(found.id, error.reason, error.message)

    return (yield from send_call(calls.description(found.id), retries))


def retry_failed(
    wanted: calls.FailedSelection, changes: SubmitOptions, key: str | None, retries: Retries
) -> Flow[RetriedJobs]:
    """Retry failed jobs. Without a limit, go on until all have been looked at.

    Each request looks for a limited time, so that it may find none although more follow. If one of
    the later requests fails, return what is known, and where to continue.
    """
    found = yield from send_call(calls.retry_failed(wanted, changes, key), retries)

    # A page that repeats itself makes no progress, for example because of a limit on jobs.
    while wanted.limit is None and found.next_cursor not in (None, wanted.cursor):
        wanted = replace(wanted, cursor=found.next_cursor)
        try:
            page = yield from send_call(calls.retry_failed(wanted, changes, key), retries)
        except VisionNodeError:
            return found
        found = RetriedJobs(
            found.retried + page.retried, found.failed + page.failed, page.next_cursor
        )

    return found


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


def delete_batch(name: str, retries: Retries) -> Flow[None]:
    """Delete a batch. If it is gone after an answer was lost, it has been deleted."""
    attempts = Attempts(retries)
    try:
        yield from send(Send(calls.delete(name).request), attempts)
    except ProblemError as problem:
        if problem.reason != GONE or not attempts.has_failed:
            raise


def revoke_key(key_id: str, retries: Retries) -> Flow[None]:
    """Delete an API key. If it is gone after an answer was lost, it has been deleted."""
    attempts = Attempts(retries)
    try:
        yield from send(Send(access_calls.revoke_key(key_id).request), attempts)
    except ProblemError as problem:
        if problem.status != HTTP_NOT_FOUND or not attempts.has_failed:
            raise


def cancel_batch(name: str, retries: Retries) -> Flow[Batch]:
    """Cancel a batch. If it is finished after an answer was lost, return its state."""
    call, attempts = calls.cancel(name), Attempts(retries)
    try:
        reply = yield from send(Send(call.request), attempts)
    except ProblemError as problem:
        if problem.reason != FINISHED or not attempts.has_failed:
            raise
        return (yield from send_call(calls.batch(name), retries))

    return call.read(reply)


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


def followed(
    job_id: str | None, batch: str | None, phase: str | None, describer: str | None
) -> Request:
    """Return the request for the events of a job, of a batch, or of all.

    Raises:
        TypeError: Both a job and a batch are given.
    """
    if job_id is not None and batch is not None:
        raise TypeError("give a job or a batch, not both")
    if job_id is not None:
        return calls.job_events(job_id)

    return calls.batch_events(batch) if batch else calls.all_events(phase, describer)


def events(
    request: Request, last_event_id: str | None, retries: Retries, *, is_endless: bool
) -> Flow[None]:
    """Give each Event; unless they are endless, until there can be no other one.

    If the stream breaks off, or ends because a replica stops, it is resumed behind the last event.

    Raises:
        ProblemError: The job or the batch is unknown, or the id of the last event is invalid.
        UnreachableError: The server did not respond.
    """
    attempts = Attempts(retries)
    while True:
        opened = calls.resumed(request, last_event_id)
        reply = yield from send(Open(opened), attempts)
        if reply.status == HTTP_NO_CONTENT:
            return

        reader = EventReader(last_event_id)
        cause = "the stream ended"
        try:
            while chunk := (yield NextChunk()):
                attempts.succeeded()
                for event in reader.feed(chunk):
                    yield Give(event)
                    if event.finished and not is_endless:
                        return
        except TransportError as error:
            cause = str(error)

        last_event_id = reader.last_event_id
        yield attempts.pause_after(UnreachableError(f"the events broke off: {cause}"))


def _wait(
    call: Call[T],
    deadline: Deadline,
    max_pause: float,
    retries: Retries,
    *,
    may_wait: bool = True,
) -> Flow[T]:
    """Return what is finished. The server waits for it if it can; otherwise, it is polled.

    The pauses are those between the beginnings of two requests. A server that waits for longer is
    therefore asked again at once, and one that does not know the preference is polled.
    """
    pause = FIRST_PAUSE_SECONDS

    while True:
        begun, attempts = time.monotonic(), Attempts(retries)
        seconds = deadline.wait_seconds() if may_wait else 0
        found = yield from _send_waiting(call, seconds, attempts)
        if found.finished:
            return found
        if deadline.has_passed:
            raise WaitTimeoutError(
                f"{call.request.path} is still {found.status} after {deadline.timeout:g} s; "
                "it continues"
            )

        # A proxy may have cut the request, and would cut others, too.
        may_wait = may_wait and not attempts.has_failed
        yield Sleep(max(0.0, begun + pause - time.monotonic()))
        pause = min(pause * PAUSE_GROWTH, max_pause)


def _send_waiting(call: Call[S], seconds: float, attempts: Attempts) -> Flow[S]:
    """Return what the server responds, which may wait for an outcome for some seconds."""
    return call.read((yield from send(Send(call.request.waiting(seconds)), attempts)))
