"""Behind proxies: requests as the client has sent them, as far as a trusted proxy tells."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from .forwarded import ForwardedRequest, read_forwarded, read_prefix
from .root_path import parse_root_path, put_below

SCHEMES = frozenset({"http", "https"})

_HOST = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII
)
"""A host, perhaps with a port (RFC 9110, section 7.2): nothing that ends a header or names a user."""

_ADDRESS = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[0-9.]+):\d+|(?P<bare>.*)", re.ASCII)
"""An address with or without a port (RFC 7239, section 6)."""


class TrustedProxies:
    """The networks from which forwarding headers are believed.

    Args:
        networks: In CIDR notation; a single address is a network, too.

    Raises:
        ValueError: one of them is none.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trust(self, address: IPv4Address | IPv6Address | None) -> bool:
        """Return whether whoever has that address is believed."""
        return address is not None and any(address in network for network in self._networks)

    def count_trusted(self, addresses: Sequence[str]) -> int:
        """Return how many addresses at the end of the list are trusted."""
        count = 0
        while count < len(addresses) and self.trust(parse_address(addresses[-1 - count])):
            count += 1
        return count


class ProxyHeaders:
    """Gives requests the scheme, host, client address and root path that their client has used.

    Headers of anyone but a trusted proxy are ignored, and so is a value that is not what it should
    be.

    Args:
        app: What answers.
        trusted: The proxies.
        root_path: The root path of requests whose proxy tells none.
    """

    def __init__(self, app: ASGIApp, trusted: TrustedProxies, root_path: str) -> None:
        self._app = app
        self._trusted = trusted
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as its client sees it."""
        if scope["type"] == "http":
            scope = self._as_sent(scope)
        await self._app(scope, receive, send)

    def _as_sent(self, scope: Scope) -> Scope:
        peer = parse_address(scope["client"][0]) if scope.get("client") else None
        if not self._trusted.trust(peer):
            return put_below(scope, self._root_path)

        headers = Headers(scope=scope)
        return put_below(self._believe(scope, read_forwarded(headers)), self._prefix(headers))

    def _believe(self, scope: Scope, said: ForwardedRequest) -> Scope:
        # Each trusted proxy on the way has added one value, or replaced them all by its own.
        hops = 1 + self._trusted.count_trusted(said.addresses)
        client = parse_address(_nth_last(said.addresses, hops))
        scheme = _nth_last(said.schemes, hops).lower()
        host = _nth_last(said.hosts, hops)

        told = dict(scope)
        if client is not None:
            told["client"] = (str(client), 0)

        if scheme in SCHEMES:
            told["scheme"] = scheme

        if _HOST.fullmatch(host):
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            told["headers"] = [(b"host", host.encode()), *others]

        return told

    def _prefix(self, headers: Headers) -> str:
        try:
            prefix = read_prefix(headers)
            return self._root_path if prefix is None else parse_root_path(prefix)
        except ValueError:
            return self._root_path


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address, without a port; None for what is none, such as `unknown`."""
    found = _ADDRESS.fullmatch(text.strip())
    if not found:
        return None

    try:
        address = ip_address(found["v6"] or found["v4"] or found["bare"] or "")
    except ValueError:
        return None

    # A socket for IPv6 shows the clients of IPv4 as ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2).
    return getattr(address, "ipv4_mapped", None) or address


def _nth_last(values: Sequence[str], n: int) -> str:
    """Return the n-th value from the end, or the first one of fewer; empty without any."""
    return values[-min(n, len(values))] if values else ""
