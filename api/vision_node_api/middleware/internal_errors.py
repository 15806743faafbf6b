"""Respond to unexpected errors with problem documents. Each contains an id that is also logged."""

import asyncio
import logging
import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..web.problems import Problem, problem_of

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "2"
"""Retry-After, in seconds, for requests that a stopping server aborts. After this time, another
replica can respond."""


class InternalErrorMiddleware:
    """Converts every exception that the wrapped application raises into a response.

    The response to an unexpected exception is 500 InternalError, with an id that is logged
    together with the traceback. The exception is not re-raised, because uvicorn would log it a
    second time and close a connection that the client might use for further requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and respond if the application raises an exception."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        response = _Response(send)

        try:
            await self._app(scope, receive, response.send)
        except ClientDisconnect:
            log.debug("the client of %s disconnected", _request_name(scope))
        except asyncio.CancelledError:
            # Requests are cancelled only when the server stops and its grace period has ended.
            await response.refuse(scope, receive, _stopping())
            raise
        except Exception as error:  # noqa: BLE001 (the client gets a response to any error)
            expected = None if response.started else problem_of(error)
            await response.refuse(scope, receive, expected or _unexpected(scope, error))


class _Response:
    """A response that may already have started when the application fails."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        self.started = True
        await self._send(message)

    async def refuse(self, scope: Scope, receive: Receive, problem: Problem) -> None:
        """Respond with a problem, unless a response has already started.

        If a response has started, uvicorn closes the connection.
        """
        if not self.started:
            await problem.response_at(scope)(scope, receive, self.send)


def _unexpected(scope: Scope, error: Exception) -> Problem:
    error_id = secrets.token_hex(8)
    log.error("%s failed, id %s", _request_name(scope), error_id, exc_info=error)

    detail = f"The server failed unexpectedly. Look for the id {error_id} in its log."
    return Problem(500, "InternalError", detail, id=error_id)


def _stopping() -> Problem:
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = "The server is shutting down. Send the request again."
    return Problem(503, "ServerStopping", detail, headers=headers)


def _request_name(scope: Scope) -> str:
    """Return the method and the path of a request for the log.

    The path is quoted because it may contain line breaks. The query is left out because it may
    contain secrets.
    """
    return f"{scope['method']} {scope['path']!r}"
