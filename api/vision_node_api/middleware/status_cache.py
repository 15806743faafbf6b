"""Respond to status polls for cached jobs without the overhead of FastAPI.

This matters because clients poll often.
"""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..web.root_path import route_path
from .request_metrics import ROUTE

PATH = "/status/"
TEMPLATE = "/status/{job_id}"


class StatusCacheMiddleware:
    """Responds to `GET /status/{job_id}` from the cache, and passes all other requests on.

    Others include those with the header Prefer, because their clients may want to wait, and those
    with a query, because the route refuses unknown parameters.

    Args:
        app: The wrapped application.
        cached_status: Function that takes a request's scope and a job's id. It returns the JSON of
            the response, or None if the job is not cached.
    """

    def __init__(self, app: ASGIApp, cached_status: Callable[[Scope, str], str | None]) -> None:
        self._app = app
        self._cached_status = cached_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond if the job is cached; otherwise, pass the request on."""
        body = self._find(scope)
        if body is None:
            await self._app(scope, receive, send)
            return

        scope[ROUTE] = TEMPLATE
        await Response(body, media_type="application/json")(scope, receive, send)

    def _find(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None

        path = route_path(scope)
        if not path.startswith(PATH) or scope["query_string"] or _has_preference(scope):
            return None

        return self._cached_status(scope, path.removeprefix(PATH))


def _has_preference(scope: Scope) -> bool:
    return any(name == b"prefer" for name, _ in scope["headers"])
