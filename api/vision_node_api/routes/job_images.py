"""Routes for the images of jobs: as they were stored, and as thumbnails."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Header, Response
from starlette.types import Receive, Scope, Send
from vision_node_contract.images.formats import HEIC, SUPPORTED, TIFF, recognize
from vision_node_contract.models.reasons import DescribeError

from ..services.images.stored_images import StoredImage
from ..services.images.thumbnails import MEDIA_TYPE as WEBP
from ..services.owners import is_access_controlled
from ..web.json_lines import JsonLinesResponse
from ..web.problems import Problem
from ..web.validators import is_known
from .dependencies import PROBLEM, ImagesDep

router = APIRouter(tags=["jobs"])

CACHE_CONTROL = "private, max-age=3600"
"""Only the client itself may keep an image, for an hour: it may belong to one owner, and its job
may be deleted."""

VARY = "Authorization, Cookie"
"""Headers that say who the client is, with authentication. A browser may be used by several."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # If a browser shows the image as a page, that page can do nothing.
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}

UNKNOWN_TYPE = "application/octet-stream"

_SHOWN = frozenset(it.media_type for it in SUPPORTED if it not in (HEIC, TIFF))
"""Media types that browsers show. Files of other types are saved."""

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

IfNoneMatch = Annotated[str | None, Header(description="ETag of the version that the client has")]


class ImageResponse(JsonLinesResponse):
    """An image, which counts as memory until its client has it or has stopped reading."""

    media_type = UNKNOWN_TYPE

    def __init__(self, data: bytes, held: ExitStack, headers: dict[str, str]) -> None:
        super().__init__(_piece(data), headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the image."""
        with self._held:
            await super().__call__(scope, receive, send)

    def last_piece(self, problem: Problem) -> bytes:  # noqa: ARG002 (for texts)
        """Return nothing: the rest of an image that is broken off is missing."""
        return b""


@router.get(
    "/jobs/{job_id}/image",
    response_class=Response,
    responses={
        200: {
            "description": "The file as it was stored",
            "content": {it.media_type: _BINARY for it in SUPPORTED},
        },
        304: {"description": "The client has this version"},
        **dict.fromkeys((404, 409, 410, 429, 502, 503), PROBLEM),
    },
)
async def job_image(job_id: str, images: ImagesDep, if_none_match: IfNoneMatch = None) -> Response:
    """Return the image of a job, as long as it is kept.

    `<batch>.<index>` is an image of a batch. The type of the response is the format of the file,
    whatever its name is.
    """
    found = await images.stored.find(job_id)
    if found.sha256 and is_known(_etag(found.sha256), if_none_match):
        return _not_modified(found.sha256)

    with images.downloads.holding(images.largest_bytes(found)):
        data = await images.stored.read(found)
        digest = found.sha256 or await _digest_in_thread(data)
    if is_known(_etag(digest), if_none_match):
        return _not_modified(digest)

    held = ExitStack()
    held.enter_context(images.downloads.holding(len(data)))
    return ImageResponse(data, held, {**_cache_headers(digest), **_file_headers(data, found)})


@router.get(
    "/jobs/{job_id}/thumbnail",
    response_class=Response,
    responses={
        200: {
            "description": "A WebP file, at most 512 pixels wide and high",
            "content": {WEBP: _BINARY},
        },
        304: {"description": "The client has this version"},
        **dict.fromkeys((404, 409, 410, 422, 429, 502, 503), PROBLEM),
    },
)
async def job_thumbnail(
    job_id: str, images: ImagesDep, if_none_match: IfNoneMatch = None
) -> Response:
    """Return a small copy of the image of a job, upright and without metadata.

    `<batch>.<index>` is an image of a batch.
    """
    found = await images.stored.find(job_id)
    digest = _digest(found.identity.encode())
    if is_known(_etag(digest), if_none_match):
        return _not_modified(digest)

    data = await images.thumbnails.get(found.identity, lambda: images.stored.read(found))
    headers = {**HEADERS, **_cache_headers(digest)}
    return Response(data, headers=headers, media_type=WEBP)


def _etag(digest: str) -> str:
    return f'"{digest}"'


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def _digest_in_thread(data: bytes) -> str:
    """Return the digest of a large file, which takes some 20 ms."""
    return await asyncio.to_thread(_digest, data)


def _not_modified(digest: str) -> Response:
    return Response(status_code=304, headers=_cache_headers(digest))


def _cache_headers(digest: str) -> dict[str, str]:
    vary = {"Vary": VARY} if is_access_controlled() else {}
    return {"ETag": _etag(digest), "Cache-Control": CACHE_CONTROL, **vary}


async def _piece(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _file_headers(data: bytes, image: StoredImage) -> dict[str, str]:
    media_type = _media_type(data)
    kind = "inline" if media_type in _SHOWN else "attachment"
    name = image.file_name or "image"

    return {
        **HEADERS,
        "Content-Type": media_type,
        "Content-Length": str(len(data)),
        "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(name, safe='', errors='replace')}",
    }


def _media_type(data: bytes) -> str:
    """Return the type that the first bytes show. A stated type is not trusted."""
    try:
        return recognize(data).media_type
    except DescribeError:
        return UNKNOWN_TYPE
