"""Serve the page at /ui.

Its files are read only once. Its Content Security Policy blocks all third-party code.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from ..web.page_headers import PAGE_HEADERS
from ..web.validators import is_known

router = APIRouter(include_in_schema=False)

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """A file of the page, with everything that is needed to send it."""

    content: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> "StaticFile":
        """Read a file, whose suffix must be in MEDIA_TYPES."""
        content = path.read_bytes()
        etag = f'"{sha256(content).hexdigest()[:32]}"'
        return cls(content=content, media_type=MEDIA_TYPES[path.suffix], etag=etag)

    def response(self, if_none_match: str | None) -> Response:
        """Return the file, or a 304 response if the browser already has this version."""
        headers = PAGE_HEADERS | {"ETag": self.etag}
        if is_known(self.etag, if_none_match):
            return Response(status_code=304, headers=headers)

        return Response(self.content, headers=headers, media_type=self.media_type)


ASSETS = {
    path.name: StaticFile.read(path)
    for path in Path(__file__).parent.iterdir()
    if path.suffix in MEDIA_TYPES
}
# This page is served only as /ui, because its relative links would not work at /ui/index.html.
PAGE = ASSETS.pop("index.html")

IfNoneMatch = Annotated[str | None, Header()]


@router.get("/")
async def root(request: Request) -> RedirectResponse:
    """Redirect from / to the page."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/ui", status_code=307)


@router.get("/ui")
async def page(if_none_match: IfNoneMatch = None) -> Response:
    """Serve the page."""
    return PAGE.response(if_none_match)


@router.get("/ui/{name}")
async def asset(name: str, if_none_match: IfNoneMatch = None) -> Response:
    """Serve a style sheet, a script or a picture for the page."""
    file = ASSETS.get(name)
    if file is None:
        raise HTTPException(404, f"The page has no file {name!r}.")
    return file.response(if_none_match)
