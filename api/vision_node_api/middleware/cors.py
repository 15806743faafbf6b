"""Allow pages from other sites to use the API from a browser (cross-origin requests).

CORS is specified at https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from collections.abc import Collection

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")

REQUEST_HEADERS = (
    "Authorization",
    "Content-Disposition",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
)
"""Headers that scripts may send, in addition to those that CORS always allows."""

EXPOSED_HEADERS = (
    "Allow",
    "ETag",
    "Location",
    "Preference-Applied",
    "Retry-After",
    "Vision-Node-After",
    "WWW-Authenticate",
)
"""Headers that scripts may read, in addition to those that CORS always allows."""

MAX_AGE_SECONDS = 600
"""How long browsers may cache the response to a preflight request. Chromium's maximum is two
hours."""


def add_cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Return `app` wrapped in middleware that allows cross-origin requests from `origins`.

    An origin is a URL such as https://gallery.example.com. `*` means all origins. Credentials
    are not allowed: the only cookie is for the API's own page. Other pages send a key in a header.
    """
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=MAX_AGE_SECONDS,
    )
