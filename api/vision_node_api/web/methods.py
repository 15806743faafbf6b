"""HEAD and OPTIONS on every route, without a word about them in any (RFC 9110, 9.3.2 and 9.3.7)."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ORDER = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
"""Methods as the Allow header lists them."""


class HeadAndOptions:
    """Answers HEAD as GET, without the body, and OPTIONS with the methods that a route has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and change the answer where the method wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "HEAD":
            # A copy: the server looks at its own scope to see that no body has to follow.
            await self._app({**scope, "method": "GET"}, receive, _Bodiless(send).send)
        elif scope["method"] == "OPTIONS":
            await self._app(scope, receive, _Options(send).send)
        else:
            await self._app(scope, receive, _Allowing(send).send)


class _Allowing:
    """Adds to the Allow header of a refusal what this middleware answers."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            MutableHeaders(scope=message)["Allow"] = _allowed(message)
        await self._send(message)


class _Bodiless(_Allowing):
    """Lets an answer pass without its body; its length stays, as RFC 9110 wants it."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        elif message["type"] == "http.response.pathsend":
            message = {"type": "http.response.body", "body": b""}
        await super().send(message)


class _Options:
    """Turns the router's refusal of OPTIONS, which names the methods that there are, into 204."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._answered = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 405:
            self._answered = True
            headers = [(b"allow", _allowed(message).encode())]
            await self._send({**message, "status": 204, "headers": headers})
            await self._send({"type": "http.response.body", "body": b""})
        elif not self._answered:
            await self._send(message)


def _allowed(refusal: Message) -> str:
    """Return the methods that a 405 names, and those that follow; a 405 of static files names none."""
    named = Headers(raw=refusal["headers"]).get("allow") or "GET"
    methods = {method.strip() for method in named.split(",")} | {"OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    others = sorted(methods.difference(ORDER))
    return ", ".join([*(method for method in ORDER if method in methods), *others])
