"""Find out what a client needs for a request, before the request reaches the router."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from ..web.required_scope import ANY, PUBLIC, Required


class _Route(NamedTuple):
    path: re.Pattern[str]
    methods: frozenset[str] | None
    """None for all methods."""
    required: Mapping[str, Required]
    """What a client needs, by method."""


class RouteRequirements:
    """The requirements of all routes, in the order in which the router tries them.

    A route is found by its regular expression, which is the router's own, so both always choose
    the same one.

    Args:
        app: The application, with all of its routes.
        required: What a client needs, by method and template of the path. Routes that are missing
            are for administrators.
    """

    def __init__(self, app: FastAPI, required: Mapping[tuple[str, str], Required]) -> None:
        self._routes: dict[str, list[_Route]] = {}
        """The routes, by the first segment of the path, which is fixed in all templates."""
        for route in iter_route_contexts(app.routes):
            pattern = getattr(route, "path_regex", None)
            template = route.path_format
            if pattern is None or template is None:
                continue

            methods: set[str] | None = getattr(route, "methods", None)
            needs = {
                method: required.get((method, template), "admin")
                for method in methods or {"GET"}
                if method != "HEAD"
            }
            allowed = frozenset(methods) if methods else None
            self._routes.setdefault(_first_segment(template), []).append(
                _Route(pattern, allowed, needs)
            )

    def of(self, method: str, path: str) -> Required:
        """Return what a client needs.

        OPTIONS is for everyone, because browsers send it without a key, and it tells no more than
        the OpenAPI document. What is not found is only told to clients that say who they are.

        Args:
            method: Method of the request.
            path: Path of the request, without the root path.
        """
        if method == "OPTIONS":
            return PUBLIC

        method, path = "GET" if method == "HEAD" else method, path or "/"
        found = self._find(method, path)
        if found is None and path.endswith("/"):
            # The router redirects such a path. Everyone may follow a redirect to a public page.
            found = self._find(method, path.rstrip("/") or "/")
            found = found if found == PUBLIC else None

        return found or ANY

    def _find(self, method: str, path: str) -> Required | None:
        for route in self._routes.get(_first_segment(path), ()):
            has_method = route.methods is None or method in route.methods
            if has_method and route.path.match(path):
                return route.required.get(method, "admin")

        return None


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
