"""Redirects that hold behind any proxy: they name a path, not a host (RFC 9110, section 10.2.2)."""

from urllib.parse import urlsplit, urlunsplit

from starlette.datastructures import URL, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PathOnlyRedirects:
    """Takes scheme and host out of redirects to this server.

    The framework makes such redirects for a slash at the end of a path. A proxy that ends TLS may
    tell neither scheme nor host, and the client knows both.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and change the answer's Location."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_answer(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                if location := headers.get("location"):
                    headers["location"] = path_only(location, scope)

            await send(message)

        await self._app(scope, receive, send_answer)


def path_only(location: str, scope: Scope) -> str:
    """Return path and query of an address on the requested server; other addresses as they are."""
    target = urlsplit(location)
    if not target.netloc or target.netloc != URL(scope=scope).netloc:
        return location
    # Without the host, a path with two slashes at its start would name another one.
    if target.path[:2] in {"", "//", "/\\"}:
        return location
    return urlunsplit(("", "", target.path, target.query, target.fragment))
