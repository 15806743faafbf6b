"""Handle the root path (such as /vision), below which a proxy serves the API.

In ASGI, the root path is `root_path`, and `path` begins with it (ASGI HTTP specification, "HTTP
connection scope").
"""

import re

from starlette.types import Scope

MAX_CHARACTERS = 255
"""Maximum length of a root path. No proxy needs a longer one."""

OWN_PATHS = frozenset(
    {
        "batches",
        "describers",
        "docs",
        "events",
        "healthz",
        "inbox",
        "jobs",
        "keys",
        "limits",
        "openapi.json",
        "problems",
        "readyz",
        "result",
        "session",
        "static-offline-docs",
        "status",
        "submit",
        "ui",
        "usage",
        "whoami",
    }
)
"""First segments of the API's own paths. A root path must not begin with one of them, because the
API could not determine whether a proxy has removed the root path."""

# Only unreserved characters (RFC 3986) match, so a root path can't end a header, name a host or
# refer to a parent directory (`..`).
_ROOT_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*", re.ASCII)


def parse_root_path(text: str) -> str:
    """Return the root path without a slash at its end, or "" if `text` is empty or only a slash.

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
            f"The root path {text!r} begins with one of the API's own paths. "
            "Choose a different root path."
        )

    return path


def with_root_path(scope: Scope, root_path: str) -> Scope:
    """Return the scope with `root_path` set, and with `path` below it.

    It makes no difference whether a proxy has removed the root path from the request's path.
    """
    if not root_path:
        return scope

    path: str = scope["path"]
    if path == root_path or path.startswith(f"{root_path}/"):
        return {**scope, "root_path": root_path}

    raw_path = root_path.encode() + (scope.get("raw_path") or b"")
    return {**scope, "root_path": root_path, "path": root_path + path, "raw_path": raw_path}


def route_path(scope: Scope) -> str:
    """Return the request's path without the root path, so that it matches the routes."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
