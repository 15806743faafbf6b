"""The response to a request that has created a job, after the wait that its client prefers."""

import logging
from functools import partial
from typing import Any, Literal

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from vision_node_contract.models.imagejob import ImageJob, Phase

from ..services.jobs import Jobs, Submitted
from ..web.problems import Problem
from ..web.waiting import APPLIED_HEADER, PreferredWait
from .job_failure import JobError
from .openapi.examples import JOB_ID, RESULT
from .result_response import ResultResponse

log = logging.getLogger(__name__)

_REUSED = Field(
    None,
    description="whether this is the job of an earlier submission; only present if the option "
    "reuse is true",
)


class SubmitResponse(BaseModel):
    """Response to a request that has created a job, or reuses one."""

    job_id: str = Field(description="id of the job, for GET /status/{job_id} and other routes")
    status: Phase
    reused: bool | None = _REUSED


class SubmittedResult(ResultResponse):
    """The result of the job, as GET /result/{job_id} has it. The job was done during the wait."""

    reused: bool | None = _REUSED


class SubmittedFailure(BaseModel):
    """Why the job has failed. It failed during the wait."""

    job_id: str
    status: Literal["failed"]
    error: JobError | None
    reused: bool | None = _REUSED


_DONE: dict[str, Any] = {
    "summary": "with `Prefer: wait=N`: the body of GET /result/{job_id}",
    "value": {"job_id": JOB_ID, "status": "done", **RESULT},
}

_FAILED: dict[str, Any] = {
    "summary": "with `Prefer: wait=N`: the job has failed",
    "value": {
        "job_id": JOB_ID,
        "status": "failed",
        "error": {
            "reason": "ImageUnreadable",
            "message": "The image is damaged.",
            "retryable": False,
            "retry_after_seconds": None,
        },
    },
}

_REUSE: dict[str, Any] = {
    "summary": "with `reuse=true`, and without `Prefer`: GET /result/{job_id} has the result",
    "value": {"job_id": JOB_ID, "status": "done", "reused": True},
}


def ended_response(description: str, *, may_reuse: bool) -> dict[str, Any]:
    """Return the OpenAPI description of the response 200, when the job has ended.

    Args:
        description: When there is such a response.
        may_reuse: Whether the job may be that of an earlier submission.
    """
    examples = {"done": _DONE, "failed": _FAILED, **({"reused": _REUSE} if may_reuse else {})}
    model = SubmittedResult | SubmittedFailure
    return {
        "model": model | SubmitResponse if may_reuse else model,
        "description": description,
        "content": {"application/json": {"examples": examples}},
        "headers": APPLIED_HEADER,
    }


async def submitted_response(
    request: Request, response: Response, jobs: Jobs, wait: PreferredWait, submitted: Submitted
) -> SubmitResponse | JSONResponse:
    """Return the response with a job, or with its outcome if the client preferred to wait for it.

    Args:
        request: The request, which has created or found the job.
        response: Gets the headers and the status of a response without the outcome.
        jobs: The service for jobs.
        wait: How long the client prefers to wait.
        submitted: The job.
    """
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
    job_id, phase = job.metadata.name, job.status.phase
    if phase == "failed":
        error = JobError.of(job.status.error)
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
