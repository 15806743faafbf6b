"""Read successful responses."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from ..errors import ProtocolError
from ..models import (
    Batch,
    Callback,
    Counts,
    CreatedBatch,
    Describer,
    Description,
    Failure,
    Job,
    JobDetails,
    Json,
    ListedBatch,
    ListedJob,
    NotRetriedJob,
    Refusal,
    Result,
    RetriedJob,
    RetriedJobs,
    StoredImage,
)
from .messages import Reply

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some of the batches."""

    batches: list[ListedBatch]
    next_cursor: str | None
    """Where the next page begins; None if this is the last one."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some of the jobs. There may be none although more follow."""

    jobs: list[ListedJob]
    next_cursor: str | None
    """Where the next page begins; None if this is the last one."""


def reader(read: Callable[[Json], T]) -> Callable[[Reply], T]:
    """Make a function that reads a JSON object into one that reads a response."""

    @wraps(read)
    def read_reply(reply: Reply) -> T:
        content = document(reply)
        try:
            return read(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _not_understood(reply) from error

    return read_reply


def document(reply: Reply) -> Json:
    """Return the JSON object in a response.

    Raises:
        ProtocolError: There is none.
    """
    try:
        found = json.loads(reply.content)
    except ValueError as error:
        raise _not_understood(reply) from error

    if not isinstance(found, dict):
        raise _not_understood(reply)
    return found


def nothing(_: Reply) -> None:
    """Ignore the body."""


@reader
def submitted_job(found: Json) -> Job:
    """Return the job in the response to a submission."""
    return Job(str(found["job_id"]), found["status"], reused=found.get("reused") is True)


@reader
def described(found: Json) -> Job | Description:
    """Return what the response to a submission has: a description or a job."""
    has_result = found["status"] == "done" and "description" in found
    return description(found) if has_result else job_state(found)


def job_state(found: Json) -> Job:
    """Return the state of a job."""
    return Job(
        str(found["job_id"]), found["status"], found.get("describer"), _failure(found.get("error"))
    )


job = reader(job_state)


@reader
def retried_jobs(found: Json) -> RetriedJobs:
    """Return the outcome of retrying failed jobs."""
    return RetriedJobs(
        tuple(RetriedJob(str(it["job_id"]), str(it["retry_of"])) for it in found["retried"]),
        tuple(
            NotRetriedJob(str(it["job_id"]), str(it["reason"]), str(it["detail"]))
            for it in found["failed"]
        ),
        found["next"],
    )


@reader
def callback(found: Json) -> Callback:
    """Return the state of the message to a callback."""
    return Callback(
        state=str(found["state"]),
        attempts=int(found["attempts"]),
        last_error=found.get("last_error"),
        next_attempt_at=found.get("next_attempt_at"),
        delivered_at=found.get("delivered_at"),
    )


def description(found: Json) -> Description:
    """Return the description in a result."""
    return Description(
        text=str(found["description"]),
        caption=found.get("caption"),
        alt=found.get("alt"),
        tags=tuple(str(tag) for tag in found.get("tags") or ()),
        text_in_image=found.get("text") or None,
        document=found,
    )


description_reply = reader(description)


@reader
def describers(found: Json) -> list[Describer]:
    """Return the Describers."""
    return [_describer(it) for it in found["describers"]]


@reader
def created_batch(found: Json) -> CreatedBatch:
    """Return a batch that has just been created."""
    refused = (found.get("refused") or {}).get("files") or ()
    return CreatedBatch(
        name=str(found["name"]),
        uid=str(found["uid"]),
        status=found["status"],
        images=int(found.get("images") or 0),
        skipped=int(found.get("skipped") or 0),
        refused=tuple(Refusal(it["file"], it["reason"], it["message"]) for it in refused),
    )


def stored_images(reply: Reply) -> list[StoredImage]:
    """Return the images that were uploaded one by one, which are in JSON Lines.

    Raises:
        ProtocolError: A line is no image. The last one may say why the list is not complete.
    """
    try:
        lines = [json.loads(line) for line in reply.content.splitlines()]
        return [StoredImage(str(it["customId"]), int(it["size"])) for it in lines]
    except (KeyError, TypeError, ValueError) as error:
        raise _not_understood(reply) from error


@reader
def job_page(found: Json) -> JobPage:
    """Return a page of jobs."""
    return JobPage([_listed_job(it) for it in found["jobs"]], found.get("next"))


def _listed_job(found: Json) -> ListedJob:
    return ListedJob(
        id=str(found["job_id"] or f"{found['batch']}.{found['index']}"),
        status=found["status"],
        describer=str(found["describer"]),
        created_at=found.get("created_at"),
        caption=found.get("caption"),
        error=_failure(found.get("error")),
        document=found,
    )


def job_details(found: Json) -> JobDetails:
    """Return everything about a job."""
    answer = found.get("result")
    return JobDetails(
        id=str(found["job_id"]),
        status=found["status"],
        describer=str(found["describer"]),
        created_at=found.get("created_at"),
        description=description(answer) if answer is not None else None,
        error=_failure(found.get("error")),
        result_error=_failure(found.get("result_error")),
        cursor=found.get("cursor"),
        document=found,
    )


job_details_reply = reader(job_details)


@reader
def batch_page(found: Json) -> BatchPage:
    """Return a page of batches."""
    return BatchPage([_listed_batch(it) for it in found["batches"]], found.get("next"))


def _listed_batch(found: Json) -> ListedBatch:
    return ListedBatch(
        name=str(found["name"]),
        status=found["status"],
        describer=str(found["describer"]),
        images=_counts(found["images"]),
        created_at=found.get("created_at"),
        document=found,
    )


def batch_state(found: Json) -> Batch:
    """Return the state of a batch."""
    return Batch(
        name=str(found["name"]),
        uid=str(found["uid"]),
        status=found["status"],
        images=_counts(found["images"]),
        rate=found.get("rate"),
        remaining_seconds=found.get("remaining_seconds"),
        suspended=bool(found.get("suspended")),
        parts=int((found.get("results") or {}).get("parts") or 0),
        error=_failure(found.get("error")),
        waiting=_failure(found.get("waiting")),
        document=found,
    )


batch = reader(batch_state)


def result(found: Json) -> Result:
    """Return a line of the results."""
    answer = found.get("result")
    return Result(
        index=found.get("index"),
        custom_id=found.get("customId"),
        description=description(answer) if answer is not None else None,
        error=_failure(found.get("error")),
        document=found,
    )


def _describer(found: Json) -> Describer:
    return Describer(
        name=str(found["name"]),
        provider=str(found["provider"]),
        model=found.get("model"),
        ready=bool(found["ready"]),
        reason=found.get("reason"),
        message=found.get("message"),
        default=bool(found["default"]),
    )


def _counts(found: Json) -> Counts:
    return Counts(int(found["total"]), int(found["done"]), int(found["failed"]))


def _failure(found: Any) -> Failure | None:
    return Failure(str(found["reason"]), str(found["message"])) if found else None


def _not_understood(reply: Reply) -> ProtocolError:
    return ProtocolError(
        f"{reply.url} did not respond like vision-node; check the URL of the server"
    )
