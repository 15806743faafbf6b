"""Pages of other origins that may use the API from a browser.

CORS is described at https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "HEAD", "POST", "DELETE")
REQUEST_HEADERS = ("Content-Disposition", "Idempotency-Key", "If-None-Match")
"""What scripts may send besides the headers that need no permission."""

EXPOSED_HEADERS = ("Allow", "ETag", "Location", "Retry-After")
"""What scripts may read besides the headers that need no permission."""

MAX_AGE_SECONDS = 600
"""How long browsers remember the answer to a preflight; Chromium caps it at two hours."""


def allow_origins(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Return `app` for pages of those origins, such as https://gallery.example.com, or `*` for all.

    No cookie is involved: the API has none, so credentials are not allowed.
    """
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=MAX_AGE_SECONDS,
    )
