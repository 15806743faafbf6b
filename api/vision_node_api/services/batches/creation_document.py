"""Create ImageBatches from JSON: of images in the inbox, or of images that are uploaded later."""

from starlette.requests import Request

from ...uploads.batch_options import BatchDocument
from ...uploads.upload_body import RequestBody, draining, require_identity
from ...uploads.upload_limit import UploadSlot
from ...web.problems import Problem
from .creation import BatchCreation, WantedBatch
from .creation_upload import Receipt

MAX_DOCUMENT_BYTES = 64 << 10
"""Maximum size of a JSON body in bytes. A prompt has up to 16 kB, and escapes are longer."""


async def create_from_document(
    creation: BatchCreation, request: Request, slot: UploadSlot, key: str | None
) -> Receipt:
    """Create the ImageBatch that a JSON body describes.

    Raises:
        Problem: 413 DocumentTooLarge; 415 ContentEncodingUnsupported; 422 OptionsInvalid,
            DescriberNotFound; or a problem of `BatchCreation.create`.
    """
    require_identity(request)
    body = RequestBody(request.receive, slot)
    async with draining(request, body, slot):
        document = BatchDocument.read(await _read(body, slot))

    options = document.batch_options(creation.jobs.settings.max_ttl_seconds)
    describer = await creation.jobs.choose_describer(options.describer)
    spec = options.spec(describer, **document.source)
    wanted = WantedBatch(spec, options.name, options.describer, key, options.labels or {})
    created = await creation.create(wanted)
    return Receipt(created.batch)


async def _read(body: RequestBody, slot: UploadSlot) -> bytes:
    data = bytearray()
    while (chunk := await body.read()) is not None:
        data += chunk
        if len(data) > MAX_DOCUMENT_BYTES:
            detail = f"The JSON body has more than {MAX_DOCUMENT_BYTES} bytes. Shorten it."
            raise Problem(413, "DocumentTooLarge", detail)
        await slot.hold(len(data))

    return bytes(data)
