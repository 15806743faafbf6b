"""Count requests and measure their duration by route.

Paths are not used as labels. They contain job ids, so the number of labels would be unlimited.
"""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..services.metrics import ACCEPTED, OWNER_REASONS, Metrics
from ..web.event_stream import MEDIA_TYPE as EVENT_STREAM
from ..web.problems import REASON
from ..web.waiting import WAITED

ROUTE = "vision_node.route"
"""Key in the scope for the route's template. It is set by middleware that responds in
place of the router."""

OTHER = "other"
"""Label for methods and paths that the API does not support, and for the static files of /docs."""

NO_RESPONSE = "none"
"""Status label of requests whose clients disconnected."""

METHODS = frozenset({"GET", "POST", "DELETE", "OPTIONS"})
"""Methods that have their own labels. HEAD is not among them, because other middleware has already
changed it to GET."""

SUBMIT = ("POST", "/submit")
ACCEPTED_STATUSES = frozenset({"200", "202"})
"""Status labels of accepted submissions: 200 for one whose result exists already."""


class RequestMetricsMiddleware:
    """Records every request in `metrics`.

    It must wrap the application directly, because it reads the route from the scope that the router
    has modified.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and record it when it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = time.monotonic()
        status = NO_RESPONSE
        ended: float | None = None

        async def send_response(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status = str(message["status"])
                # A stream of events lasts as long as its client wants, so its end says nothing.
                ended = time.monotonic() if _is_event_stream(message) else None
            await send(message)

        try:
            await self._app(scope, receive, send_response)
        finally:
            self._record(scope, status, (ended or time.monotonic()) - started)

    def _record(self, scope: Scope, status: str, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER
        route = route_of(scope)
        # The time that a client wanted to wait says nothing about this server.
        own_seconds = max(0.0, seconds - scope.get(WAITED, 0.0))
        self._metrics.requests.labels(method, route, status).observe(own_seconds)

        reason = scope.get(REASON)
        if reason in OWNER_REASONS:
            self._metrics.owner_refusals.labels(reason).inc()

        if (method, route) == SUBMIT:
            outcome = ACCEPTED if status in ACCEPTED_STATUSES else scope.get(REASON, NO_RESPONSE)
            self._metrics.submits.labels(outcome).inc()


def _is_event_stream(start: Message) -> bool:
    content_type = Headers(raw=start["headers"]).get("content-type", "")
    return content_type.startswith(EVENT_STREAM)


def route_of(scope: Scope) -> str:
    """Return the template of the request's route, such as /status/{job_id}."""
    named: str | None = scope.get(ROUTE)
    return named or getattr(scope.get("route"), "path_format", None) or OTHER
