"""Refuse the requests of owners that send too many, and tell all limited clients how many remain.

A stream of events and a request that waits count once, when they begin.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..web.access import current_access
from ..web.rate_limit import RateLimiter


class RateLimitMiddleware:
    """Takes one token for each request of a client that has an owner.

    It must be inside the middleware that authenticates clients. The limiter is in the state of the
    application, because it depends on settings that the application gets when it starts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        owner = current_access().owner if scope["type"] == "http" else ""
        turn = _limiter(scope).take(owner) if owner else None
        if turn is None:
            await self._app(scope, receive, send)
            return

        async def send_limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *turn.headers]
            await send(message)

        app: ASGIApp = self._app if turn.is_allowed else turn.problem().response_at(scope)
        await app(scope, receive, send_limited)


def _limiter(scope: Scope) -> RateLimiter:
    limiter: RateLimiter = scope["app"].state.rate_limiter
    return limiter
