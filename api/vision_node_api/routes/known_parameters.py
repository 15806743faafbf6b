"""Refuse query parameters that a route does not have.

They are most often misspelled, and would otherwise be ignored without a word.
"""

from collections.abc import Collection, Iterator
from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_snake
from vision_node_contract.models.reasons import Reason

from ..web.problems import Problem
from ..web.unknown_names import unknown_name
from .dependencies import PROBLEM

CACHE_BUSTER = "_"
"""Parameter that libraries for browsers, such as jQuery, add to a GET so that no cache answers."""


async def require_known_parameters(request: Request) -> None:
    """Refuse a request whose query has a parameter that its route does not have.

    The known ones are those that the route and its dependencies declare, and the options in its
    OpenAPI description, which are read together with the fields of forms.

    The function is async, because FastAPI would otherwise call it in a thread.

    Raises:
        Problem: 422 OptionsInvalid if the route has options; otherwise, 422 InvalidRequest.
    """
    if not request.scope["query_string"]:
        return

    route: APIRoute = request.scope["route"]
    options = [*_options(route)]
    known = [*dict.fromkeys([*_declared(route.dependant), *options])]
    # Options are also accepted in snake case.
    accepted = {*known, *map(to_snake, options), CACHE_BUSTER}

    for name in request.query_params:
        if name not in accepted:
            raise _unknown(name, known, is_option=bool(options))


STRICT: dict[str, Any] = {
    "dependencies": [Depends(require_known_parameters)],
    "responses": {422: PROBLEM},
}
"""Arguments of `include_router` for routes that refuse unknown query parameters."""


def _unknown(name: str, known: Collection[str], *, is_option: bool) -> Problem:
    detail = unknown_name("query parameter", name, known)
    if is_option:
        return Problem(422, Reason.OPTIONS_INVALID, detail)

    return Problem(422, "InvalidRequest", detail)


def _declared(dependant: Dependant) -> Iterator[str]:
    """Yield the query parameters of a route's function and of its dependencies."""
    yield from (field.alias for field in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _declared(dependency)


def _options(route: APIRoute) -> Iterator[str]:
    """Yield the query parameters that only the OpenAPI description of a route has."""
    for parameter in (route.openapi_extra or {}).get("parameters", ()):
        if parameter["in"] == "query":
            yield parameter["name"]
