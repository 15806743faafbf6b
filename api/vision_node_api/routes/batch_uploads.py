"""Routes for creating ImageBatches, and for uploading their images."""

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import Phase

from ..services.batches.creation import BatchCreation
from ..services.batches.creation_document import create_from_document
from ..services.batches.creation_images import SingleImages
from ..services.batches.creation_upload import FilesUpload, Receipt
from ..services.batches.creation_zip import ZipUpload
from ..uploads.bulk.openapi import batch_schema
from ..uploads.bulk.readers import JSON_TYPE, ZIP_TYPES, content_type
from ..uploads.upload_limit import UploadSlot
from ..web import json_lines, whole_path
from ..web.json_lines import JsonLinesResponse
from ..web.problems import Problem
from ..web.waiting import APPLIED_HEADER, PreferredWait, WaitDep
from .dependencies import PROBLEM, BatchName, CreationDep
from .jobs import MAX_IDEMPOTENCY_KEY

router = APIRouter(tags=["batches"])


class RefusedFile(BaseModel):
    """A file that was not accepted."""

    file: str
    reason: str = Field(description="word in CamelCase, such as UnsupportedFormat")
    message: str = Field(description="why, and what to do")


class RefusedFiles(BaseModel):
    """The files that were not accepted."""

    count: int
    files: list[RefusedFile] = Field(description="the first 1,000 of them")


class CreatedBatchLinks(BaseModel):
    """Paths of related resources."""

    model_config = ConfigDict(populate_by_name=True)

    itself: str = Field(alias="self")
    results: str


class StartBatchResponse(BaseModel):
    """Response to POST /batches/{name}/start."""

    name: str
    uid: str
    status: Phase
    links: CreatedBatchLinks


class CreateBatchResponse(StartBatchResponse):
    """Response to POST /batches."""

    images: int = Field(description="number of accepted images; 0 if none were in the request")
    skipped: int = Field(description="number of hidden files, which were left out")
    refused: RefusedFiles


@router.post(
    "/batches",
    status_code=202,
    openapi_extra=batch_schema(),
    responses={
        202: {"headers": APPLIED_HEADER},
        **dict.fromkeys((400, 404, 408, 409, 413, 415, 422, 429, 502, 503), PROBLEM),
    },
)
async def create_batch(
    request: Request,
    response: Response,
    creation: CreationDep,
    wait: WaitDep,
    idempotency_key: Annotated[str | None, Header(max_length=MAX_IDEMPOTENCY_KEY)] = None,
) -> CreateBatchResponse:
    """Create a batch of the images in the request, or of images in the inbox.

    The response is sent when all images have been stored. With `Prefer: wait=N`, it is sent when
    the batch has ended, or after N seconds. Files that are refused don't fail the others.
    """
    with creation.jobs.uploads.admit() as slot:
        receipt = await _receive(creation, request, slot, idempotency_key)

    receipt = replace(receipt, batch=await _waited(receipt.batch, creation, wait))
    response.headers.update(wait.headers)
    return created_batch(request, response, receipt)


@router.put(
    f"/batches/{{name}}/images/{{custom_id:{whole_path.NAME}}}",
    status_code=201,
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    responses={
        204: {"description": "An image with this customId has been replaced"},
        **dict.fromkeys((400, 404, 408, 409, 413, 415, 422, 429, 502, 503), PROBLEM),
    },
)
async def put_batch_image(
    name: BatchName, custom_id: str, request: Request, creation: CreationDep
) -> Response:
    """Upload an image of a batch that has not been started. The body is the image itself.

    It replaces one with the same customId, so that the request may be repeated.
    """
    is_new = await SingleImages(creation).put(name, custom_id, request)
    return Response(status_code=201 if is_new else 204)


@router.get(
    "/batches/{name}/images",
    response_class=Response,
    responses={
        200: {
            "description": "One line for each image, with its customId and its size in bytes",
            "content": {json_lines.MEDIA_TYPE: {}},
        },
        **dict.fromkeys((400, 404, 409, 502, 503), PROBLEM),
    },
)
async def list_batch_images(name: BatchName, creation: CreationDep) -> Response:
    """Stream the list of the images that have been uploaded one by one, as JSON Lines."""
    return JsonLinesResponse(await SingleImages(creation).lines(name), {})


@router.post(
    "/batches/{name}/start",
    status_code=202,
    responses={
        202: {"headers": APPLIED_HEADER},
        **dict.fromkeys((400, 404, 409, 422, 502, 503), PROBLEM),
    },
)
async def start_batch(
    name: BatchName, request: Request, response: Response, creation: CreationDep, wait: WaitDep
) -> StartBatchResponse:
    """Start a batch whose images have been uploaded one by one. This may be repeated.

    With `Prefer: wait=N`, the response is sent when the batch has ended, or after N seconds.
    """
    started = await SingleImages(creation).start(name)
    batch = await _waited(started, creation, wait)
    response.headers.update(wait.headers)

    return StartBatchResponse(
        name=batch.metadata.name,
        uid=batch.metadata.uid,
        status=batch.status.phase,
        links=_links(request, batch),
    )


def created_batch(request: Request, response: Response, receipt: Receipt) -> CreateBatchResponse:
    """Return the answer to a request that has created a batch, and set its header Location."""
    links = _links(request, receipt.batch)
    response.headers["Location"] = links.itself
    refusals = receipt.refusals

    return CreateBatchResponse(
        name=receipt.batch.metadata.name,
        uid=receipt.batch.metadata.uid,
        status=receipt.batch.status.phase,
        images=receipt.images,
        skipped=receipt.skipped,
        refused=RefusedFiles(
            count=refusals.count,
            files=[
                RefusedFile(file=it.file, reason=it.reason, message=it.message)
                for it in refusals.files
            ],
        ),
        links=links,
    )


async def _receive(
    creation: BatchCreation, request: Request, slot: UploadSlot, key: str | None
) -> Receipt:
    kind = content_type(request)
    if kind == JSON_TYPE:
        return await create_from_document(creation, request, slot, key)
    if kind in ZIP_TYPES:
        return await ZipUpload(creation, request, slot, key).receive()

    return await FilesUpload(creation, request, slot, key).receive()


async def _waited(batch: ImageBatch, creation: BatchCreation, wait: PreferredWait) -> ImageBatch:
    """Return a batch that has been created or started, after the wait that the client prefers."""
    name, batches = batch.metadata.name, creation.batches
    try:
        return await wait.until_finished(
            batches.cache.changes_of(name), partial(batches.get, name), known=batch
        )
    except Problem:
        # Whatever prevents the wait, the batch was accepted, and must not be created again.
        return batch


def _links(request: Request, batch: ImageBatch) -> CreatedBatchLinks:
    itself = f"{request.scope.get('root_path', '')}/batches/{batch.metadata.name}"
    return CreatedBatchLinks(itself=itself, results=f"{itself}/results")
