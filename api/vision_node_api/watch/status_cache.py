"""Status polls of known jobs, answered ahead of FastAPI: clients ask many times for each image."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..web.request_metrics import ROUTE
from ..web.root_path import route_path

PATH = "/status/"
TEMPLATE = "/status/{job_id}"


class Polls:
    """Answers `GET /status/{job_id}` with what `known` has for the id; all else goes on to `app`."""

    def __init__(self, app: ASGIApp, known: Callable[[Scope, str], str | None]) -> None:
        self._app = app
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        text = self._answer(scope)
        if text is None:
            await self._app(scope, receive, send)
        else:
            scope[ROUTE] = TEMPLATE
            await Response(text, media_type="application/json")(scope, receive, send)

    def _answer(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path = route_path(scope)
        return self._known(scope, path.removeprefix(PATH)) if path.startswith(PATH) else None
