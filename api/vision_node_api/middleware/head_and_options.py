"""Support HEAD and OPTIONS for every route, so that the routes need not implement them.

RFC 9110 defines the two methods in sections 9.3.2 and 9.3.7.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..web.allowed_methods import with_head_and_options
from ..web.json_lines import IS_HEAD


class HeadAndOptionsMiddleware:
    """Responds to HEAD and OPTIONS.

    The response to HEAD is the response to GET without its body. The response to OPTIONS lists the
    methods of the route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and adapt the response to the method."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            # The scope is copied, because uvicorn omits the body only if the method in its own
            # scope is still HEAD.
            without_body = {**scope, "method": "GET", IS_HEAD: True}
            await self._app(without_body, receive, _WithoutBody(send).send)
        elif scope["method"] == "OPTIONS":
            await self._app(scope, receive, _OptionsResponse(send).send)
        else:
            await self._app(scope, receive, _WithAllow(send).send)


class _WithAllow:
    """Adds HEAD and OPTIONS to the Allow header of a 405 response."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            MutableHeaders(scope=message)["Allow"] = _allowed(message)
        await self._send(message)


class _WithoutBody(_WithAllow):
    """Removes the body of a response, but keeps its Content-Length (RFC 9110, section 9.3.2)."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        elif message["type"] == "http.response.pathsend":
            message = {"type": "http.response.body", "body": b""}
        await super().send(message)


class _OptionsResponse:
    """Converts the 405 response to OPTIONS, which lists the methods of the route, into a 204."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._responded = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            self._responded = True
            headers = [(b"allow", _allowed(message).encode())]
            await self._send({**message, "status": 204, "headers": headers})
            await self._send({"type": "http.response.body", "body": b""})
        elif not self._responded:
            await self._send(message)


def _allowed(refusal: Message) -> str:
    """Return the methods that a 405 response lists, plus OPTIONS, plus HEAD if GET is listed."""
    named = Headers(raw=refusal["headers"]).get("allow", "")
    return with_head_and_options(it.strip() for it in named.split(",") if it.strip())
