"""Requests to the routes of the API, each with the function that reads its response."""

from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from ..images import ImageData
from ..models import (
    Batch,
    Callback,
    CreatedBatch,
    Describer,
    Description,
    Job,
    JobDetails,
    Json,
    RetriedJobs,
    StoredImage,
)
from ..options import (
    BatchOptions,
    JobFilter,
    Params,
    SubmitOptions,
    changes_of,
    document_of,
    filter_query_of,
    query_of,
)
from . import readers
from .messages import Call, Request

KEY_HEADER = "Idempotency-Key"
"""Header by which the server recognizes a repeated request."""


def submit(image: ImageData, options: SubmitOptions, key: str) -> Call[Job]:
    """Submit an image."""
    headers = {**image.headers, KEY_HEADER: key}
    request = Request("POST", "/submit", query_of(options), headers, image.data)
    return Call(request, readers.submitted_job)


def describe(image: ImageData, options: SubmitOptions, key: str) -> Call[Job | Description]:
    """Submit an image, and get its description if the server has waited for it."""
    return Call(submit(image, options, key).request, readers.described)


def job(job_id: str) -> Call[Job]:
    """Get the state of a job."""
    return Call(Request("GET", f"/status/{_segment(job_id)}"), readers.job)


def description(job_id: str) -> Call[Description]:
    """Get the description that a job has produced."""
    return Call(Request("GET", f"/result/{_segment(job_id)}"), readers.description_reply)


def cancel_job(job_id: str) -> Call[Job]:
    """Cancel a job that has not ended."""
    return Call(Request("POST", f"{_job(job_id)}/cancel"), readers.job)


def retry_job(job_id: str, changes: SubmitOptions, key: str) -> Call[Job]:
    """Describe the image of a finished job again, in a new job."""
    headers = {KEY_HEADER: key}
    request = Request("POST", f"{_job(job_id)}/retry", headers=headers, json=changes_of(changes))
    return Call(request, readers.submitted_job)


def delete_job(job_id: str) -> Call[None]:
    """Delete a job with its image and its result."""
    return Call(Request("DELETE", _job(job_id)), readers.nothing)


def redeliver(job_id: str | None, batch: str | None) -> Call[Callback]:
    """Send the message about the end of a job or a batch again.

    Raises:
        TypeError: Not exactly one of both is given.
    """
    if (job_id is None) == (batch is None):
        raise TypeError("give either a job or a batch")

    path = _job(job_id) if job_id is not None else _batch(batch or "")
    return Call(Request("POST", f"{path}/callback/redeliver"), readers.callback)


@dataclass(frozen=True, slots=True)
class FailedSelection:
    """Which failed jobs to retry. None means any."""

    reason: str
    describer: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    limit: int | None = None
    cursor: str | None = None

    def document(self) -> Json:
        """Return the selection as a JSON object."""
        found: Json = {
            "reason": self.reason,
            "describer": self.describer,
            "after": self.after.astimezone().isoformat() if self.after else None,
            "before": self.before.astimezone().isoformat() if self.before else None,
            "limit": self.limit,
            "cursor": self.cursor,
        }
        return {name: value for name, value in found.items() if value is not None}


def retry_failed(
    wanted: FailedSelection, changes: SubmitOptions, key: str | None
) -> Call[RetriedJobs]:
    """Describe the images of failed jobs again. Without a key, each is retried once."""
    body = wanted.document() | {"changes": changes_of(changes)}
    headers = {KEY_HEADER: key} if key is not None else {}
    request = Request("POST", "/jobs/retry", headers=headers, json=body)
    return Call(request, readers.retried_jobs)


def describers() -> Call[list[Describer]]:
    """List the Describers."""
    return Call(Request("GET", "/describers"), readers.describers)


def limits() -> Call[Json]:
    """Get the server's limits."""
    return Call(Request("GET", "/limits"), readers.document)


def jobs(wanted: JobFilter, cursor: str | None) -> Call[readers.JobPage]:
    """List jobs, beginning at a cursor."""
    return Call(Request("GET", "/jobs", _filter(wanted, cursor)), readers.job_page)


def job_details(job_id: str) -> Call[JobDetails]:
    """Get everything about a job."""
    return Call(Request("GET", f"/jobs/{_segment(job_id)}"), readers.job_details_reply)


def export(wanted: JobFilter, cursor: str | None, limit: int | None) -> Request:
    """Return the request for an export of jobs. Its response is a stream of lines."""
    params = _filter(wanted, cursor)
    if limit is not None:
        params["limit"] = str(limit)

    return Request("GET", "/jobs/export", params)


