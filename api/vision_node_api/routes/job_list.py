"""The route GET /jobs, which lists and searches jobs."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from vision_node_contract.models.imagejob import Phase

from ..services.history.job_list import ListedJob, ListQuery
from .dependencies import PROBLEM, JobListDep
from .job_filter import FilterDep, SearchText

router = APIRouter(tags=["jobs"])

DEFAULT_PAGE = 50
"""Number of jobs on a page if the client sets no limit."""

MAX_PAGE = 200
"""Maximum number of jobs on a page. Each may take 50 kB of memory while it is read."""


class ListedError(BaseModel):
    """Why an image has no description."""

    reason: str
    message: str


class JobEntry(BaseModel):
    """A job, or an image of a batch, in a list. Times are in UTC."""

    job_id: str | None = Field(description="null for an image of a batch")
    status: Phase
    describer: str
    created_at: datetime | None = Field(
        description="for an image of a batch, when its result became searchable"
    )
    completed_at: datetime | None = Field(description="null for an image of a batch")
    caption: str | None = Field(description="its first 256 characters; null if there is no result")
    alt: str | None = Field(description="its first 256 characters; null if there is none")
    file_name: str | None
    error: ListedError | None
    batch: str | None = Field(description="name of the batch that the image belongs to")
    index: int | None = Field(description="index of the image in its batch")
    custom_id: str | None = Field(description="customId of the image in its batch")


class JobsResponse(BaseModel):
    """Response to GET /jobs."""

    jobs: list[JobEntry]
    next: str | None = Field(
        description="cursor of the next page; null at the end. A page may be short or empty "
        "although more follow"
    )


@router.get("/jobs", responses=dict.fromkeys((400, 422, 429, 501, 503), PROBLEM))
async def list_jobs(
    job_list: JobListDep,
    *,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE, description="maximum number of jobs on the page")
    ] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next` of the previous page")] = None,
    wanted: FilterDep,
    q: SearchText = None,
) -> JobsResponse:
    """List jobs from the newest to the oldest.

    With `q`, finished images are searched, including those of batches. Images that finished within
    the last two seconds may be missing. Without a database, the list has the jobs that are in etcd,
    and `q` and `batch` are answered with 501.

    A page may be short or empty although more jobs follow, because each request looks at a limited
    number of jobs: go on until `next` is null.
    """
    page = await job_list.page(ListQuery(limit, cursor, q, wanted))
    return JobsResponse(jobs=[_entry(found) for found in page.jobs], next=page.next)


def _entry(found: ListedJob) -> JobEntry:
    excerpt, error = found.excerpt, found.error

    return JobEntry(
        job_id=None if found.is_of_batch else found.name,
        status=found.phase,
        describer=found.describer,
        created_at=found.position.at,
        completed_at=excerpt.completed_at,
        caption=excerpt.caption,
        alt=excerpt.alt,
        file_name=excerpt.file_name,
        error=ListedError(reason=error.reason, message=error.message) if error else None,
        batch=found.name if found.is_of_batch else None,
        index=found.position.image_index if found.is_of_batch else None,
        custom_id=found.custom_id,
    )
