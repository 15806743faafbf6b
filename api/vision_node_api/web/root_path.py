"""The path below which clients see the API, when a proxy serves it under one, such as /vision.

ASGI calls it `root_path`, and has it at the start of `path` (ASGI HTTP specification, "HTTP
connection scope").
"""

import re

from starlette.types import Scope

LONGEST = 255
"""Characters; longer ones are no path that a person has chosen."""

OWN_PATHS = frozenset(
    {
        "describers",
        "docs",
        "healthz",
        "inbox",
        "limits",
        "metrics",
        "openapi.json",
        "readyz",
        "result",
        "static-offline-docs",
        "status",
        "submit",
        "ui",
    }
)
"""First segments of the API's own paths. A root path that begins with one is refused: the API could
not tell whether a proxy has removed it."""

# RFC 3986's unreserved characters: nothing that ends a header, names a host or climbs (`..`).
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", re.ASCII)


def parse_root_path(text: str) -> str:
    """Return the root path without a slash at its end; empty for none.

    Raises:
        ValueError: it is not a path, or one of the API's own.
    """
    path = text.removesuffix("/")
    if len(path) > LONGEST or not _ROOT_PATH.fullmatch(path):
        raise ValueError(f"{text!r} is not a root path; one looks like /vision or /apps/vision")
    if path and path.split("/")[1] in OWN_PATHS:
        raise ValueError(f"the root path {text!r} begins with one of the API's own; choose another")
    return path


def put_below(scope: Scope, root_path: str) -> Scope:
    """Return the scope with its path below `root_path`, whether or not a proxy has removed that."""
    if not root_path:
        return scope

    path: str = scope["path"]
    if path == root_path or path.startswith(f"{root_path}/"):
        return {**scope, "root_path": root_path}

    raw_path = root_path.encode() + (scope.get("raw_path") or b"")
    return {**scope, "root_path": root_path, "path": root_path + path, "raw_path": raw_path}


def route_path(scope: Scope) -> str:
    """Return the request's path without the root path: the one that routes know."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