def create_batch(source: Json, options: BatchOptions, key: str) -> Call[CreatedBatch]:
    """Create a batch.

    Args:
        source: `prefix`, `manifest` or `upload` as a JSON object with this one member.
        options: How to describe the images.
        key: The Idempotency-Key.
    """
    body = source | document_of(options)
    request = Request("POST", "/batches", headers={KEY_HEADER: key}, json=body)
    return Call(request, readers.created_batch)


def upload_image(batch: str, custom_id: str, image: ImageData) -> Call[None]:
    """Upload an image of a batch that is not started yet. It replaces one with the same name."""
    # The slashes stay, because proxies treat encoded ones in different ways.
    path = f"{_batch(batch)}/images/{quote(custom_id, safe='/')}"
    content_type = image.headers["Content-Type"]
    return Call(
        Request("PUT", path, headers={"Content-Type": content_type}, content=image.data),
        readers.nothing,
    )


def stored_images(batch: str) -> Call[list[StoredImage]]:
    """List the images that were uploaded one by one."""
    return Call(Request("GET", f"{_batch(batch)}/images"), readers.stored_images)


def start(batch: str) -> Call[None]:
    """Start a batch whose images have been uploaded one by one."""
    return Call(Request("POST", f"{_batch(batch)}/start"), readers.nothing)


def batch(name: str) -> Call[Batch]:
    """Get the state of a batch."""
    return Call(Request("GET", _batch(name)), readers.batch)


def batches(cursor: str | None) -> Call[readers.BatchPage]:
    """List the batches, beginning at a cursor."""
    params = {} if cursor is None else {"cursor": cursor}
    return Call(Request("GET", "/batches", params), readers.batch_page)


def results(name: str, after: int, phase: str | None, *, follow: bool) -> Request:
    """Return the request for the results of a batch. Its response is a stream of lines."""
    params = {"after": str(after), "marks": "true", "follow": str(follow).lower()}
    if phase is not None:
        params["phase"] = phase

    return Request("GET", f"{_batch(name)}/results", params)


def job_events(job_id: str) -> Request:
    """Return the request for the events of a job. Its response is a stream."""
    return Request("GET", f"/jobs/{_segment(job_id)}/events")


def batch_events(name: str) -> Request:
    """Return the request for the events of a batch. Its response is a stream."""
    return Request("GET", f"{_batch(name)}/events")


def all_events(phase: str | None, describer: str | None) -> Request:
    """Return the request for the events of all jobs and batches. Its response is a stream."""
    filters = {"phase": phase, "describer": describer}
    return Request("GET", "/events", {name: it for name, it in filters.items() if it is not None})


def resumed(request: Request, last_event_id: str | None) -> Request:
    """Return a request for events that continues behind an event."""
    if last_event_id is None:
        return request
    return replace(request, headers={**request.headers, "Last-Event-ID": last_event_id})


def cancel(name: str) -> Call[Batch]:
    """End a batch. What has been described stays."""
    return Call(Request("POST", f"{_batch(name)}/cancel"), readers.batch)


def suspend(name: str) -> Call[Batch]:
    """Suspend a batch."""
    return Call(Request("POST", f"{_batch(name)}/suspend"), readers.batch)


def resume(name: str) -> Call[Batch]:
    """Resume a suspended batch."""
    return Call(Request("POST", f"{_batch(name)}/resume"), readers.batch)


def retry(name: str, key: str) -> Call[CreatedBatch]:
    """Create a batch of the images of another one that failed."""
    request = Request("POST", f"{_batch(name)}/retry", headers={KEY_HEADER: key})
    return Call(request, readers.created_batch)


def delete(name: str) -> Call[None]:
    """Delete a batch with its results."""
    return Call(Request("DELETE", _batch(name)), readers.nothing)


def _job(job_id: str) -> str:
    return f"/jobs/{_segment(job_id)}"


def _filter(wanted: JobFilter, cursor: str | None) -> Params:
    return filter_query_of(wanted) | ({} if cursor is None else {"cursor": cursor})


def _batch(name: str) -> str:
    return f"/batches/{_segment(name)}"


def _segment(text: str) -> str:
    """Return a text as one segment of a path.

    Raises:
        ValueError: No segment can be empty, or one or two dots.
    """
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} is no name")

    return quote(text, safe="")
