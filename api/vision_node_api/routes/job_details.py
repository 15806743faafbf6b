"""Everything about one job, as GET /jobs/{job_id} returns it and exports have it."""

from typing import Annotated, Any

from pydantic import BaseModel, Field
from vision_node_contract.models.description import Options, Result
from vision_node_contract.models.imagejob import ImageJob, ImageRef
from vision_node_contract.names import REUSE_LABEL

from ..services.batches.batch_images import BatchImage
from ..services.callbacks import CallbackState
from ..services.history.job_export import ExportedJob
from ..services.history.job_list import ListedJob
from ..services.jobs import CompleteJob, Jobs
from .callback_response import CallbackResponse, callback_response
from .job_failure import JobError
from .jobs import StatusResponse, image_status, status_response
from .schema_of import SchemaOf

NOT_INCLUDED = "ResultNotIncluded"
"""Reason in an export if a result is only in the bucket."""


class ImageDetails(BaseModel):
    """The image of a job, as far as it is known. For an image of a batch, all fields are null."""

    media_type: str | None = None
    width: int | None = Field(default=None, description="in pixels, as shown")
    height: int | None = Field(default=None, description="in pixels, as shown")
    size_bytes: int | None = None
    file_name: str | None = None
    sha256: str | None = Field(default=None, description="in hexadecimal")


class ResultError(BaseModel):
    """Why a result can't be read."""

    reason: str
    message: str


class JobDetails(StatusResponse):
    """Response to GET /jobs/{job_id}: what GET /status has, and everything else about the job."""

    labels: dict[str, str] = Field(
        description="labels of the ImageJob that say something to clients; none for images of "
        "batches"
    )
    priority: int
    options: Annotated[dict[str, Any], SchemaOf(Options)] = Field(
        description="requested properties of the description; of a batch's image, those of the "
        "batch, which the image may override"
    )
    image: ImageDetails
    retry_of: str | None = Field(description="id of the job that this one repeats")
    batch: str | None = Field(default=None, description="name of the batch of the image")
    index: int | None = Field(default=None, description="index of the image in its batch")
    custom_id: str | None = Field(default=None, description="customId of the image in its batch")
    result: Annotated[dict[str, Any], SchemaOf(Result)] | None = Field(
        default=None, description="the description, as GET /result has it; null if there is none"
    )
    result_error: ResultError | None = Field(
        default=None, description="why the result of a job that is done can't be read"
    )
    callback: CallbackResponse | None = Field(
        default=None,
        description="what became of the message to the callbackURL; null if the job has none, and "
        "in exports",
    )


def job_details(
    found: CompleteJob, jobs: Jobs, callback: CallbackState | None = None
) -> JobDetails:
    """Return everything about a job. `callback` is the state of its message."""
    job, error = found.job, found.result_error
    spec = job.spec

    return JobDetails(
        **status_response(job, jobs).model_dump(),
        labels=_public(job.metadata.labels),
        priority=spec.priority,
        options=_options(spec.options),
        image=_image(spec.image),
        retry_of=spec.retry_of,
        result=found.result.to_json() if found.result else None,
        result_error=ResultError(reason=error.reason, message=error.message) if error else None,
        callback=callback_response(callback),
    )


def image_details(job_id: str, image: BatchImage, jobs: Jobs) -> JobDetails:
    """Return everything about an image of a batch."""
    spec, line = image.batch.spec, image.line

    return JobDetails(
        **image_status(job_id, image, jobs.settings.job_kept).model_dump(),
        labels={},
        priority=spec.priority,
        options=_options(spec.options),
        image=ImageDetails(),
        retry_of=None,
        batch=image.batch.metadata.name,
        index=image.index,
        custom_id=line.custom_id if line else None,
        result=line.result if line else None,
    )


def exported_details(found: ExportedJob, jobs: Jobs) -> JobDetails:
    """Return everything about an exported job that is known without the bucket."""
    if found.job:
        details = job_details(_with_inline_result(found.job), jobs)
    else:
        details = _row_details(found)

    if details.status != "done" or details.result is not None:
        return details

    message = f"The export does not have this result. GET /result/{details.job_id} may have it."
    error = ResultError(reason=NOT_INCLUDED, message=message)
    return details.model_copy(update={"result_error": error})


def _with_inline_result(job: ImageJob) -> CompleteJob:
    stored = job.status.result
    return CompleteJob(job, stored.inline if stored and job.status.phase == "done" else None)


def _row_details(found: ExportedJob) -> JobDetails:
    """Return what the row of a batch's image has, or a row that this version can't read."""
    listed, line = found.listed, found.line

    return JobDetails(
        job_id=id_of(listed),
        status=listed.phase,
        describer=listed.describer,
        attempts=0,
        created_at=listed.position.at,
        started_at=None,
        completed_at=listed.excerpt.completed_at,
        expires_at=None,
        duration_seconds=None,
        error=_error(listed),
        waiting=None,
        labels={},
        priority=0,
        options={},
        image=ImageDetails(file_name=listed.excerpt.file_name),
        retry_of=None,
        batch=listed.name if listed.is_of_batch else None,
        index=listed.position.image_index if listed.is_of_batch else None,
        custom_id=listed.custom_id,
        result=line.result if line else None,
    )


def id_of(listed: ListedJob) -> str:
    """Return the id of a job, or `<batch>.<index>` for an image of a batch."""
    return f"{listed.name}.{listed.position.image_index}" if listed.is_of_batch else listed.name


def _error(listed: ListedJob) -> JobError | None:
    error = listed.error
    return JobError(reason=error.reason, message=error.message, retryable=False) if error else None


def _public(labels: dict[str, str]) -> dict[str, str]:
    """Return the labels without that by which the API finds a result to reuse."""
    return {name: value for name, value in labels.items() if name != REUSE_LABEL}


def _options(options: Options | None) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True, exclude_none=True) if options else {}


def _image(image: ImageRef) -> ImageDetails:
    return ImageDetails(**image.model_dump(include=set(ImageDetails.model_fields)))
