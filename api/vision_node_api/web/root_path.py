"""The root path: the path below which a proxy serves the API, such as /vision.

ASGI calls it `root_path`, and `path` begins with it (ASGI HTTP specification, "HTTP connection
scope").
"""

import re

from starlette.types import Scope

MAX_CHARACTERS = 255
"""Maximum length of a root path, more than any proxy needs."""

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
"""First segments of the API's own paths. A root path must not begin with one, because the API could
not tell whether a proxy has removed it."""

# Only RFC 3986's unreserved characters match, so a root path can't end a header, name a host or
# go up (`..`).
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", re.ASCII)


def parse_root_path(text: str) -> str:
    """Return the root path without a slash at its end; "" if there is none.

    Raises:
        ValueError: `text` is not a path, or begins with one of the API's own paths.
    """
    path = text.removesuffix("/")
    if len(path) > MAX_CHARACTERS or not _ROOT_PATH.fullmatch(path):
        raise ValueError(
            f"{text!r} is not a valid root path. Use a path such as /vision or /apps/vision."
        )

    if path and path.split("/")[1] in OWN_PATHS:
        raise ValueError(
            f"The root path {text!r} begins with one of the API's own paths. Choose another one."
        )

    return path


def with_root_path(scope: Scope, root_path: str) -> Scope:
    """Return the scope with its path below `root_path`, whether or not a proxy has removed it."""
    if not root_path:
        return scope

    path: str = scope["path"]
    if path == root_path or path.startswith(f"{root_path}/"):
        return {**scope, "root_path": root_path}

    raw_path = root_path.encode() + (scope.get("raw_path") or b"")
    return {**scope, "root_path": root_path, "path": root_path + path, "raw_path": raw_path}


def route_path(scope: Scope) -> str:
    """Return the request's path as routes know it, without the root path."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
