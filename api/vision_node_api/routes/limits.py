"""The route GET /limits, which reports limits on images, on jobs, on batches and on requests."""

from typing import Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from vision_node_contract.batch_objects import MAX_CUSTOM_ID_CHARACTERS
from vision_node_contract.batch_uploads import UPLOAD_SECONDS
from vision_node_contract.clients.bucket import TRANSFER_SECONDS
from vision_node_contract.clients.bucket_uploads import MAX_PARTS, PART_BYTES
from vision_node_contract.clients.kube import REQUEST_SECONDS
from vision_node_contract.images.formats import SUPPORTED

from ..owner_limits import OwnerLimits
from ..services.batches.failed_images import MAX_FAILED
from ..services.jobs import REPEATED_SECONDS, Jobs
from ..services.owner_quotas import HISTORY_SECONDS
from ..services.reusable_jobs import REUSE_SECONDS
from ..uploads.labels import MAX_LABELS
from ..uploads.minimum_rate import longest_upload_seconds
from ..uploads.submit_options import HIGHEST_PRIORITY, LOWEST_PRIORITY
from ..web.access import current_access
from .dependencies import JobsDep

router = APIRouter(tags=["jobs"])

KUBERNETES_REQUESTS = 4
"""Maximum number of requests to the API server for one submission. They look up the describer,
look up the idempotency key, create the ImageJob, and read it back."""

RESPONSE_SECONDS = TRANSFER_SECONDS + KUBERNETES_REQUESTS * REQUEST_SECONDS
"""Maximum number of seconds between the end of an upload and the response to it. This is the sum of
the time limits of all steps, without those of the history and of the search for a job to reuse."""


class LimitsOfOwner(BaseModel):
    """The limits of one owner. null means no limit."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    requests_per_second: int | None = Field(
        description="mean rate of requests; twice as many may come at the same time, and each "
        "replica of the API allows its share"
    )
    unfinished_jobs: int | None = Field(
        description="maximum number of jobs and batches that are queued or processing"
    )
    bytes_per_day: int | None = Field(description="maximum size of the images of a day in UTC")
    provider_tokens_per_day: int | None = Field(
        description="maximum number of tokens that providers charge in a day in UTC"
    )

    @classmethod
    def of(cls, limits: OwnerLimits) -> Self:
        """Return the limits as clients see them."""
        return cls(
            requests_per_second=limits.requests_per_second or None,
            unfinished_jobs=limits.unfinished_jobs or None,
            bytes_per_day=limits.bytes_per_day or None,
            provider_tokens_per_day=limits.provider_tokens_per_day or None,
        )


class LimitsResponse(BaseModel):
    """Response to GET /limits."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    image_bytes: int = Field(description="maximum size of an image in bytes")
    image_pixels: int = Field(
        description="maximum number of pixels in an image (width times height)"
    )
    media_types: list[str] = Field(
        description="media types of the accepted formats, which are recognized from the content"
    )
    formats: list[str] = Field(description="names of these formats, in the same order")
    unfinished_jobs: int = Field(
        description="maximum number of jobs that are queued or processing; beyond it, submissions "
        "are refused with 429"
    )
    image_jobs: int = Field(
        description="maximum number of jobs, finished ones included; near it, the oldest finished "
        "jobs are deleted early, and beyond it, submissions are refused with 429"
    )
    ttl_seconds: int = Field(
        description="maximum of the option ttlSeconds of POST /submit; at least defaultTtlSeconds"
    )
    default_ttl_seconds: int | None = Field(
        description="number of seconds for which a finished job is kept by default; null if it is "
        "kept forever"
    )
    labels: int = Field(description="maximum number of labels (the option labels)")
    min_priority: int = Field(description="minimum of the option priority of POST /submit")
    max_priority: int = Field(description="maximum of the option priority of POST /submit")
    history: bool = Field(
        description="whether there is a database with all finished jobs, which can be searched"
    )
    batch_images: int = Field(description="maximum number of images in a batch")
    batch_zip_bytes: int = Field(
        description="maximum size of a zip file in bytes; forms and tar streams have no limit"
    )
    batch_start_seconds: int = Field(
        description="number of seconds after which a batch is deleted if its upload is not complete"
    )
    retry_images: int = Field(
        description="maximum number of failed images of which POST /batches/{name}/retry creates a "
        "batch"
    )
    custom_id_characters: int = Field(description="maximum length of a customId in characters")
    upload_bytes_per_second: int = Field(
        description="minimum average rate of an upload, in bytes per second; slower ones are "
        "refused with 408"
    )
    upload_stall_seconds: float = Field(
        description="number of seconds for which an upload may send nothing"
    )
    upload_seconds: float = Field(
        description="maximum number of seconds for an upload of one image of the maximum size"
    )
    answer_seconds: float = Field(
        description="maximum number of seconds between the end of the request and the response"
    )
    authentication: bool = Field(
        description="whether clients need an API key or a token, as for this request"
    )
    owner_limits: LimitsOfOwner | None = Field(
        description="the limits of this client's owner; null without authentication. GET /usage "
        "says how much of them is used today"
    )


@router.get("/limits")
async def limits(jobs: JobsDep, request: Request) -> LimitsResponse:
    """Return the limits on images, on jobs, on batches and on the duration of requests."""
    settings, kept = jobs.settings, jobs.settings.job_kept
    uploads, owner = jobs.uploads.limits, current_access().owner

    return LimitsResponse(
        image_bytes=settings.max_image_bytes,
        image_pixels=settings.max_image_pixels,
        media_types=[known.media_type for known in SUPPORTED],
        formats=[known.name for known in SUPPORTED],
        unfinished_jobs=settings.max_unfinished_jobs,
        image_jobs=settings.max_imagejobs,
        ttl_seconds=settings.max_ttl_seconds,
        default_ttl_seconds=int(kept.total_seconds()) if kept is not None else None,
        labels=MAX_LABELS,
        min_priority=LOWEST_PRIORITY,
        max_priority=HIGHEST_PRIORITY,
        history=jobs.history is not None,
        batch_images=settings.max_batch_images,
        batch_zip_bytes=MAX_PARTS * PART_BYTES,
        batch_start_seconds=UPLOAD_SECONDS,
        retry_images=MAX_FAILED,
        custom_id_characters=MAX_CUSTOM_ID_CHARACTERS,
        upload_bytes_per_second=uploads.bytes_per_second,
        upload_stall_seconds=uploads.grace_seconds,
        upload_seconds=longest_upload_seconds(
            uploads.largest_bytes, uploads.bytes_per_second, uploads.grace_seconds
        ),
        answer_seconds=_answer_seconds(jobs),
        authentication=request.app.state.authentication is not None,
        owner_limits=LimitsOfOwner.of(settings.owner_limits.of(owner)) if owner else None,
    )


def _answer_seconds(jobs: Jobs) -> float:
    """Return the maximum number of seconds between the end of a submission and the response."""
    waits_for_history = REPEATED_SECONDS + HISTORY_SECONDS if jobs.history else 0
    return RESPONSE_SECONDS + REUSE_SECONDS + waits_for_history
