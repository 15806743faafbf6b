"""The route GET /describers."""

from fastapi import APIRouter
from pydantic import BaseModel, Field
from vision_node_contract.models.describer import DEPRECATED, FALLBACK_READY, Describer

from .dependencies import JobsDep

router = APIRouter(tags=["jobs"])


class DescriberResponse(BaseModel):
    """A describer and its state, which may be a few seconds old."""

    name: str = Field(description="value of the option describer")
    provider: str = Field(description="what describes the images, such as local or openai")
    model: str | None = Field(
        description="the provider's model; null if the provider's default one is used, or if it "
        "has none to choose from"
    )
    ready: bool = Field(
        description="whether it can describe images; if not, jobs wait, and `message` says why"
    )
    reason: str | None = Field(
        description="why it is ready, or not: word in CamelCase; null until it is known"
    )
    message: str | None = Field(description="the same as a text for people")
    fallback: str | None = Field(
        description="name of the describer that is used if this one fails; null if there is none"
    )
    warnings: list[str] = Field(
        description="problems that should be fixed although images are described"
    )
    workers: int = Field(description="number of workers that are starting or running")
    queued: int = Field(
        description="number of ImageJobs that wait: single images, and parts of batches"
    )
    processing: int = Field(description="number of ImageJobs that workers have")
    default: bool = Field(description="whether it is used if a submission names none")


class DescribersResponse(BaseModel):
    """Response to GET /describers."""

    describers: list[DescriberResponse] = Field(description="sorted by name")


@router.get("/describers")
async def describers(jobs: JobsDep) -> DescribersResponse:
    """List the describers that a client can choose, with their states."""
    default = jobs.settings.default_describer
    return DescribersResponse(
        describers=[_describer_response(found, default) for found in jobs.describers.all()]
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


def _warnings(describer: Describer) -> list[str]:
    """Return the messages about problems that should be fixed but do not stop the describer."""
    bad = {FALLBACK_READY: "False", DEPRECATED: "True"}
    conditions = describer.status.conditions
    return [found.message for found in conditions if bad.get(found.type) == found.status]
