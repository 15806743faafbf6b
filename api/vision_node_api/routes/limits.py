"""GET /limits: what may be submitted and how long it may take, for the page and for clients."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from vision_node_contract.clients.bucket import TRANSFER_SECONDS
from vision_node_contract.clients.kube import REQUEST_SECONDS
from vision_node_contract.images.formats import SUPPORTED

from ..services.jobs import Jobs
from ..uploads.minimum_rate import longest_upload_seconds
from .jobs import Injected

router = APIRouter(tags=["jobs"])

KUBERNETES_REQUESTS = 4
"""Maximum for one submit: look up describer and idempotency key, create, read back."""

ANSWER_SECONDS = TRANSFER_SECONDS + KUBERNETES_REQUESTS * REQUEST_SECONDS
"""The slowest answer to a submit that has arrived: every step takes all the time that it may."""


class LimitsAnswer(BaseModel):
    """Answer to GET /limits."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    image_bytes: int = Field(description="most bytes of an image")
    image_pixels: int = Field(description="most pixels of an image, width times height")
    media_types: list[str] = Field(
        description="of the formats that are accepted; files are recognized by content"
    )
    formats: list[str] = Field(description="the same formats, as people call them")
    upload_seconds: float = Field(
        description="longest that an upload of the most bytes may take, however slow"
    )
    answer_seconds: float = Field(
        description="longest until a complete submit, or any other request, is answered"
    )


@router.get("/limits")
async def limits(jobs: Injected) -> LimitsAnswer:
    """Tell what may be submitted, and how long to wait."""
    return describe_limits(jobs)


def describe_limits(jobs: Jobs) -> LimitsAnswer:
    """Return the limits that hold for submits."""
    uploads = jobs.uploads.limits
    return LimitsAnswer(
        image_bytes=jobs.settings.max_image_bytes,
        image_pixels=jobs.settings.max_image_pixels,
        media_types=[known.media_type for known in SUPPORTED],
        formats=[known.name for known in SUPPORTED],
        upload_seconds=longest_upload_seconds(
            uploads.largest_bytes, uploads.bytes_per_second, uploads.grace_seconds
        ),
        answer_seconds=ANSWER_SECONDS,
    )
