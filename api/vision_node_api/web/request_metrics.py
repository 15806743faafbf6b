"""Counting requests and their time, by route: addresses hold job ids, and are without number."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..services.metrics import ACCEPTED, Metrics
from .problems import REASON

ROUTE = "vision_node.route"
"""Key of the scope under which those who answer ahead of the router say which route it is."""

OTHER = "other"
"""For methods that the API does not have, addresses that no route has, and the files of /docs."""

NO_ANSWER = "none"
"""Status of requests whose clients went away."""

METHODS = frozenset({"GET", "POST", "DELETE", "OPTIONS"})
"""HEAD arrives here as GET."""

SUBMIT = ("POST", "/submit")


class RequestMetrics:
    """Tells `metrics` of every request; goes directly around the application, which names the route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it at its end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        began, status = time.monotonic(), NO_ANSWER

        async def send_answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_answer)
        finally:
            self._count(scope, status, time.monotonic() - began)

    def _count(self, scope: Scope, status: str, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER
        route = route_of(scope)
        self._metrics.requests.labels(method, route, status).observe(seconds)
        if (method, route) == SUBMIT:
            outcome = ACCEPTED if status == "202" else scope.get(REASON, NO_ANSWER)
            self._metrics.submits.labels(outcome).inc()


def route_of(scope: Scope) -> str:
    """Return the template of the request's route, such as /status/{job_id}."""
    named: str | None = scope.get(ROUTE)
    return named or getattr(scope.get("route"), "path_format", None) or OTHER
