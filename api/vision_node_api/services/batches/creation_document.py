"""Create ImageBatches from JSON: of images in the inbox, or of images that are uploaded later."""

from starlette.requests import Request
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.models.imagebatch import UploadSpec

from ...uploads.batch_options import BATCH_OPTION_NAMES, BatchDocument
from ...uploads.document import read_document
from ...uploads.form import query_options
from ...uploads.upload_body import RequestBody, draining, require_identity
from ...uploads.upload_limit import UploadSlot
from ..inbox_folder import client_key
from .creation import BatchCreation, WantedBatch
from .creation_upload import Receipt


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
        document = BatchDocument.read(await read_document(body, slot))

    query = query_options(request, BATCH_OPTION_NAMES)
    options = document.batch_options(query, creation.jobs.settings.max_ttl_seconds)
    describer = await creation.jobs.choose_describer(options.describer)
    folders = creation.jobs.bucket.folders
    source = {field: _own(it, folders) for field, it in document.source.items()}
    spec = options.spec(describer, **source)
    wanted = WantedBatch(spec, options.name, options.describer, key, options.labels or {})
    created = await creation.create(wanted)
    return Receipt(created.batch)


def _own(source: str | UploadSpec, folders: BucketFolders) -> str | UploadSpec:
    """Return a source of images that the client may use.

    Raises:
        Problem: 422 OptionsInvalid if it is in another folder of the inbox.
    """
    return client_key(source, folders) if isinstance(source, str) else source
