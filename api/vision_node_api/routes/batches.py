"""Routes for reading ImageBatches and their results. They are created with kubectl."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import Phase

from ..services.batches.batches import Batches
from ..services.batches.result_stream import ResultQuery
from ..web import json_lines
from ..web.json_lines import JsonLinesResponse
from ..web.problems import MEDIA_TYPE
from .jobs import WaitingReason, seconds_of, ttl_of

router = APIRouter(tags=["batches"])

AFTER_HEADER = "Vision-Node-After"
"""Header with the value of `after` for the next request."""

MAX_AFTER = 2**31 - 1
"""Maximum of `after`: the number of parts is an int32 in the CRD."""


class BatchSource(BaseModel):
    """Where the images of a batch come from. One of the two is set."""

    prefix: str | None = Field(description="folder in the inbox")
    manifest: str | None = Field(description="key of a list of images in the inbox")


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


async def get_batches(request: Request) -> Batches:
    """Return the application's service for ImageBatches.

    The function is async, because FastAPI would otherwise call it in a thread.
    """
    batches: Batches = request.app.state.batches
    return batches


BatchesDep = Annotated[Batches, Depends(get_batches)]

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}


@router.get("/batches/{name}", responses=dict.fromkeys((400, 404, 502, 503), _PROBLEM))
async def get_batch(name: str, request: Request, batches: BatchesDep) -> BatchResponse:
    """Return the state of an ImageBatch, and the numbers of its images."""
    batch = await batches.get(name)
    root_path = request.scope.get("root_path", "")
    links = BatchLinks(results=f"{root_path}/batches/{name}/results")

    return _batch_response(batch, batches.settings.job_kept, links)


@router.get(
    "/batches/{name}/results",
    response_class=Response,
    responses={
        200: {
            "description": "One line for each image, with its result or an error",
            "content": {json_lines.MEDIA_TYPE: {}},
            "headers": {
                AFTER_HEADER: {
                    "description": "Number of parts that existed at the start. As `after`, it "
                    "continues where a response without `follow` ended",
                    "schema": {"type": "integer"},
                }
            },
        },
        **dict.fromkeys((400, 404, 422, 429, 502, 503), _PROBLEM),
    },
)
async def get_batch_results(
    name: str,
    batches: BatchesDep,
    *,
    after: Annotated[
        int, Query(ge=0, le=MAX_AFTER, description="number of parts to leave out")
    ] = 0,
    follow: Annotated[
        bool,
        Query(
            description="keep the response open until the batch is finished; an empty line is sent "
            "every 15 s without results"
        ),
    ] = False,
    marks: Annotated[
        bool,
        Query(description='after each part, send a line {"after": n} that says where to resume'),
    ] = False,
) -> Response:
    """Stream the results of an ImageBatch, finished or not, as JSON Lines.

    Each line has index, customId, key, and result or error.
    """
    stream = await batches.results(name, ResultQuery(after, follow, marks))
    return JsonLinesResponse(stream.pieces(), {AFTER_HEADER: str(stream.known_parts)})


def _batch_response(batch: ImageBatch, kept: timedelta | None, links: BatchLinks) -> BatchResponse:
    spec, status, counts = batch.spec, batch.status, batch.counts
    waiting, failed = _true_condition(batch, "Waiting"), _true_condition(batch, "Failed")
    ended = status.completion_time if batch.finished else None
    stored = status.results.size_bytes if status.results else None
    ttl = ttl_of(spec, kept)

    return BatchResponse(
        name=batch.metadata.name,
        uid=batch.metadata.uid,
        status=status.phase,
        describer=spec.describer,
        source=BatchSource(prefix=spec.prefix, manifest=spec.manifest),
        images=BatchImages(total=counts.total, done=counts.done, failed=counts.failed),
        rate=_rate(status.rate),
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
        expires_at=ended + ttl if ended and ttl is not None else None,
        duration_seconds=seconds_of(status.duration),
        links=links,
    )


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
