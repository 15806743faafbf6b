"""GET /limits: which images are accepted, and how long requests may take."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from vision_node_contract.clients.bucket import TRANSFER_SECONDS
from vision_node_contract.clients.kube import REQUEST_SECONDS
from vision_node_contract.images.formats import SUPPORTED

from ..uploads.minimum_rate import longest_upload_seconds
from .jobs import JobsDep

router = APIRouter(tags=["jobs"])

KUBERNETES_REQUESTS = 4
"""Maximum number of requests to the API server for one submit: look up the describer, look up the
idempotency key, create the ImageJob, read it back."""

RESPONSE_SECONDS = TRANSFER_SECONDS + KUBERNETES_REQUESTS * REQUEST_SECONDS
"""Maximum time for the response to a complete submit, if each step takes its maximum time."""


class LimitsResponse(BaseModel):
    """Response to GET /limits."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    image_bytes: int = Field(description="maximum bytes of an image")
    image_pixels: int = Field(description="maximum pixels of an image, width times height")
    media_types: list[str] = Field(
        description="accepted formats, which are recognized from the content"
    )
    formats: list[str] = Field(description="names of these formats, in the same order")
    upload_seconds: float = Field(description="maximum time for an upload of the maximum size")
    answer_seconds: float = Field(
        description="maximum time for the response to a complete submit, or to any other request"
    )


@router.get("/limits")
async def limits(jobs: JobsDep) -> LimitsResponse:
    """Return the limits for images, and how long requests may take."""
    settings = jobs.settings
    uploads = jobs.uploads.limits

    return LimitsResponse(
        image_bytes=settings.max_image_bytes,
        image_pixels=settings.max_image_pixels,
        media_types=[known.media_type for known in SUPPORTED],
        formats=[known.name for known in SUPPORTED],
        upload_seconds=longest_upload_seconds(
            uploads.largest_bytes, uploads.bytes_per_second, uploads.grace_seconds
        ),
        answer_seconds=RESPONSE_SECONDS,
    )
