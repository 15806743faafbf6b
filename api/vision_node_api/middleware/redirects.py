"""Make redirects relative (RFC 9110, section 10.2.2), so that they work behind any proxy."""

from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import URL, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RelativeRedirectMiddleware:
    """Removes the scheme and the host from redirects to this server.

    If a path ends with a slash, FastAPI redirects to a URL with a scheme and a host. Both may be
    wrong if a proxy that terminates TLS does not report them, but the client knows them anyway.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and make the response's Location relative."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                if location := headers.get("location"):
                    headers["location"] = relative_location(location, scope)

            await send(message)

        await self._app(scope, receive, send_response)


def relative_location(location: str, scope: Scope) -> str:
    """Return a redirect's location without scheme and host if it is on the requested server.

    Other locations are returned unchanged.
    """
    target = urlsplit(location)
    if not target.netloc or target.netloc != URL(scope=scope).netloc:
        return location

    # Without the host, a path that starts with two slashes would name another host.
    if target.path[:2] in {"", "//", "/\\"}:
        return location

    return urlunsplit(("", "", target.path, target.query, target.fragment))
