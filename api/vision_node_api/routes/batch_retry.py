"""The route POST /batches/{name}/retry."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field
from vision_node_contract.models.imagejob import Phase

from ..services.batches.retry import BatchRetry
from ..web.problems import MEDIA_TYPE
from .jobs import MAX_IDEMPOTENCY_KEY

router = APIRouter(tags=["batches"])

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}


class RefusedImage(BaseModel):
    """An image that is not described again."""

    file: str = Field(description="its customId")
    reason: str
    message: str


class RefusedImages(BaseModel):
    """The images that are not described again."""

    count: int
    files: list[RefusedImage] = Field(description="the first 1,000 of them")


class RetryLinks(BaseModel):
    """Paths of the new batch."""

    self: str
    results: str


class RetryResponse(BaseModel):
    """Response to POST /batches/{name}/retry, like that to POST /batches."""

    name: str = Field(description="name of the new batch")
    uid: str
    status: Phase
    images: int = Field(description="number of images that are described again")
    skipped: int = Field(description="always 0")
    refused: RefusedImages
    links: RetryLinks


async def get_batch_retry(request: Request) -> BatchRetry:
    """Return the application's service that describes failed images again."""
    retry: BatchRetry = request.app.state.batch_retry
    return retry


@router.post(
    "/batches/{name}/retry",
    status_code=202,
    responses=dict.fromkeys((400, 404, 409, 410, 413, 422, 429, 502, 503), _PROBLEM),
)
async def retry_batch(
    name: str,
    request: Request,
    response: Response,
    retry: Annotated[BatchRetry, Depends(get_batch_retry)],
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> RetryResponse:
    """Create a batch with copies of the images that failed in a finished batch.

    Describer and options are the same. Images that no longer exist are refused. Up to 10,000 images
    are copied, while the client waits.
    """
    retried = await retry.retry(name, idempotency_key)
    created, refused = retried.batch, retried.refused
    path = f"{request.scope.get('root_path', '')}/batches/{created.metadata.name}"
    response.headers["Location"] = path

    return RetryResponse(
        name=created.metadata.name,
        uid=created.metadata.uid,
        status=created.status.phase,
        images=retried.images,
        skipped=0,
        refused=RefusedImages(
            count=refused.count,
            files=[
                RefusedImage(file=it.file, reason=it.reason, message=it.message)
                for it in refused.files
            ],
        ),
        links=RetryLinks(self=path, results=f"{path}/results"),
    )
