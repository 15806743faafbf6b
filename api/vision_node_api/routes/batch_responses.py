"""Responses about ImageBatches, and how they are made."""

import math
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import Phase, seconds_of

from ..services.callbacks import CallbackState
from ..services.time_to_live import batch_expires_at
from ..watch.batch_summary import BatchSummary, SourceKind
from .callback_response import CallbackResponse, callback_response
from .jobs import WaitingReason


class BatchUpload(BaseModel):
    """An upload through the API."""

    complete: bool = Field(description="whether all images have been uploaded")
    images: int | None = Field(description="number of images; null until they have been listed")


class BatchSource(BaseModel):
    """Where the images of a batch come from. One of the three is set."""

    prefix: str | None = Field(description="folder in the inbox")
    manifest: str | None = Field(description="key of a list of images in the inbox")
    upload: BatchUpload | None = Field(description="images that were uploaded for this batch")


class BatchImages(BaseModel):
    """Numbers of images."""

    total: int = Field(description="0 until the images have been listed")
    done: int
    failed: int


class BatchUsage(BaseModel):
    """Numbers of tokens."""

    input_tokens: int
    output_tokens: int


class BatchError(BaseModel):
    """Why a batch has failed."""

    reason: str
    message: str


class BatchFailure(BaseModel):
    """An image that failed."""

    index: int
    custom_id: str
    reason: str
    message: str


class BatchCondition(BaseModel):
    """A condition of the ImageBatch's status."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_at: datetime


class BatchResultsInfo(BaseModel):
    """The results that exist so far."""

    parts: int = Field(description="number of parts; the maximum of `after`")
    size_bytes: int


class BatchLinks(BaseModel):
    """Paths of related resources."""

    results: str


class BatchResponse(BaseModel):
    """Response to GET /batches/{name}. Times are in UTC, and durations are in seconds."""

    name: str
    uid: str
    status: Phase
    describer: str
    source: BatchSource
    images: BatchImages
    rate: float | None = Field(
        description="images per second just before the last change of the status or, at the end, "
        "on average"
    )
    remaining_seconds: float | None = Field(
        description="how long the remaining images take at this rate; 0 once the batch is "
        "finished; null if it is unknown, or while the batch is suspended or waits"
    )
    usage: BatchUsage | None = Field(description="tokens that the provider has charged")
    suspended: bool
    waiting: WaitingReason | None = Field(
        description="why no images can be described at present; the batch continues by itself"
    )
    error: BatchError | None
    failures: list[BatchFailure] = Field(
        description="up to ten of the images that failed; the results have all of them"
    )
    conditions: list[BatchCondition]
    results: BatchResultsInfo
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None = Field(
        description="when the finished batch will be deleted; null if it is kept forever"
    )
    duration_seconds: float | None
    links: BatchLinks
    callback: CallbackResponse | None = Field(
        default=None,
        description="what became of the message to the callbackURL; null if the batch has none, "
        "and in events",
    )


class BatchEntry(BaseModel):
    """A batch in a list. Times are in UTC."""

    name: str
    status: Phase
    describer: str
    source: SourceKind | None = Field(description="which source of images the batch has")
    images: BatchImages
    created_at: datetime | None
    completed_at: datetime | None


class BatchesResponse(BaseModel):
    """Response to GET /batches."""

    batches: list[BatchEntry]
    next: str | None = Field(description="cursor of the next page; null on the last page")


def batch_entry(batch: BatchSummary) -> BatchEntry:
    """Return what a list shows of a batch."""
    return BatchEntry(
        name=batch.name,
        status=batch.phase,
        describer=batch.describer,
        source=batch.source,
        images=_images(batch),
        created_at=batch.created_at,
        completed_at=batch.completed_at,
    )


def batch_response(
    batch: ImageBatch,
    kept: timedelta | None,
    root_path: str,
    callback: CallbackState | None = None,
) -> BatchResponse:
    """Return the state of an ImageBatch.

    Args:
        batch: The ImageBatch.
        kept: How long finished batches are kept if their spec doesn't say so; None means forever.
        root_path: Path below which clients reach the API.
        callback: The state of the message to its callback.
    """
    spec, status = batch.spec, batch.status
    waiting, failed = _true_condition(batch, "Waiting"), _true_condition(batch, "Failed")
    stored = status.results.size_bytes if status.results else None

    return BatchResponse(
        name=batch.metadata.name,
        uid=batch.metadata.uid,
        status=status.phase,
        describer=spec.describer,
        source=_source(batch),
        images=_images(BatchSummary.of(batch)),
        rate=_rate(status.rate),
        remaining_seconds=_remaining_seconds(batch),
        usage=BatchUsage(**dict(status.usage)) if status.usage else None,
        suspended=spec.suspend and not batch.finished,
        waiting=WaitingReason(**waiting) if waiting and not batch.finished else None,
        error=BatchError(**failed) if failed else None,
        failures=[BatchFailure(**dict(it)) for it in status.failures],
        conditions=_conditions(batch),
        results=BatchResultsInfo(parts=batch.index, size_bytes=stored or 0),
        created_at=batch.metadata.creation_timestamp,
        started_at=status.start_time,
        completed_at=status.completion_time,
        expires_at=batch_expires_at(batch, kept),
        duration_seconds=seconds_of(status.duration),
        links=BatchLinks(results=f"{root_path}/batches/{batch.metadata.name}/results"),
        callback=callback_response(callback),
    )


def _source(batch: ImageBatch) -> BatchSource:
    spec, upload = batch.spec, batch.spec.upload
    return BatchSource(
        prefix=spec.prefix,
        manifest=spec.manifest,
        upload=BatchUpload(complete=upload.complete, images=batch.total or None)
        if upload
        else None,
    )


def _images(batch: BatchSummary) -> BatchImages:
    counts = batch.images
    return BatchImages(total=counts.total, done=counts.done, failed=counts.failed)


def _true_condition(batch: ImageBatch, kind: str) -> dict[str, str] | None:
    """Return reason and message of a condition if it is true; otherwise, return None."""
    found = batch.status.true_condition(kind)
    return {"reason": found.reason, "message": found.message} if found else None


def _conditions(batch: ImageBatch) -> list[BatchCondition]:
    return [
        BatchCondition(
            type=it.type,
            status=it.status,
            reason=it.reason,
            message=it.message,
            last_transition_at=it.last_transition_time,
        )
        for it in batch.status.conditions
    ]


def _rate(text: str | None) -> float | None:
    """Return the number in a rate such as `153/s`, or None if there is none."""
    try:
        return float((text or "").removesuffix("/s"))
    except ValueError:
        return None


def _remaining_seconds(batch: ImageBatch) -> float | None:
    if batch.finished:
        return 0.0

    rate, left = _rate(batch.status.rate), batch.total - batch.counts.ended
    stands_still = batch.spec.suspend or batch.status.true_condition("Waiting")
    if not batch.total or not rate or not math.isfinite(rate) or rate < 0 or stands_still:
        return None

    return round(max(left, 0) / rate, 1)
