"""Routes for submitting images, and for reading jobs and describers."""

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.types import Scope
from vision_node_contract.models.describer import DEPRECATED, FALLBACK_READY, Describer
from vision_node_contract.models.imagejob import ImageJob, JobError, Phase

from ..services.batches.batch_images import BatchImage, BatchImages
from ..services.jobs import Jobs, Submitted
from ..services.owners import is_visible
from ..services.time_to_live import batch_expires_at, job_expires_at
from ..uploads.form import read_upload
from ..uploads.openapi import submit_schema
from ..web.problems import MEDIA_TYPE, Problem
from ..web.waiting import APPLIED_HEADER, PreferredWait, WaitDep
from .result_response import ResultResponse

log = logging.getLogger(__name__)

router = APIRouter(tags=["jobs"])

MAX_IDEMPOTENCY_KEY = 255
"""Maximum length of an Idempotency-Key, in characters."""


class SubmitResponse(BaseModel):
    """Response to POST /submit."""

    job_id: str
    status: Phase
    reused: bool | None = Field(
        None,
        description="whether this is the job of an earlier submission; only present if the option "
        "reuse is true",
    )


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


class DescriberResponse(BaseModel):
    """A describer and its state, which may be a few seconds old."""

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


class DescribersResponse(BaseModel):
    """Response to GET /describers."""

    describers: list[DescriberResponse]


async def get_jobs(request: Request) -> Jobs:
    """Return the application's service for jobs.

    The function is async, because FastAPI would otherwise call it in a thread.
    """
    jobs: Jobs = request.app.state.jobs
    return jobs


async def get_batch_images(request: Request) -> BatchImages:
    """Return the application's service for images of ImageBatches."""
    images: BatchImages = request.app.state.batch_images
    return images


JobsDep = Annotated[Jobs, Depends(get_jobs)]
ImagesDep = Annotated[BatchImages, Depends(get_batch_images)]

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}

_EXAMPLES: dict[str, Any] = {
    "done": {
        "summary": "the body of GET /result/{job_id}",
        "value": {
            "job_id": "job-gm3tsnbqmq4dkztfge2dinzrmfrtazlb",
            "status": "done",
            "description": "Image Description:\nPhotograph of a castle.",
            "caption": "Photograph of a castle.",
            "alt": "Castle",
            "tags": ["castle"],
            "_generated_by": "vision-node-gpt",
        },
    },
    "failed": {
        "summary": "the job has failed",
        "value": {
            "job_id": "job-gm3tsnbqmq4dkztfge2dinzrmfrtazlb",
            "status": "failed",
            "error": {
                "reason": "ImageUnreadable",
                "message": "The image is damaged.",
                "retryable": False,
            },
        },
    },
}

_ENDED: dict[str, Any] = {
    "description": "The job has ended while the request waited (`Prefer: wait=N`), or the result "
    "of an earlier job is reused (`reuse=true`)",
    "content": {"application/json": {"schema": {"type": "object"}, "examples": _EXAMPLES}},
    "headers": APPLIED_HEADER,
}


