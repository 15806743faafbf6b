"""Routes that act on jobs: cancel, retry and delete them."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from ..services.history.job_filter import JobFilter
from ..services.history.job_list import ListQuery
from ..services.jobs import Submitted
from ..uploads.openapi import retry_options_schema, retry_parameters
from ..uploads.retry_options import read_json_object, read_retry_options
from ..uploads.retry_selection import RetrySelection
from ..web.waiting import APPLIED_HEADER, WaitDep
from .dependencies import PROBLEM, FailedRetryDep, JobControlDep, JobRetryDep, JobsDep
from .jobs import MAX_IDEMPOTENCY_KEY, StatusResponse, status_response
from .submitted import SubmitResponse, ended_response, submitted_response

router = APIRouter(tags=["jobs"])


class RetriedJob(BaseModel):
    """A job that was created to repeat another."""

    job_id: str
    retry_of: str


class NotRetriedJob(BaseModel):
    """A job that was not retried, and why."""

    job_id: str
    reason: str
    detail: str


class RetryFailedResponse(BaseModel):
    """Response to POST /jobs/retry."""

    retried: list[RetriedJob]
    failed: list[NotRetriedJob] = Field(description="failed jobs that could not be retried")
    next: str | None = Field(description="`cursor` of the next request; null if there is no more")


KeyHeader = Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)]

_OPTIONS = retry_options_schema()
_SELECTION = RetrySelection.model_json_schema()
_SELECTION["properties"]["changes"] = _OPTIONS


def _body(schema: dict[str, Any], *kinds: str, required: bool) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind in kinds}
    return {"requestBody": {"required": required, "content": content}}


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@router.post(
    "/jobs/retry",
    openapi_extra=_body(_SELECTION, "application/json", required=True),
    responses=dict.fromkeys((400, 408, 413, 415, 422, 429, 502, 503), PROBLEM),
)
async def retry_failed(
    request: Request,
    jobs: JobsDep,
    failed: FailedRetryDep,
    idempotency_key: KeyHeader = None,
) -> RetryFailedResponse:
    """Retry the single jobs that have failed for a reason, from the newest to the oldest.

    Jobs that a newer job already retries are left out. If the response has `next`, send the request
    again with it as `cursor`, also if no jobs were found: each request looks for a limited time.
    """
    with jobs.uploads.admit() as slot:
        selection = RetrySelection.read(await read_json_object(request, slot))
    changes = selection.options(jobs.settings.max_ttl_seconds)
    wanted = JobFilter(
        phases=frozenset({"failed"}),
        reason=selection.reason,
        describer=selection.describer,
        after=selection.after,
        before=selection.before,
    )
    query = ListQuery(selection.limit, selection.cursor, wanted=wanted)
    report = await failed.run(query, changes, idempotency_key)

    return RetryFailedResponse(
        retried=[RetriedJob(job_id=it.job_id, retry_of=it.retry_of) for it in report.retried],
        failed=[
            NotRetriedJob(job_id=it.job_id, reason=it.problem.reason, detail=it.problem.detail)
            for it in report.failed
        ],
        next=report.next,
    )


@router.post(
    "/jobs/{job_id}/cancel",
    responses=dict.fromkeys((403, 404, 409, 502, 503), PROBLEM),
)
async def cancel_job(job_id: str, jobs: JobsDep, control: JobControlDep) -> StatusResponse:
    """Cancel a job that has not ended. It soon fails with the reason Cancelled.

    This can't be undone, but the job can be retried then. The response is that of GET /status.
    """
    return status_response(await control.cancel(job_id), jobs)


@router.post(
    "/jobs/{job_id}/retry",
    status_code=202,
    response_model_exclude_none=True,
    response_model=SubmitResponse,
    openapi_extra={
        **_body(_OPTIONS, "application/json", *_FORMS, required=False),
        "parameters": retry_parameters(),
    },
    responses={
        200: ended_response(
            "The new job has ended while the request waited (`Prefer: wait=N`)", may_reuse=False
        ),
        202: {"headers": APPLIED_HEADER},
        **dict.fromkeys((400, 404, 408, 409, 410, 413, 415, 422, 429, 502, 503), PROBLEM),
    },
)
async def retry_job(
    job_id: str,
    request: Request,
    response: Response,
    jobs: JobsDep,
    retry: JobRetryDep,
    wait: WaitDep,
    idempotency_key: KeyHeader = None,
) -> SubmitResponse | JSONResponse:
    """Describe the image of a finished job again, in a new job with a copy of the image.

    `<batch>.<index>` is an image of a batch, unless a job has this id. What is to be different is
    in the query or in the body, which has precedence. With `Prefer: wait=N`, the response is sent
    when the new job has ended, or after N seconds, as for POST /submit.
    """
    with jobs.uploads.admit() as slot:
        changes = await read_retry_options(request, slot, jobs.settings.max_ttl_seconds)
        job = await retry.retry(job_id, changes, idempotency_key, slot)

    return await submitted_response(request, response, jobs, wait, Submitted(job))


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    responses=dict.fromkeys((403, 404, 409, 502, 503), PROBLEM),
)
async def delete_job(job_id: str, control: JobControlDep) -> Response:
    """Delete a job with its image and its result. It may be unfinished, or only in the history.

    An image in the inbox stays.
    """
    await control.delete(job_id)
    return Response(status_code=204)
