"""Routes for listing, reading, changing and deleting ImageBatches."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import Phase

from ..services.batches.batches import Batches
from ..services.callbacks import Callbacks
from ..services.history.batch_list import BatchListQuery
from ..web.waiting import APPLIED_HEADER, WaitDep
from .batch_responses import BatchesResponse, BatchResponse, batch_entry, batch_response
from .dependencies import PROBLEM, BatchControlDep, BatchesDep, BatchListDep, BatchName
from .job_filter import OWNER_PATTERN
from .job_list import DEFAULT_PAGE, MAX_PAGE

router = APIRouter(tags=["batches"])


_READING: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 404, 502, 503), PROBLEM)
_CHANGING: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 404, 409, 502, 503), PROBLEM)


@router.get("/batches", responses=dict.fromkeys((400, 422, 503), PROBLEM))
async def list_batches(
    batches: BatchesDep,
    batch_list: BatchListDep,
    *,
    limit: Annotated[
        int, Query(ge=1, le=MAX_PAGE, description="maximum number of batches on the page")
    ] = DEFAULT_PAGE,
    cursor: Annotated[str | None, Query(description="`next` of the previous page")] = None,
    phase: Annotated[Phase | None, Query(description="only batches with this status")] = None,
    owner: Annotated[
        str | None,
        Query(pattern=OWNER_PATTERN, description="value of the label vision-node.dev/owner"),
    ] = None,
) -> BatchesResponse:
    """List batches from the newest to the oldest.

    Without a database, the list has the batches that are in etcd.
    """
    batches.require_list()
    page = await batch_list.page(BatchListQuery(limit, cursor, phase, owner))
    return BatchesResponse(batches=[batch_entry(it) for it in page.batches], next=page.next)


@router.get("/batches/{name}", responses={200: {"headers": APPLIED_HEADER}, **_READING})
async def get_batch(
    name: BatchName, request: Request, response: Response, batches: BatchesDep, wait: WaitDep
) -> BatchResponse:
    """Return the state of an ImageBatch, and the numbers of its images."""
    changes = batches.cache.changes_of(name)
    batch = await wait.until_finished(changes, partial(batches.get, name))
    response.headers.update(wait.headers)
    return await _response(request, batch)


@router.delete("/batches/{name}", status_code=204, responses=_READING)
async def delete_batch(name: BatchName, control: BatchControlDep) -> Response:
    """Delete an ImageBatch with its results and uploaded images. It may be running.

    Images in the inbox stay.
    """
    await control.delete(name)
    return Response(status_code=204)


@router.post("/batches/{name}/cancel", responses=_CHANGING)
async def cancel_batch(
    name: BatchName, request: Request, control: BatchControlDep
) -> BatchResponse:
    """End an ImageBatch. It fails with the reason Cancelled, and its results stay.

    This can't be undone. Images that are being described are finished first.
    """
    return await _response(request, await control.change(name, {"cancel": True}))


@router.post("/batches/{name}/suspend", responses=_CHANGING)
async def suspend_batch(
    name: BatchName, request: Request, control: BatchControlDep
) -> BatchResponse:
    """Suspend an ImageBatch. Images that are being described are finished first."""
    return await _response(request, await control.change(name, {"suspend": True}))


@router.post("/batches/{name}/resume", responses=_CHANGING)
async def resume_batch(
    name: BatchName, request: Request, control: BatchControlDep
) -> BatchResponse:
    """Resume a suspended ImageBatch."""
    return await _response(request, await control.change(name, {"suspend": False}))


async def _response(request: Request, batch: ImageBatch) -> BatchResponse:
    batches: Batches = request.app.state.batches
    callback = await Callbacks(batches.history, batches.settings.callbacks).state_of(batch)
    root_path = request.scope.get("root_path", "")
    return batch_response(batch, batches.settings.job_kept, root_path, callback)
