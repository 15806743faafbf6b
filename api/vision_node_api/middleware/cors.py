"""Cross-origin requests: which other sites' pages may use the API from a browser.

CORS is described at https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "HEAD", "POST", "DELETE")

REQUEST_HEADERS = ("Content-Disposition", "Idempotency-Key", "If-None-Match")
"""Headers that scripts may send, in addition to those that CORS always allows."""

EXPOSED_HEADERS = ("Allow", "ETag", "Location", "Retry-After")
"""Headers that scripts may read, in addition to those that CORS always allows."""

MAX_AGE_SECONDS = 600
"""How long browsers cache the response to a preflight; Chromium's maximum is two hours."""


def add_cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Return `app` with CORS for `origins`.

    An origin is a URL such as https://gallery.example.com; `*` stands for all origins.

    Credentials are not allowed, because the API uses no cookies.
    """
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=MAX_AGE_SECONDS,
    )
