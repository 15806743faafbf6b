"""Let only clients in that say who they are, and only on the routes that they may use.

This wraps nearly everything else, so that nothing answers before it, and a wrong key costs little.
"""

import json

from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from ..services.auth.authentication import Authenticated, Authentication
from ..services.auth.refusals import Refusals, unauthenticated
from ..web.access import NOBODY, Access, using_access
from ..web.access_check import REQUIRE_ACCESS
from ..web.credentials import Refusal
from ..web.identity_key import IDENTITY
from ..web.problems import MEDIA_TYPE, Problem, quote_path
from ..web.required_scope import ANY, PUBLIC, Required
from ..web.root_path import route_path
from ..web.same_origin import SAFE_METHODS, require_same_origin
from .expect_continue import ExpectContinueMiddleware, expects_continue
from .route_requirements import RouteRequirements

FORBIDDEN, UNAVAILABLE = "forbidden", "unavailable"
"""Labels of the counter in addition to `Refusal`."""


class AuthenticationMiddleware:
    """Refuses requests of unknown clients, and passes the others on with their access.

    Args:
        app: The wrapped application.
        state: The application's state, whose `authentication` finds out who sent a request.
        requirements: What a client needs for each route.
        refusals: What counts refused requests, and slows down clients that send many.
    """

    def __init__(
        self, app: ASGIApp, state: State, requirements: RouteRequirements, refusals: Refusals
    ) -> None:
        self._app = app
        self._state = state
        self._requirements = requirements
        self._refusals = refusals

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
            self._refusals.count(label)
            refuse = ExpectContinueMiddleware(problem.response_at(scope))
            await refuse(scope, receive, send)
            return

        if isinstance(found, Refusal):
            self._refusals.count(found)
            await self._refuse(scope, send)
            return

        access = found.identity.access
        scope[IDENTITY] = found.identity
        scope[REQUIRE_ACCESS] = lambda: self._require_still(scope, access)
        with using_access(access):
            await self._app(scope, receive, send)

    async def _require_still(self, scope: Scope, access: Access) -> None:
        """Raise an error if a client with this access could not send the request any more.

        Raises:
            Problem: 401 Unauthenticated; 403 Forbidden; 503 AuthenticationUnavailable.
        """
        authentication: Authentication = self._state.authentication
        found = await authentication.of_request(scope, lambda: False)
        if isinstance(found, Refusal):
            raise unauthenticated()

        if found.identity.access != access:
            detail = (
                f"The rights of {access.subject!r} have changed since the request began. "
                "Send it again."
            )
            raise Problem(403, "Forbidden", detail)

    async def _authenticated(self, scope: Scope) -> Authenticated | Refusal:
        authentication: Authentication = self._state.authentication
        address = _address(scope)
        return await authentication.of_request(scope, lambda: not self._refusals.is_spent(address))

    async def _refuse(self, scope: Scope, send: Send) -> None:
        """Answer at once, or later if the client's address sends many such requests."""
        # While an answer is delayed, the connection holds what has arrived of a body.
        was_cut = await self._refusals.delay(_address(scope), can_delay=not _has_body(scope))
        await _send_refusal(scope, send, must_close=was_cut or expects_continue(scope))


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
    """Send the response to a request with a wrong key, most of which is computed only once."""
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
