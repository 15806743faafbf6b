"""Status polls of known jobs, answered ahead of FastAPI: clients ask many times for each image."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/status/"


class Polls:
    """Answers `GET /status/{job_id}` with what `known` has for the id; everything else goes on to `app`."""

    def __init__(self, app: ASGIApp, known: Callable[[Scope, str], str | None]) -> None:
        self._app = app
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(PATH):
            text = self._known(scope, scope["path"].removeprefix(PATH))
            if text:
                await Response(text, media_type="application/json")(scope, receive, send)
                return
        await self._app(scope, receive, send)
