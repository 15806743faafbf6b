"""Restore what clients originally sent, based on the forwarding headers of trusted proxies."""

import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..web.forwarded import ForwardedRequest, read_forwarded, read_prefix
from ..web.root_path import parse_root_path, with_root_path
from ..web.trusted_proxies import TrustedProxies, parse_address

SCHEMES = frozenset({"http", "https"})

_HOST = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII
)
"""A host with or without a port (RFC 9110, section 7.2). Values that contain line breaks or user
names do not match."""


class ProxyHeadersMiddleware:
    """Restores the original scheme, host, client address and root path of each request.

    Forwarding headers are ignored if their values are invalid, or if they were not sent by a
    trusted proxy.

    Args:
        app: The wrapped application.
        trusted: The trusted proxies.
        root_path: Root path of requests for which no proxy reports a root path.
    """

    def __init__(self, app: ASGIApp, trusted: TrustedProxies, root_path: str) -> None:
        self._app = app
        self._trusted = trusted
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to the application as its client sent it."""
        if scope["type"] == "http":
            scope = self._as_client_sent(scope)
        await self._app(scope, receive, send)

    def _as_client_sent(self, scope: Scope) -> Scope:
        peer = parse_address(scope["client"][0]) if scope.get("client") else None
        if not self._trusted.trust(peer):
            return with_root_path(scope, self._root_path)

        headers = Headers(scope=scope)
        forwarded = self._apply(scope, read_forwarded(headers))
        return with_root_path(forwarded, self._root_path_of(headers))

    def _apply(self, scope: Scope, forwarded: ForwardedRequest) -> Scope:
        """Return the scope with the valid values from the forwarding headers."""
        # Each trusted proxy either appended one value or replaced all values with its own.
        hops = 1 + self._trusted.count_trusted(forwarded.addresses)
        client = parse_address(_nth_last(forwarded.addresses, hops))
        scheme = _nth_last(forwarded.schemes, hops).lower()
        host = _nth_last(forwarded.hosts, hops)

        result = dict(scope)
        if client is not None:
            result["client"] = (str(client), 0)

        if scheme in SCHEMES:
            result["scheme"] = scheme

        if _HOST.fullmatch(host):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            result["headers"] = [(b"host", host.encode()), *others]

        return result

    def _root_path_of(self, headers: Headers) -> str:
        try:
            prefix = read_prefix(headers)
            return self._root_path if prefix is None else parse_root_path(prefix)
        except ValueError:
            return self._root_path


def _nth_last(values: Sequence[str], n: int) -> str:
    """Return the n-th value from the end.

    If there are fewer values, return the first one, or "" if there are none.
    """
    return values[-min(n, len(values))] if values else ""
