"""The headers of responses that clients act on, in addition to Content-Type and the like."""

from typing import Any

Json = dict[str, Any]

_TEXT = {"type": "string"}

_DESCRIPTIONS: dict[str, Json] = {
    "Accept-Encoding": {
        "description": "`identity`, if the body must not be compressed",
        "schema": _TEXT,
    },
    "Allow": {"description": "methods that the path supports (405)", "schema": _TEXT},
    "Cache-Control": {"description": "whether and for how long to keep it", "schema": _TEXT},
    "Content-Disposition": {
        "description": "name of the file, and whether browsers save it (`attachment`)",
        "schema": _TEXT,
    },
    "ETag": {"description": "identifies the content, for If-None-Match", "schema": _TEXT},
    "Location": {
        "description": "path of what was created or found, below the path of the API",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "number of seconds after which to repeat the request, if it is known",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Set-Cookie": {
        "description": "session of the page, which scripts can't read",
        "schema": _TEXT,
    },
    "WWW-Authenticate": {"description": "how to say who sends a request", "schema": _TEXT},
    "Vary": {
        "description": "headers of the request on which the response depends",
        "schema": _TEXT,
    },
}

_CACHED = ("ETag", "Cache-Control")

HEADERS: dict[str, dict[str, tuple[str, ...]]] = {
    "submit": {"200": ("Location",), "202": ("Location",)},
    "retry_job": {"200": ("Location",), "202": ("Location",)},
    "create_batch": {"202": ("Location",)},
    "retry_batch": {"202": ("Location",)},
    "put_inbox_object": {"200": ("Location",), "201": ("Location",)},
    "job_image": {"200": (*_CACHED, "Content-Disposition"), "304": _CACHED},
    "job_thumbnail": {"200": _CACHED, "304": _CACHED},
    "get_batch_results": {"200": ("Content-Disposition",)},
    "export_jobs": {"200": ("Content-Disposition",)},
    "job_events": {"200": ("Cache-Control",)},
    "batch_events": {"200": ("Cache-Control",)},
    "all_events": {"200": ("Cache-Control",)},
    "create_key": {"201": ("Cache-Control",)},
    "list_keys": {"200": ("Cache-Control",)},
    "log_in": {"204": ("Set-Cookie", "Cache-Control")},
    "log_out": {"204": ("Set-Cookie", "Cache-Control")},
    "get_problem": {"200": ("Cache-Control", "Vary")},
}
"""Names of headers by operation and status. `Preference-Applied` and `Vision-Node-After` are
described at their routes."""

OF_PROBLEMS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
"""Names of headers of problem documents by status."""

OF_ANY_PROBLEM = ("Allow", "Retry-After")
"""Names of headers of problem documents with any other status."""


def headers_of(names: tuple[str, ...]) -> dict[str, Json]:
    """Return the OpenAPI description of the headers with these names."""
    return {name: _DESCRIPTIONS[name] for name in names}
