"""The route POST /batches/{name}/retry."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response

from ..services.batches.retry import BatchRetry
from ..web.problems import MEDIA_TYPE
from .batch_uploads import CreateBatchResponse, created_batch
from .batches import BatchName
from .jobs import MAX_IDEMPOTENCY_KEY

router = APIRouter(tags=["batches"])

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}


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
    name: BatchName,
    request: Request,
    response: Response,
    retry: Annotated[BatchRetry, Depends(get_batch_retry)],
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> CreateBatchResponse:
    """Create a batch with copies of the images that failed in a finished batch.

    Describer and options are the same. Images that no longer exist are refused. Up to 10,000 images
    are copied, while the client waits.
    """
    return created_batch(request, response, await retry.retry(name, idempotency_key))
