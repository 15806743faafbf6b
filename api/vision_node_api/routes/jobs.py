"""The HTTP API."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.types import Scope
from vision_node_contract.models.describer import DEPRECATED, FALLBACK_READY, Describer
from vision_node_contract.models.imagejob import ImageJob, JobError, Phase

from ..services.jobs import Jobs
from ..uploads.form import read_upload
from ..uploads.submit_options import submit_schema
from ..watch.describer_cache import Describers
from ..web.problems import MEDIA_TYPE

router = APIRouter(tags=["jobs"])

MAX_IDEMPOTENCY_KEY = 255


class Submitted(BaseModel):
    """Answer to POST /submit."""

    job_id: str
    status: Phase


class Waiting(BaseModel):
    """Why a queued job's describer does not work."""

    reason: str
    message: str


class StatusAnswer(BaseModel):
    """Answer to GET /status/{job_id}; times are UTC, durations seconds."""

    job_id: str
    status: Phase
    describer: str
    attempts: int
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_seconds: float | None
    error: JobError | None
    waiting: Waiting | None


class DescriberAnswer(BaseModel):
    """A way of describing and how it fares, as of a few seconds ago."""

    name: str
    provider: str
    model: str | None
    ready: bool
    reason: str | None
    message: str | None
    fallback: str | None
    warnings: list[str]
    workers: int
    queued: int
    processing: int
    default: bool


class DescribersAnswer(BaseModel):
    """Answer to GET /describers."""

    describers: list[DescriberAnswer]


async def jobs_of(request: Request) -> Jobs:
    """Return what the application's start has made. Async, or FastAPI would take a thread each time."""
    jobs: Jobs = request.app.state.jobs
    return jobs


Injected = Annotated[Jobs, Depends(jobs_of)]

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}


@router.post(
    "/submit",
    status_code=202,
    openapi_extra=submit_schema(),
    responses=dict.fromkeys((400, 408, 413, 415, 422, 429, 503), _PROBLEM),
)
async def submit(
    request: Request,
    response: Response,
    jobs: Injected,
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> Submitted:
    """Take an image to be described, in the form field `file` or as the whole body.

    It is answered once the image is stored and its job is queued.
    """
    with jobs.uploads.admit() as place:
        upload = await read_upload(request, place, jobs.settings.max_image_bytes)
        job = await jobs.submit(upload, idempotency_key)
    response.headers["Location"] = (
        f"{request.scope.get('root_path', '')}/status/{job.metadata.name}"
    )
    return Submitted(job_id=job.metadata.name, status=job.status.phase)


@router.get(
    "/status/{job_id}", response_model=StatusAnswer, responses=dict.fromkeys((404, 503), _PROBLEM)
)
async def status(job_id: str, jobs: Injected) -> Response:
    """Tell where a job is: queued, processing, done or failed."""
    answer = _status(await jobs.get(job_id), jobs.describers)
    return Response(answer.model_dump_json(), media_type="application/json")


def known_status(scope: Scope, job_id: str) -> str | None:
    """Return the answer to GET /status as JSON if the job is known; `status` has all others."""
    jobs: Jobs = scope["app"].state.jobs
    try:
        job = jobs.cache.peek(job_id)
    except ValueError:
        return None
    return _status(job, jobs.describers).model_dump_json() if job else None


@router.get("/result/{job_id}", responses=dict.fromkeys((404, 409, 410, 502, 503), _PROBLEM))
async def result(job_id: str, jobs: Injected) -> dict[str, Any]:
    """Return the description of a job that is done; 409 while it isn't, with the error if it failed."""
    return await jobs.result(job_id)


@router.get("/describers")
async def describers(jobs: Injected) -> DescribersAnswer:
    """Tell which describers a submit may name, and how they fare."""
    default = jobs.settings.default_describer
    return DescribersAnswer(
        describers=[_describer(found, default) for found in jobs.describers.all()]
    )


def _status(job: ImageJob, describers: Describers) -> StatusAnswer:
    seen = job.status
    trouble = describers.trouble(job.spec.describer) if seen.phase == "queued" else None
    return StatusAnswer(
        job_id=job.metadata.name,
        status=seen.phase,
        describer=job.spec.describer,
        attempts=seen.attempts,
        created_at=job.metadata.creation_timestamp,
        started_at=seen.start_time,
        completed_at=seen.completion_time,
        duration_seconds=_seconds(seen.duration),
        error=seen.error,
        waiting=Waiting(reason=trouble.reason, message=trouble.message) if trouble else None,
    )


def _describer(found: Describer, default: str) -> DescriberAnswer:
    name, seen, ready = found.metadata.name, found.status, found.status.readiness
    return DescriberAnswer(
        name=name,
        provider=found.provider,
        model=found.spec.model,
        ready=ready is not None and ready.status == "True",
        reason=ready.reason if ready else None,
        message=ready.message if ready else None,
        fallback=found.spec.fallback,
        warnings=_warnings(found),
        workers=seen.workers,
        queued=seen.queued,
        processing=seen.processing,
        default=name == default,
    )


def _seconds(duration: str | None) -> float | None:
    """Return the number in `0.042s`; None for what somebody else has written there."""
    try:
        return float((duration or "").removesuffix("s"))
    except ValueError:
        return None


def _warnings(found: Describer) -> list[str]:
    """Return what somebody should see to, although images are described."""
    bad = {FALLBACK_READY: "False", DEPRECATED: "True"}
    return [said.message for said in found.status.conditions if bad.get(said.type) == said.status]
