"""Let only clients in that say who they are, and only on the routes that they may use.

This wraps nearly everything else, so that nothing answers before it, and a wrong key costs little.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from ..services.auth.authentication import Authenticated, Authentication
from ..web.access import NOBODY, using_access
from ..web.credentials import Refusal
from ..web.failure_budget import FailureBudget
from ..web.identity_key import IDENTITY
from ..web.problems import MEDIA_TYPE, Problem, quote_path
from ..web.required_scope import ANY, PUBLIC, Required
from ..web.root_path import route_path
from ..web.same_origin import SAFE_METHODS, require_same_origin
from .expect_continue import ExpectContinueMiddleware, expects_continue
from .route_requirements import RouteRequirements

DELAY_SECONDS = 1.0
"""How long an answer to a wrong key is delayed, in seconds, if its address has sent too many. A
client sends no further request on the connection meanwhile."""

MAX_DELAYED = 1000
"""Maximum number of answers that are delayed at the same time. Each takes about 20 kB, with its
connection. Connections of further clients are closed after their answers."""

FORBIDDEN, UNAVAILABLE = "forbidden", "unavailable"
"""Labels of the counter in addition to `Refusal`."""


class AuthenticationMiddleware:
    """Refuses requests of unknown clients, and passes the others on with their access.

    Args:
        app: The wrapped application.
        state: The application's state, whose `authentication` finds out who sent a request.
        requirements: What a client needs for each route.
        refused: Counter of refused requests by reason.
    """

    def __init__(
        self, app: ASGIApp, state: State, requirements: RouteRequirements, refused: Counter
    ) -> None:
        self._app = app
        self._state = state
        self._requirements = requirements
        self._refused = refused
        self._budget = FailureBudget()
        self._delayed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it without reading its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        required = self._requirements.of(scope["method"], route_path(scope))
        if required == PUBLIC:
            with using_access(NOBODY):
                await self._app(scope, receive, send)
            return

        try:
            found = await self._authenticated(scope)
            if not isinstance(found, Refusal):
                _require_right(scope, found, required)
        except Problem as problem:
            label = UNAVAILABLE if problem.status == 503 else FORBIDDEN
            self._refused.labels(label).inc()
            refuse = ExpectContinueMiddleware(problem.response_at(scope))
            await refuse(scope, receive, send)
            return

        if isinstance(found, Refusal):
            self._refused.labels(found).inc()
            await self._refuse(scope, send)
            return

        scope[IDENTITY] = found.identity
        with using_access(found.identity.access):
            await self._app(scope, receive, send)

    async def _authenticated(self, scope: Scope) -> Authenticated | Refusal:
        authentication: Authentication = self._state.authentication
        address = _address(scope)
        return await authentication.of_request(scope, lambda: not self._budget.is_spent(address))

    async def _refuse(self, scope: Scope, send: Send) -> None:
        """Answer at once, or later if the client's address sends many such requests."""
        must_close = expects_continue(scope)
        if not self._budget.take(_address(scope)):
            # While an answer is delayed, the connection holds what has arrived of a body.
            can_delay = self._delayed < MAX_DELAYED and not _has_body(scope)
            must_close = must_close or not can_delay
            if can_delay:
                with self._delaying():
                    await asyncio.sleep(DELAY_SECONDS)

        await _send_refusal(scope, send, must_close=must_close)

    @contextmanager
    def _delaying(self) -> Iterator[None]:
        self._delayed += 1
        try:
            yield
        finally:
            self._delayed -= 1


def _require_right(scope: Scope, found: Authenticated, required: Required) -> None:
    """Refuse what the client may not do.

    Raises:
        Problem: 403 Forbidden or OriginNotAllowed.
    """
    if found.has_session and scope["method"] not in SAFE_METHODS:
        require_same_origin(scope)

    access = found.identity.access
    if required in {ANY, PUBLIC} or access.allows(required):
        return

    scopes = ", ".join(sorted(access.scopes)) or "none"
    detail = (
        f"{scope['method']} on this path needs the scope {required}, but {access.subject!r} has: "
        f"{scopes}. Use another key, or ask an administrator for one."
    )
    raise Problem(403, "Forbidden", detail)


def unauthenticated() -> Problem:
    """Return the problem of all requests that do not say who sent them, whatever is wrong."""
    detail = (
        "The request has no valid API key or token. Send a key in the header "
        "`Authorization: Bearer vn_…`. Keys expire, and administrators create and revoke them. "
        "GET /whoami says whether a key works."
    )
    return Problem(401, "Unauthenticated", detail)


_DOCUMENT = unauthenticated().document()
_BODY_START = json.dumps(
    {name: value for name, value in _DOCUMENT.items() if name != "help"},
    ensure_ascii=False,
    separators=(",", ":"),
).encode()[:-1]
_HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"www-authenticate", b"Bearer"),
    (b"cache-control", b"no-store"),
]


async def _send_refusal(scope: Scope, send: Send, *, must_close: bool) -> None:
    """Send the response to a request with a wrong key, of which most is computed only once."""
    # Neither the path nor the root path has characters that JSON would escape.
    instance, root_path = quote_path(scope["path"]), scope.get("root_path", "")
    body = b'%b,"instance":"%b","help":"%b%b"}' % (
        _BODY_START,
        instance.encode(),
        root_path.encode(),
        _DOCUMENT["help"].encode(),
    )

    headers = [*_HEADERS, (b"content-length", b"%d" % len(body))]
    if must_close:
        headers.append((b"connection", b"close"))

    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _address(scope: Scope) -> str:
    """Return the client's address, which trusted proxies have reported."""
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
