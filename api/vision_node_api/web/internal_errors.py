"""Answers to unforeseen errors: a problem document with an id that the log has, never a bare 500."""

import asyncio
import logging
import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .problems import Problem, problem_of

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "2"
"""For requests that a stopping server abandons: by then another replica or its successor answers."""


class InternalErrors:
    """Answers every exception that what is inside it raises.

    An unforeseen exception becomes 500 InternalError with an id that the log has beside the
    traceback. It is not raised again: uvicorn would log it a second time, and close a connection
    that the client may use for further requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer if the application fails to."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        answer = _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            log.debug("the client of %s went away", _name_of(scope))
        except asyncio.CancelledError:
            # Only a stopping server cancels requests, after its grace period.
            await answer.refuse(scope, receive, _stopping())
            raise
        except Exception as error:  # noqa: BLE001 (whatever it is, the client gets an answer)
            meant = None if answer.started else problem_of(error)
            await answer.refuse(scope, receive, meant or _unforeseen(scope, error))


class _Answer:
    """An answer that may have begun when the application fails."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        self.started = True
        await self._send(message)

    async def refuse(self, scope: Scope, receive: Receive, problem: Problem) -> None:
        """Answer with a problem; if an answer has begun already, uvicorn closes the connection."""
        if not self.started:
            await problem.response_at(scope)(scope, receive, self.send)


def _unforeseen(scope: Scope, error: Exception) -> Problem:
    error_id = secrets.token_hex(8)
    log.error("%s failed, id %s", _name_of(scope), error_id, exc_info=error)
    detail = f"the server failed unexpectedly; its log has the details under the id {error_id}"
    return Problem(500, "InternalError", detail, id=error_id)


def _stopping() -> Problem:
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    detail = "the server is being stopped; send the request again"
    return Problem(503, "ServerStopping", detail, headers=headers)


def _name_of(scope: Scope) -> str:
    """Return method and path, quoted because a path may hold line breaks; a query may hold secrets."""
    return f"{scope['method']} {scope['path']!r}"
