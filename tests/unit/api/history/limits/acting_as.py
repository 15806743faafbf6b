"""Requests of clients that have owners, as authentication sets them."""

from starlette.types import ASGIApp, Receive, Scope, Send
from vision_node_api.web.access import UNRESTRICTED, Access, using_access
from vision_node_api.web.access import Scope as Right

OWNER_HEADER = "x-test-owner"
"""Names the owner of a request; without it, nobody is authenticated. `admin:` is a prefix."""


class ActingAs:
    """Answers each request as the client that a header names."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        with using_access(access_of(headers.get(OWNER_HEADER.encode(), b"").decode())):
            await self._app(scope, receive, send)


def access_of(name: str) -> Access:
    """Return the access of a client with this owner."""
    if not name:
        return UNRESTRICTED

    owner = name.removeprefix("admin:")
    rights: tuple[Right, ...] = ("submit", "read")
    return Access(owner, frozenset((*rights, "admin") if owner != name else rights), owner)


def as_(owner: str) -> dict[str, str]:
    """Return the headers of a request of an owner."""
    return {OWNER_HEADER: owner}
