"""What is sent to the callback of a job or a batch that has ended.

A message has the form that Standard Webhooks recommends
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): the
type of the event, its time, and data. It depends only on what is archived, so that each attempt
sends the same bytes.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from ..models.description import Result
from ..models.imagebatch import ImageBatch
from ..models.imagejob import ImageJob, JobError, Phase, seconds_of
from ..names import GROUP

Event = Literal["imagejob.done", "imagejob.failed", "imagebatch.done", "imagebatch.failed"]
"""The types of messages."""

MAX_RESULT_BYTES = 64 << 10
"""Maximum length of a result in a message, in bytes of JSON. Receivers usually accept some hundred
kilobytes, and larger results can be read with GET /result/{job_id}."""


class _Ended(BaseModel):
    """What messages about jobs and about batches have in common. Times are in UTC."""

    status: Phase
    describer: str
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None = Field(
        description="when the job or batch will be deleted; null if it is kept forever"
    )
    duration_seconds: float | None
    labels: dict[str, str] = Field(description="labels that the client has chosen")


class JobData(_Ended):
    """A job that has ended: what GET /status/{job_id} says, its labels and its result."""

    job_id: str
    attempts: int
    error: JobError | None = Field(description="why the job has failed")
    result: dict[str, Any] | None = Field(
        description="the result, as GET /result/{job_id} returns it"
    )
    result_omitted: bool = Field(
        description="whether there is a result that has more than 64 KiB, or is not in the "
        "database: read it with GET /result/{job_id}"
    )


class BatchError(BaseModel):
    """Why a batch has failed."""

    reason: str
    message: str


class BatchCounts(BaseModel):
    """Numbers of images."""

    total: int
    done: int
    failed: int


class BatchData(_Ended):
    """A batch that has ended. GET /batches/{name}/results has its results."""

    name: str
    uid: str
    images: BatchCounts
    error: BatchError | None = Field(description="why the batch has failed")


class JobMessage(BaseModel):
    """The message about a job that has ended."""

    type: Literal["imagejob.done", "imagejob.failed"]
    timestamp: datetime = Field(description="when the job ended")
    data: JobData


class BatchMessage(BaseModel):
    """The message about a batch that has ended."""

    type: Literal["imagebatch.done", "imagebatch.failed"]
    timestamp: datetime = Field(description="when the batch ended")
    data: BatchData


def job_message(
    job: ImageJob, result_text: str | None, ended: datetime, kept: timedelta | None
) -> JobMessage:
    """Return the message about a job.

    Args:
        job: The finished ImageJob.
        result_text: Its result as JSON; None if it has none, or if it is too large.
        ended: When it ended. The time in its status is untrusted.
        kept: How long finished jobs are kept if their spec doesn't say so; None means forever.
    """
    status, name = job.status, job.metadata.name
    result = _result(job, result_text)
    data = JobData(
        **_common(job, ended, kept),
        job_id=name,
        attempts=status.attempts,
        error=status.error if status.phase == "failed" else None,
        result=result,
        result_omitted=status.phase == "done" and result is None,
    )
    kind: Event = "imagejob.done" if status.phase == "done" else "imagejob.failed"
    return JobMessage(type=kind, timestamp=ended, data=data)


def batch_message(batch: ImageBatch, ended: datetime, kept: timedelta | None) -> BatchMessage:
    """Return the message about a finished ImageBatch. `ended` and `kept` are as for a job."""
    counts, failed = batch.counts, batch.status.true_condition("Failed")
    data = BatchData(
        **_common(batch, ended, kept),
        name=batch.metadata.name,
        uid=batch.metadata.uid,
        images=BatchCounts(total=counts.total, done=counts.done, failed=counts.failed),
        error=BatchError(reason=failed.reason, message=failed.message) if failed else None,
    )
    kind: Event = "imagebatch.done" if batch.status.phase == "done" else "imagebatch.failed"
    return BatchMessage(type=kind, timestamp=ended, data=data)


def _common(
    about: ImageJob | ImageBatch, ended: datetime, kept: timedelta | None
) -> dict[str, Any]:
    meta, spec, status = about.metadata, about.spec, about.status
    stay = spec.ttl(kept)

    return {
        "status": status.phase,
        "describer": spec.describer,
        "created_at": meta.creation_timestamp,
        "started_at": status.start_time,
        "completed_at": status.completion_time,
        "expires_at": ended + stay if stay is not None else None,
        "duration_seconds": seconds_of(status.duration),
        "labels": {name: it for name, it in meta.labels.items() if not _is_own(name)},
    }


def _result(job: ImageJob, text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > MAX_RESULT_BYTES or job.status.phase != "done":
        return None

    try:
        result = Result.model_validate_json(text)
    except ValueError:
        return None  # GET /result says why it can't be read

    return {"job_id": job.metadata.name, "status": job.status.phase, **result.to_json()}


def _is_own(label: str) -> bool:
    """Return whether a label is one of vision-node's, not of the client."""
    return label.rpartition("/")[0].endswith(GROUP)
