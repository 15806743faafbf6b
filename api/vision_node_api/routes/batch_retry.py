"""The route POST /batches/{name}/retry."""

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from .batch_uploads import CreateBatchResponse, created_batch
from .dependencies import PROBLEM, BatchName, BatchRetryDep
from .jobs import MAX_IDEMPOTENCY_KEY

router = APIRouter(tags=["batches"])


@router.post(
    "/batches/{name}/retry",
    status_code=202,
    responses=dict.fromkeys((400, 404, 409, 410, 413, 422, 429, 502, 503), PROBLEM),
)
async def retry_batch(
    name: BatchName,
    request: Request,
    response: Response,
    retry: BatchRetryDep,
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> CreateBatchResponse:
    """Create a batch with copies of the images that failed in a finished batch.

    Describer and options are the same. Images that no longer exist are refused. Up to 10,000 images
    are copied, while the client waits.
    """
    return created_batch(request, response, await retry.retry(name, idempotency_key))
