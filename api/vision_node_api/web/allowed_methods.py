"""Find out which methods the API supports for a path, of which several routes may have the same."""

from collections.abc import Iterable

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.types import Scope

from .root_path import route_path

ORDER = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
"""Order of the methods in the Allow header."""


def allowed_methods(scope: Scope) -> list[str]:
    """Return the methods of all routes that match the path of a request, sorted.

    A path without parameters, such as /jobs/export, has the methods of its own routes, although it
    also looks like /jobs/{job_id}.

    Starlette and FastAPI list only those of the first such route in a 405 response, but the header
    Allow has to list all of them (RFC 9110, section 10.2.1).
    """
    app: FastAPI = scope["app"]
    path = route_path(scope)
    fixed: set[str] = set()
    found: set[str] = set()
    for route in iter_route_contexts(app.routes):
        pattern = getattr(route, "path_regex", None)
        methods: set[str] | None = getattr(route, "methods", None)
        if pattern is not None and methods and pattern.match(path):
            found |= methods
            if getattr(route, "path", None) == path:
                fixed |= methods

    return sorted(fixed or found)


def with_head_and_options(methods: Iterable[str]) -> str:
    """Return the value of an Allow header: the methods of a path's routes, and what all paths have.

    Each path supports OPTIONS and, if it supports GET, also HEAD. A path without known methods has
    static files, which support GET.
    """
    known = {*methods} or {"GET"}
    found = known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set())
    others = sorted(found.difference(ORDER))
    return ", ".join([*(method for method in ORDER if method in found), *others])