@router.post(
    "/submit",
    status_code=202,
    response_model=SubmitResponse,
    response_model_exclude_none=True,
    openapi_extra=submit_schema(),
    responses={
        200: _ENDED,
        202: {"headers": APPLIED_HEADER},
        **dict.fromkeys((400, 408, 413, 415, 422, 429, 503), _PROBLEM),
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
    job = await _waited(submitted.job, jobs, wait)
    outcome = await _outcome(job, jobs) if wait.headers else None

    job_id = job.metadata.name
    location = f"{request.scope.get('root_path', '')}/status/{job_id}"
    headers = {"Location": location, **wait.headers}
    if outcome is not None:
        reused = {} if submitted.reused is None else {"reused": submitted.reused}
        return JSONResponse({**outcome, **reused}, headers=headers)

    response.headers.update(headers)
    if submitted.reused and job.status.phase == "done":
        response.status_code = 200
    return SubmitResponse(job_id=job_id, status=job.status.phase, reused=submitted.reused)


@router.get(
    "/status/{job_id}",
    response_model=StatusResponse,
    responses={200: {"headers": APPLIED_HEADER}, **dict.fromkeys((404, 502, 503), _PROBLEM)},
)
async def status(job_id: str, jobs: JobsDep, images: ImagesDep, wait: WaitDep) -> Response:
    """Return a job's status, which is queued, processing, done or failed.

    `<batch>.<index>` is an image of a batch, unless a job has this id. It is never waited for.
    """
    changes = jobs.cache.changes_of(job_id)
    try:
        job = await wait.until_finished(changes, partial(jobs.get, job_id))
        found = status_response(job, jobs)
    except Problem as problem:
        image = await images.find(job_id) if problem.reason == "JobNotFound" else None
        if image is None:
            raise
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
        **dict.fromkeys((404, 409, 410, 502, 503), _PROBLEM),
    },
)
async def result(job_id: str, jobs: JobsDep, images: ImagesDep) -> dict[str, Any]:
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


@router.get("/describers")
async def describers(jobs: JobsDep) -> DescribersResponse:
    """List the describers that a client can choose, with their states."""
    default = jobs.settings.default_describer
    return DescribersResponse(
        describers=[_describer_response(found, default) for found in jobs.describers.all()]
    )


async def _submit(request: Request, jobs: Jobs, idempotency_key: str | None) -> Submitted:
    """Receive an image, and return its job. The memory of the upload is free afterwards."""
    with jobs.uploads.admit() as slot:
        upload = await read_upload(request, slot, jobs.settings.max_image_bytes)
        return await jobs.submit(upload, idempotency_key)


async def _waited(job: ImageJob, jobs: Jobs, wait: PreferredWait) -> ImageJob:
    """Return a job that has been submitted, after the wait that the client prefers."""
    name = job.metadata.name
    try:
        return await wait.until_finished(
            jobs.cache.changes_of(name), partial(jobs.get, name), known=job
        )
    except Problem:
        # Whatever prevents the wait, the image was accepted, and must not be submitted again.
        return job


async def _outcome(job: ImageJob, jobs: Jobs) -> dict[str, Any] | None:
    """Return what a job has produced, or its error; None if there is neither yet."""
    job_id, phase, error = job.metadata.name, job.status.phase, job.status.error
    if phase == "failed":
        failure = error.model_dump(mode="json") if error else None
        return {"job_id": job_id, "status": phase, "error": failure}

    if phase != "done":
        return None

    try:
        return await jobs.result(job_id)
    except Problem as problem:
        # The client learns the problem from GET /result. As the response to a submission, it would
        # look as if the image had not been accepted.
        log.warning("the result of %s can't be sent at once: %s", job_id, problem)
        return None


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
        error=status.error,
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


def _describer_response(describer: Describer, default: str) -> DescriberResponse:
    name = describer.metadata.name
    status = describer.status
    ready = status.readiness

    return DescriberResponse(
        name=name,
        provider=describer.provider,
        model=describer.spec.model,
        ready=ready is not None and ready.status == "True",
        reason=ready.reason if ready else None,
        message=ready.message if ready else None,
        fallback=describer.spec.fallback,
        warnings=_warnings(describer),
        workers=status.workers,
        queued=status.queued,
        processing=status.processing,
        default=name == default,
    )


def seconds_of(duration: str | None) -> float | None:
    """Return the number of seconds in a duration such as `0.042s`, or None if it is invalid.

    The field is untrusted, so it may have any form.
    """
    try:
        return float((duration or "").removesuffix("s"))
    except ValueError:
        return None


def _warnings(describer: Describer) -> list[str]:
    """Return the messages about problems that should be fixed but do not stop the describer."""
    bad = {FALLBACK_READY: "False", DEPRECATED: "True"}
    conditions = describer.status.conditions
    return [found.message for found in conditions if bad.get(found.type) == found.status]
