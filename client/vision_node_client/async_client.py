"""The asynchronous client."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from os import PathLike
from types import TracebackType
from typing import Self, Unpack

import httpx

from . import async_performer as performer
from .access_models import ApiKey, CreatedApiKey, Identity, Usage
from .api_key import KeySource
from .images import Image
from .models import (
    Batch,
    Callback,
    CreatedBatch,
    Describer,
    Description,
    Event,
    Job,
    JobDetails,
    Json,
    ListedBatch,
    ListedJob,
    Part,
    Phase,
    Result,
    ResultPhase,
    RetriedJobs,
    StoredImage,
)
from .options import BatchOptions, JobFilter, SubmitOptions
from .protocol import access_calls, calls, flows
from .protocol.batch_source import BatchSource, Files
from .protocol.flows import WAIT_SECONDS
from .protocol.retries import Retries, send_call
from .transport import REQUEST_SECONDS, client_options


class AsyncVisionNode:
    """A client for an event loop; close it, or use it in `async with`.

    Tasks of one event loop may share it.

    All methods raise ProblemError if the server refuses a request, UnreachableError if it does not
    respond, and ProtocolError if it is no vision-node server. Requests that are lost or refused
    because of overload are repeated, which never does anything twice.

    Args:
        url: URL of the server, such as `http://127.0.0.1:8000`.
        timeout: Longest pause within a request, in seconds.
        retries: How often requests are repeated, and when.
        api_key: The API key or the token of Kubernetes, or a function that returns the current one.
            By default, it is in the environment variable VISION_NODE_API_KEY; "" for none.
    """

    def __init__(
        self,
        url: str,
        timeout: float = REQUEST_SECONDS,
        retries: Retries | None = None,
        *,
        api_key: KeySource | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(**client_options(url, timeout, api_key))
        self._retries = retries or Retries()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def submit(self, image: Image, **options: Unpack[SubmitOptions]) -> Job:
        """Submit an image, and return its job, which is queued.

        With the option `reuse`, it may be an earlier job, which is often done.

        Args:
            image: Path, bytes, or a file that is open in binary mode.
            options: How to describe it; see SubmitOptions.

        Raises:
            OSError: The file can't be read.
        """
        return await performer.run(self._http, flows.submit(image, options, self._retries))

    async def wait(self, job: Job | str, timeout: float | None = WAIT_SECONDS) -> Job:
        """Return a job, or the job with an id, when it is done or has failed.

        Raises:
            WaitTimeoutError: It is neither after `timeout` seconds; with None, wait forever.
        """
        return await performer.run(
            self._http, flows.wait_for_job(_id_of(job), timeout, self._retries)
        )

    async def result(self, job: Job | str) -> Description:
        """Return the description that a job has produced.

        Raises:
            ProblemError: 409 if the job is unfinished or has failed.
        """
        return await performer.run(
            self._http, send_call(calls.description(_id_of(job)), self._retries)
        )

    async def describe(
        self,
        image: Image,
        timeout: float | None = WAIT_SECONDS,
        **options: Unpack[SubmitOptions],
    ) -> Description:
        """Submit an image, wait, and return its description.

        Raises:
            OSError: The file can't be read.
            JobFailedError: The image was not described.
            WaitTimeoutError: It was not described after `timeout` seconds; with None, wait forever.
        """
        return await performer.run(
            self._http, flows.describe(image, options, timeout, self._retries)
        )

    async def cancel_job(self, job: Job | str) -> Job:
        """Cancel a job that has not ended, and return it. It soon fails with `Cancelled`.

        Raises:
            ProblemError: 409 JobFinished if it has ended.
        """
        return await performer.run(
            self._http, send_call(calls.cancel_job(_id_of(job)), self._retries)
        )

    async def retry_job(
        self, job: Job | str, *, key: str | None = None, **changes: Unpack[SubmitOptions]
    ) -> Job:
        """Describe the image of a finished job again, and return the new job, which is queued.

        Args:
            job: The finished job.
            key: An Idempotency-Key. With the same one, a second call returns the same job.
            changes: What is to be different; see SubmitOptions. None: as before.

        Raises:
            ProblemError: 409 JobUnfinished; 410 ImageGone if the server no longer has the image.
        """
        call = calls.retry_job(_id_of(job), changes, key or flows.new_key())
        return await performer.run(self._http, send_call(call, self._retries))

    async def delete_job(self, job: Job | str) -> None:
        """Delete a job with its image and its result. It may be unfinished."""
        return await performer.run(
            self._http, send_call(calls.delete_job(_id_of(job)), self._retries)
        )

    async def retry_failed(
        self,
        reason: str,
        *,
        of_describer: str | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        key: str | None = None,
        **changes: Unpack[SubmitOptions],
    ) -> RetriedJobs:
        """Retry the jobs that have failed for a reason, from the newest to the oldest.

        Jobs that a newer one already retries are left out. If an error occurs after some have been
        retried, or the server takes no more jobs, the others are left to a further call.

        Args:
            reason: The reason, such as `ProviderUnavailable`.
            of_describer: Only jobs with this describer.
            after: Only jobs that were created at or after this time.
            before: Only jobs that were created before this time.
            limit: How many failed jobs to look at; None for all. With a limit, one request is sent,
                which may also end early because it looks for a limited time.
            cursor: Where to continue, from `RetriedJobs.next_cursor`.
            key: An Idempotency-Key. With the same one, a second call returns the same jobs. Without
                one, it returns only further ones; nothing is retried twice either way.
            changes: What is to be different; see SubmitOptions. None: as before.
        """
        wanted = calls.FailedSelection(reason, of_describer, after, before, limit, cursor)
        flow = flows.retry_failed(wanted, changes, key, self._retries)
        return await performer.run(self._http, flow)

    def jobs(self, **wanted: Unpack[JobFilter]) -> AsyncIterator[ListedJob]:
        """Iterate over jobs, the newest first.

        Args:
            wanted: Which jobs; see JobFilter.
        """
        return performer.iterate(self._http, flows.jobs(wanted, self._retries))

    async def job(self, job: Job | str) -> JobDetails:
        """Return everything about a job, or about an image of a batch (`<batch>.<index>`)."""
        return await performer.run(
            self._http, send_call(calls.job_details(_id_of(job)), self._retries)
        )

    def export(
        self, *, cursor: str | None = None, limit: int | None = None, **wanted: Unpack[JobFilter]
    ) -> AsyncIterator[JobDetails]:
        """Iterate over everything about jobs, the newest first, each once.

        Connections that are lost are resumed behind the last job.

        Args:
            cursor: Where to continue, from `JobDetails.cursor`.
            limit: Maximum number of jobs; None for all.
            wanted: Which jobs; see JobFilter.
        """
        return performer.iterate(self._http, flows.export(wanted, cursor, limit, self._retries))

    async def describers(self) -> list[Describer]:
        """Return the Describers that a submission may name."""
        return await performer.run(self._http, send_call(calls.describers(), self._retries))

    async def limits(self) -> Json:
        """Return the server's limits, such as `imageBytes`, as the server sent them."""
        return await performer.run(self._http, send_call(calls.limits(), self._retries))

    async def create_batch(
        self,
        *,
        files: Files | None = None,
        folder: str | PathLike[str] | None = None,
        prefix: str | None = None,
        manifest: str | None = None,
        **options: Unpack[BatchOptions],
    ) -> CreatedBatch:
        """Create a batch from one of the sources. Files and folders are uploaded.

        Args:
            files: Images by their customIds, or paths, whose names become customIds.
            folder: A folder on this machine; each image is called like its path in the folder.
            prefix: A folder in the inbox, such as `inbox/holiday/`.
            manifest: Key of a list of images in the inbox.
            options: How to describe the images; see BatchOptions.

        Raises:
            TypeError: Not exactly one source is given.
            ValueError: There are no images, or two have the same name.
            OSError: A file or the folder can't be read.
        """
        return await performer.run(
            self._http,
            flows.create_batch(
                BatchSource(files, folder, prefix, manifest), options, self._retries
            ),
        )

    async def create_upload(
        self, *, key: str | None = None, **options: Unpack[BatchOptions]
    ) -> CreatedBatch:
        """Create a batch whose images will be uploaded one by one. Then start it within a day.

        Args:
            key: An Idempotency-Key. With the same one, a second call returns the same batch.
            options: How to describe the images; see BatchOptions.
        """
        return await performer.run(self._http, flows.create_upload(options, key, self._retries))

    async def upload_image(self, batch: str, custom_id: str, image: Image) -> None:
        """Upload an image of a batch from `create_upload`.

        An image with the same customId is replaced.

        Raises:
            OSError: The file can't be read.
        """
        return await performer.run(
            self._http, flows.upload_image(batch, custom_id, image, self._retries)
        )

    def uploaded_images(self, batch: str) -> AsyncIterator[StoredImage]:
        """Iterate over the images of a batch that `upload_image` has uploaded."""
        return performer.iterate(self._http, flows.stored_images(batch, self._retries))

    async def start(self, batch: str) -> None:
        """Start a batch whose images have been uploaded. It gets no further images."""
        return await performer.run(self._http, send_call(calls.start(batch), self._retries))

    async def batch(self, name: str) -> Batch:
        """Return the state of a batch."""
        return await performer.run(self._http, send_call(calls.batch(name), self._retries))

    def batches(self) -> AsyncIterator[ListedBatch]:
        """Iterate over the batches, the newest first."""
        return performer.iterate(self._http, flows.batches(self._retries))

    async def wait_batch(self, name: str, timeout: float | None = None) -> Batch:
        """Return a batch when it is done or has failed.

        Raises:
            WaitTimeoutError: It is neither after `timeout` seconds; with None, wait forever.
        """
        return await performer.run(self._http, flows.wait_for_batch(name, timeout, self._retries))

    def result_parts(
        self,
        name: str,
        *,
        after: int = 0,
        phase: ResultPhase | None = None,
        follow: bool = False,
    ) -> AsyncIterator[Part]:
        """Iterate over the results of a batch, one part at a time.

        Connections that are lost are resumed behind the last part.

        Args:
            name: The batch.
            after: Number of parts to leave out, from `Part.after`.
            phase: `done` or `failed` for only these images.
            follow: Whether to wait for further results until the batch is finished.
        """
        return performer.iterate(
            self._http, flows.result_parts(name, after, phase, follow=follow, retries=self._retries)
        )

    async def results(
        self,
        name: str,
        *,
        after: int = 0,
        phase: ResultPhase | None = None,
        follow: bool = False,
    ) -> AsyncIterator[Result]:
        """Iterate over the results of a batch, each once. The arguments are as for result_parts."""
        async for part in self.result_parts(name, after=after, phase=phase, follow=follow):
            for result in part.results:
                yield result

    async def whoami(self) -> Identity:
        """Return who this client is to the server, and what it may do."""
        return await performer.run(self._http, send_call(access_calls.whoami(), self._retries))

    async def create_key(
        self,
        name: str,
        *,
        owner: str | None = None,
        scopes: Sequence[str] | None = None,
        expires: datetime | str | None = None,
    ) -> CreatedApiKey:
        """Create an API key, which only administrators may do.

        This request is never repeated. If its response is lost, find the key with `keys`, and
        revoke it.

        Args:
            name: Name of the key, for people.
            owner: To whom what is submitted with the key belongs; None: the name.
            scopes: `submit`, `read` or `admin`; None: the first two.
            expires: When the key expires, or a text such as `30d`; None: never.
        """
        call = access_calls.create_key(name, owner, scopes, expires)
        return await performer.run(self._http, send_call(call, self._retries))

    async def keys(self) -> list[ApiKey]:
        """Return all API keys, without their texts. Only administrators may."""
        return await performer.run(self._http, send_call(access_calls.keys(), self._retries))

    async def revoke_key(self, key_id: str) -> None:
        """Delete an API key, which only administrators may do. It is refused from then on."""
        return await performer.run(self._http, flows.revoke_key(key_id, self._retries))

    async def usage(
        self,
        *,
        owner: str | None = None,
        after: date | str | None = None,
        before: date | str | None = None,
    ) -> Usage:
        """Return what an owner has used, day by day and describer by describer.

        Args:
            owner: The owner, which only administrators may choose; None: the client's own.
            after: First day (UTC).
            before: The day after the last one.
        """
        call = access_calls.usage(owner, after, before)
        return await performer.run(self._http, send_call(call, self._retries))

    def events(
        self,
        job: Job | str | None = None,
        *,
        batch: str | None = None,
        last_event_id: str | None = None,
        phase: Phase | None = None,
        describer: str | None = None,
    ) -> AsyncIterator[Event]:
        """Iterate over the new states of a job, of a batch, or of all jobs and batches.

        The current state of one job or batch comes first, and its last one ends the iteration. The
        events of all begin now, and never end. Connections that are lost are resumed behind the
        last event. An event `reset` says that changes may have been missed.

        Args:
            job: A job, or its id.
            batch: The name of a batch.
            last_event_id: `Event.id` of the event after which to continue.
            phase: Of all events, only states with this phase.
            describer: Of all events, only those with this describer.

        Raises:
            TypeError: Both a job and a batch are given.
        """
        followed = flows.followed(_id_of(job) if job else None, batch, phase, describer)
        is_endless = job is None and batch is None
        return performer.iterate(
            self._http,
            flows.events(followed, last_event_id, self._retries, is_endless=is_endless),
        )

    async def redeliver(
        self, job: Job | str | None = None, *, batch: str | None = None
    ) -> Callback:
        """Send the message to the callback of a job or a batch again, and return its state.

        A message that was delivered or given up is sent as if it was new, and one that is pending
        is sent at once. This returns before it is sent.

        Args:
            job: A finished job, or its id.
            batch: The name of a finished batch.

        Raises:
            TypeError: Not exactly one of both is given.
            ProblemError: 409 NoCallback, or CallbackNotDue if it has not ended; 503
                CallbacksNotAvailable if the server sends nothing to callbacks.
        """
        call = calls.redeliver(_id_of(job) if job else None, batch)
        return await performer.run(self._http, send_call(call, self._retries))

    async def cancel(self, name: str) -> Batch:
        """End a batch, and return its state. What has been described stays."""
        return await performer.run(self._http, flows.cancel_batch(name, self._retries))

    async def suspend(self, name: str) -> Batch:
        """Suspend a batch until it is resumed, and return its state."""
        return await performer.run(self._http, send_call(calls.suspend(name), self._retries))

    async def resume(self, name: str) -> Batch:
        """Resume a suspended batch, and return its state."""
        return await performer.run(self._http, send_call(calls.resume(name), self._retries))

    async def retry(self, name: str, *, key: str | None = None) -> CreatedBatch:
        """Create a batch of the images of a finished one that failed.

        Args:
            name: The finished batch.
            key: An Idempotency-Key. With the same one, a second call returns the same batch.
        """
        return await performer.run(
            self._http, send_call(calls.retry(name, key or flows.new_key()), self._retries)
        )

    async def delete(self, name: str) -> None:
        """Delete a batch with its results, but not images in the inbox."""
        return await performer.run(self._http, flows.delete_batch(name, self._retries))


def _id_of(job: Job | str) -> str:
    return job.id if isinstance(job, Job) else job
