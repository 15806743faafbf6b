"""Responses of the fake vision-node server, and what it reads in requests."""

from typing import Any

from aiohttp import web

Json = dict[str, Any]

PAGE = 3
"""Number of entries in a page, which is small, so that tests read several pages."""


async def image_of(request: web.Request) -> bytes:
    """Return the image of a submission, which is the whole body or the form field `file`."""
    if not request.content_type.startswith("multipart/"):
        return await request.read()

    field = (await request.post())["file"]
    if not isinstance(field, web.FileField):
        raise web.HTTPBadRequest
    return field.file.read()


def refusal(status: int, reason: str | None, **headers: str) -> web.Response:
    """Return a problem document, or the page of a proxy if there is no reason."""
    if reason is None:
        return web.Response(status=status, text="<html>no</html>", headers=headers)

    document = {"status": status, "reason": reason, "detail": f"{reason} is the reason"}
    return web.json_response(
        document, status=status, headers=headers, content_type="application/problem+json"
    )


def page(request: web.Request, name: str, entries: list[Json]) -> web.Response:
    """Return a page of entries, beginning at the cursor of the request."""
    start = int(request.query.get("cursor", 0))
    end = start + PAGE
    following = str(end) if end < len(entries) else None
    return web.json_response({name: entries[start:end], "next": following})
