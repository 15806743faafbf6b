"""/inbox: images for ImageJobs that are made with kubectl. Whoever may submit may use it."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field
from vision_node_contract.stored import MAX_KEYS, StoredObject

from .form import read_upload
from .inbox import Inbox, name_of
from .inbox_cursor import MAX_CURSOR_CHARACTERS
from .inbox_name import MAX_NAME_BYTES, NAME_PATTERN, key_of
from .problems import MEDIA_TYPE
from .shared_path import share_paths
from .wishes import body_schema, image_form_schema

router = APIRouter(tags=["inbox"])
share_paths(router)

DEFAULT_PAGE = 100
"""Objects on a page of the list, unless the client wants another number."""


class InboxEntry(BaseModel):
    """An object as the list tells of it."""

    name: str = Field(description="below /inbox")
    key: str = Field(description="what an ImageJob gives in spec.image.key")
    size_bytes: int
    modified_at: datetime = Field(description="when it was last stored, UTC")
    expires_at: datetime | None = Field(
        description="deleted soon after that, unless an unfinished ImageJob names it; null: never"
    )


class InboxObject(InboxEntry):
    """An object as it tells of itself."""

    media_type: str | None = Field(description="as recognized by content")
    sha256: str | None = Field(description="of its bytes; null if it was not stored by POST /inbox")
    spec: dict[str, Any] = Field(description="an ImageJob's spec that names it")


class InboxAnswer(BaseModel):
    """Answer to GET /inbox."""

    objects: list[InboxEntry]
    next_cursor: str | None = Field(description="for the next page; null on the last")


async def inbox_of(request: Request) -> Inbox:
    """Return what the application's start has made. Async, or FastAPI would take a thread each time."""
    inbox: Inbox = request.app.state.inbox
    return inbox


Injected = Annotated[Inbox, Depends(inbox_of)]

Name = Annotated[
    str,
    Path(
        description="folders are allowed: holiday/photo.jpg",
        json_schema_extra={"pattern": NAME_PATTERN, "maxLength": MAX_NAME_BYTES, "minLength": 1},
    ),
]

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {}}}


@router.get("/inbox", responses=dict.fromkeys((422, 503), _PROBLEM))
@router.get("/inbox/", include_in_schema=False)  # as people and proxies write it
async def list_inbox(
    inbox: Injected,
    prefix: Annotated[str, Query(description="with which names begin, such as holiday/")] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_KEYS, description="most objects on the page")] = DEFAULT_PAGE,
    cursor: Annotated[
        str | None, Query(max_length=MAX_CURSOR_CHARACTERS, description="next_cursor of the page before")
    ] = None,
) -> InboxAnswer:
    """List what is in the inbox, in the order of names, page by page."""
    page = await inbox.list(prefix, cursor, limit)
    entries = [InboxEntry(**_entry(found, inbox)) for found in page.objects]
    return InboxAnswer(objects=entries, next_cursor=page.cursor)


@router.post(
    "/inbox/{name:path}",
    status_code=201,
    openapi_extra=body_schema(image_form_schema()),
    responses={
        200: {"model": InboxObject, "description": "The same bytes were there, or others were replaced"},
        **dict.fromkeys((400, 408, 409, 413, 415, 422, 429, 503), _PROBLEM),
    },
)
async def put_into_inbox(
    name: Name,
    request: Request,
    response: Response,
    inbox: Injected,
    *,
    replace: Annotated[bool, Query(description="replace other bytes of that name")] = False,
) -> InboxObject:
    """Store an image, sent in the form field `file` or as the whole body, for ImageJobs to name."""
    key_of(name)  # before the body, which may be large
    jobs = inbox.jobs
    with jobs.uploads.admit() as place:
        upload = await read_upload(request, place, jobs.settings.max_image_bytes)
        stored, is_new = await inbox.put(name, upload, replace=replace)
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/inbox/{name}"
    response.status_code = 201 if is_new else 200
    return _object(stored, inbox)


@router.get("/inbox/{name:path}", responses=dict.fromkeys((404, 422, 503), _PROBLEM))
async def show_of_inbox(name: Name, inbox: Injected) -> InboxObject:
    """Tell of an object; its bytes are for describers only."""
    return _object(await inbox.stat(name), inbox)


@router.delete("/inbox/{name:path}", status_code=204, responses=dict.fromkeys((404, 409, 422, 503), _PROBLEM))
async def delete_from_inbox(
    name: Name,
    inbox: Injected,
    *,
    force: Annotated[bool, Query(description="also if an unfinished ImageJob names it")] = False,
) -> None:
    """Remove an object."""
    await inbox.delete(name, force=force)


def _object(found: StoredObject, inbox: Inbox) -> InboxObject:
    spec = {"image": {"key": found.key}}
    return InboxObject(**_entry(found, inbox), media_type=found.media_type, sha256=found.sha256, spec=spec)


def _entry(found: StoredObject, inbox: Inbox) -> dict[str, Any]:
    return {
        "name": name_of(found),
        "key": found.key,
        "size_bytes": found.size_bytes,
        "modified_at": found.modified,
        "expires_at": _expires(found.modified, inbox.jobs.settings.inbox_kept),
    }


def _expires(modified: datetime, kept: timedelta | None) -> datetime | None:
    return modified + kept if kept else None
