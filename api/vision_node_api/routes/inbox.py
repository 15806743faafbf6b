"""Routes for the inbox, which holds images for ImageJobs that are created with kubectl.

Every client that may submit images may also use the inbox.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from vision_node_contract.clients.bucket_objects import MAX_KEYS, StoredObject

from ..services.inbox import Inbox
from ..services.inbox_cursor import MAX_CURSOR_CHARACTERS
from ..services.inbox_name import MAX_NAME_BYTES, NAME_PATTERN
from ..uploads.form import read_upload
from ..uploads.openapi import body_schema, image_form_schema
from ..web import whole_path
from .dependencies import PROBLEM, InboxDep

router = APIRouter(tags=["inbox"])

DEFAULT_PAGE = 100
"""Maximum number of objects on a page of the list if the client does not set a limit."""


class InboxEntry(BaseModel):
    """An object in the inbox, as it appears in a list."""

    name: str = Field(description="name under /inbox")
    key: str = Field(description="value for an ImageJob's spec.image.key")
    size_bytes: int
    modified_at: datetime = Field(description="when the object was last stored, in UTC")
    expires_at: datetime | None = Field(
        description="time after which the object is deleted, unless an unfinished ImageJob uses it;"
        " null if the object is kept forever"
    )


class InboxImage(BaseModel):
    """The image of an ImageJob."""

    key: str = Field(description="key of the object")


class InboxSpec(BaseModel):
    """The spec of an ImageJob, with what it has to have."""

    image: InboxImage


class InboxObject(InboxEntry):
    """An object in the inbox with all its details."""

    media_type: str | None = Field(description="recognized from the content")
    sha256: str | None = Field(
        description="SHA-256 of the bytes; null if the object was not stored by POST /inbox"
    )
    spec: InboxSpec = Field(description="spec of an ImageJob for the object")


class InboxResponse(BaseModel):
    """Response to GET /inbox."""

    objects: list[InboxEntry]
    next_cursor: str | None = Field(description="cursor of the next page; null on the last page")


Name = Annotated[
    str,
    Path(
        description="name under /inbox; it may contain folders, as in holiday/photo.jpg",
        json_schema_extra={"pattern": NAME_PATTERN, "maxLength": MAX_NAME_BYTES, "minLength": 1},
    ),
]

_OBJECT_PATH = f"/inbox/{{name:{whole_path.NAME}}}"


@router.get("/inbox", responses=dict.fromkeys((422, 503), PROBLEM))
@router.get("/inbox/", include_in_schema=False)  # some users and proxies append a slash
async def list_inbox(
    inbox: InboxDep,
    prefix: Annotated[
        str, Query(description="list only names that begin with this prefix, such as holiday/")
    ] = "",
    limit: Annotated[
        int, Query(ge=1, le=MAX_KEYS, description="maximum number of objects on the page")
    ] = DEFAULT_PAGE,
    cursor: Annotated[
        str | None,
        Query(max_length=MAX_CURSOR_CHARACTERS, description="next_cursor of the previous page"),
    ] = None,
) -> InboxResponse:
    """Return one page of the list of objects in the inbox, sorted by name."""
    page = await inbox.list(prefix, cursor, limit)
    entries = [InboxEntry(**_entry(found, inbox)) for found in page.objects]

    return InboxResponse(objects=entries, next_cursor=page.cursor)


@router.post(
    _OBJECT_PATH,
    status_code=201,
    openapi_extra=body_schema(image_form_schema()),
    responses={
        200: {
            "model": InboxObject,
            "description": "The same bytes were already stored, or different bytes were replaced",
        },
        **dict.fromkeys((400, 408, 409, 413, 415, 422, 429, 503), PROBLEM),
    },
)
async def put_inbox_object(
    name: Name,
    request: Request,
    response: Response,
    inbox: InboxDep,
    *,
    replace: Annotated[
        bool, Query(description="replace an object that has this name but different bytes")
    ] = False,
) -> InboxObject:
    """Store an image for ImageJobs. Send it in the form field `file` or as the whole body."""
    inbox.require_new_name(name)  # before reading the body, which may be large
    jobs = inbox.jobs

    with jobs.uploads.admit() as slot:
        limit = jobs.settings.max_image_bytes
        upload = await read_upload(request, slot, limit, options=())
        stored, is_new = await inbox.put(name, upload, replace=replace)

    response.headers["Location"] = f"{request.scope.get('root_path', '')}/inbox/{name}"
    response.status_code = 201 if is_new else 200
    return _object(stored, inbox)


@router.get(_OBJECT_PATH, responses=dict.fromkeys((404, 422, 503), PROBLEM))
async def get_inbox_object(name: Name, inbox: InboxDep) -> InboxObject:
    """Return an object's metadata. Only describers can read the image itself."""
    return _object(await inbox.stat(name), inbox)


@router.delete(
    _OBJECT_PATH, status_code=204, responses=dict.fromkeys((404, 409, 422, 503), PROBLEM)
)
async def delete_inbox_object(
    name: Name,
    inbox: InboxDep,
    *,
    force: Annotated[
        bool, Query(description="delete the object even if an unfinished ImageJob uses it")
    ] = False,
) -> None:
    """Delete an object from the inbox."""
    await inbox.delete(name, force=force)


def _object(found: StoredObject, inbox: Inbox) -> InboxObject:
    spec = InboxSpec(image=InboxImage(key=found.key))
    return InboxObject(
        **_entry(found, inbox), media_type=found.media_type, sha256=found.sha256, spec=spec
    )


def _entry(found: StoredObject, inbox: Inbox) -> dict[str, Any]:
    return {
        "name": inbox.name_of(found),
        "key": found.key,
        "size_bytes": found.size_bytes,
        "modified_at": found.modified,
        "expires_at": inbox.expires_at(found),
    }
