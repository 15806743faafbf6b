"""Routes for submitting images, and for reading the states and the results of jobs."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.types import Scope
from vision_node_contract.models.imagejob import ImageJob, Phase, seconds_of

from ..services.batches.batch_images import BatchImage, BatchImages
from ..services.jobs import Jobs, Submitted, job_not_found
from ..services.owners import is_visible
from ..services.time_to_live import batch_expires_at, job_expires_at
from ..uploads.form import read_upload
from ..uploads.openapi import submit_schema
from ..web.problems import Problem
from ..web.waiting import APPLIED_HEADER, PreferredWait, WaitDep
from .dependencies import PROBLEM, BatchImagesDep, JobsDep
from .job_failure import JobError
from .result_response import ResultResponse
from .submitted import SubmitResponse, ended_response, submitted_response

router = APIRouter(tags=["jobs"])

MAX_IDEMPOTENCY_KEY = 255
"""Maximum length of an Idempotency-Key, in characters."""

LOOK_SECONDS = 1.0
"""Minimum number of seconds between two looks for an image of a batch. Whether it has ended is read
from the API server, and a batch changes each time that some of its images have ended."""


class WaitingReason(BaseModel):
    """The describer's problem that is keeping a job in the queue."""

    reason: str
    message: str


class StatusResponse(BaseModel):
    """Response to GET /status/{job_id}. Times are in UTC, and durations are in seconds."""

    job_id: str
    status: Phase
    describer: str
    attempts: int = Field(description="0 for an image of a batch, whose attempts are not counted")
    created_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    expires_at: datetime | None = Field(
        description="when the finished job will be deleted; null if it is kept forever"
    )
    duration_seconds: float | None
    error: JobError | None
    waiting: WaitingReason | None


_ENDED = ended_response(
    "The job has ended while the request waited (`Prefer: wait=N`), or the result of an earlier "
    "job is reused (`reuse=true`)",
    may_reuse=True,
)


