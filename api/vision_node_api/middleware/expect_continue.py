"""Handle requests that wait for permission to send their body (RFC 9110, section 10.1.1)."""

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ExpectContinueMiddleware:
    """Closes the connection after responding to a request that never got its `100 Continue`.

    uvicorn sends `100 Continue` when the application begins to read the body. If the application
    responds without reading the body, the client may or may not send it. The server then cannot
    know whether the next bytes on the connection are the body or another request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and close the connection if its body has not been requested."""
        if scope["type"] != "http" or not expects_continue(scope):
            await self._app(scope, receive, send)
            return

        permitted = False

        async def receive_body() -> Message:
            nonlocal permitted
            permitted = True
            return await receive()

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and not permitted:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive_body, send_response)


def expects_continue(scope: Scope) -> bool:
    """Return whether the client waits for permission to send the request's body."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)