@router.post(
    "/submit",
    status_code=202,
    response_model=SubmitResponse,
    response_model_exclude_none=True,
    openapi_extra=submit_schema(),
    responses={
        200: _ENDED,
        202: {"headers": APPLIED_HEADER},
        **dict.fromkeys((400, 408, 413, 415, 422, 429, 502, 503), PROBLEM),
    },
)
async def submit(
    request: Request,
    response: Response,
    jobs: JobsDep,
    wait: WaitDep,
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> SubmitResponse | JSONResponse:
    """Submit an image to be described. Send it in the form field `file` or as the whole body.

    The response is sent when the image has been stored and its job has been queued. With
    `Prefer: wait=N`, it is sent when the job has ended, or after N seconds. With the option
    `reuse`, the status is 200 if the result of an earlier job is reused.
    """
    submitted = await _submit(request, jobs, idempotency_key)
    return await submitted_response(request, response, jobs, wait, submitted)


@router.get(
    "/status/{job_id}",
    response_model=StatusResponse,
    responses={200: {"headers": APPLIED_HEADER}, **dict.fromkeys((404, 502, 503), PROBLEM)},
)
async def status(job_id: str, jobs: JobsDep, images: BatchImagesDep, wait: WaitDep) -> Response:
    """Return a job's status, which is queued, processing, done or failed.

    `<batch>.<index>` is an image of a batch, unless a job has this id.
    """
    changes = jobs.cache.changes_of(job_id)
    try:
        job = await wait.until_finished(changes, partial(jobs.get, job_id))
        found = status_response(job, jobs)
    except Problem as problem:
        image = await images.find(job_id) if problem.reason == "JobNotFound" else None
        if image is None:
            raise
        image = await _waited_image(job_id, image, images, wait)
        found = image_status(job_id, image, jobs.settings.job_kept)

    return Response(found.model_dump_json(), headers=wait.headers, media_type="application/json")


def cached_status(scope: Scope, job_id: str) -> str | None:
    """Return the JSON of the response to GET /status/{job_id}.

    Return None if the job is not cached, or if the client may not see it.
    """
    jobs: Jobs = scope["app"].state.jobs
    try:
        job = jobs.cache.peek(job_id)
    except ValueError:
        return None

    # The job of another owner takes as long as an unknown one.
    return status_json(job, jobs) if job and is_visible(job) else None


@router.get(
    "/result/{job_id}",
    response_model=None,
    responses={
        200: {"model": ResultResponse, "description": "The result"},
        **dict.fromkeys((404, 409, 410, 502, 503), PROBLEM),
    },
)
async def result(job_id: str, jobs: JobsDep, images: BatchImagesDep) -> dict[str, Any]:
    """Return the description that a job has produced.

    The response is 409 if the job is unfinished or has failed. `<batch>.<index>` is an image of a
    batch, unless a job has this id.
    """
    try:
        return await jobs.result(job_id)
    except Problem as problem:
        found = await images.result(job_id) if problem.reason == "JobNotFound" else None
        if found is None:
            raise
        return found


async def _submit(request: Request, jobs: Jobs, idempotency_key: str | None) -> Submitted:
    """Receive an image, and return its job. The memory of the upload is free afterwards."""
    with jobs.uploads.admit() as slot:
        upload = await read_upload(request, slot, jobs.settings.max_image_bytes)
        return await jobs.submit(upload, idempotency_key)


async def _waited_image(
    job_id: str, image: BatchImage, images: BatchImages, wait: PreferredWait
) -> BatchImage:
    """Return an image of a batch after the wait that the client prefers.

    Raises:
        Problem: as for `BatchImages.find`; 404 JobNotFound if the batch has been deleted.
    """

    async def look() -> BatchImage:
        found = await images.find(job_id)
        if found is None:
            raise job_not_found()
        return found

    changes = images.batches.cache.changes_of(image.metadata.name)
    return await wait.until_finished(changes, look, known=image, pause=LOOK_SECONDS)


def status_json(job: ImageJob, jobs: Jobs) -> str:
    """Return the JSON of the response to GET /status/{job_id} for a job."""
    return status_response(job, jobs).model_dump_json()


def image_status_json(job_id: str, image: BatchImage, kept: timedelta | None) -> str:
    """Return the JSON of the response to GET /status/{job_id} for an image of a batch."""
    return image_status(job_id, image, kept).model_dump_json()


def status_response(job: ImageJob, jobs: Jobs) -> StatusResponse:
    """Return the response to GET /status for a job."""
    status = job.status
    problem = jobs.describers.problem(job.spec.describer) if status.phase == "queued" else None

    return StatusResponse(
        job_id=job.metadata.name,
        status=status.phase,
        describer=job.spec.describer,
        attempts=status.attempts,
        created_at=job.metadata.creation_timestamp,
        started_at=status.start_time,
        completed_at=status.completion_time,
        expires_at=job_expires_at(job, jobs.settings.job_kept),
        duration_seconds=seconds_of(status.duration),
        error=JobError.of(status.error),
        waiting=WaitingReason(reason=problem.reason, message=problem.message) if problem else None,
    )


def image_status(job_id: str, image: BatchImage, kept: timedelta | None) -> StatusResponse:
    """Return the state of an image of a batch. `kept` is how long finished jobs are kept."""
    batch, error = image.batch, image.error
    waits = batch.status.true_condition("Waiting") if image.phase == "queued" else None

    return StatusResponse(
        job_id=job_id,
        status=image.phase,
        describer=batch.spec.describer,
        attempts=0,
        created_at=batch.metadata.creation_timestamp,
        started_at=batch.status.start_time,
        completed_at=None,
        expires_at=batch_expires_at(batch, kept),
        duration_seconds=None,
        error=JobError(reason=error.reason, message=error.message, retryable=False)
        if error
        else None,
        waiting=WaitingReason(reason=waits.reason, message=waits.message) if waits else None,
    )
