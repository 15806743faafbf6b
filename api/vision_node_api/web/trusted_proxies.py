"""Determine which proxies are trusted to report the client's request."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_ADDRESS = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d+)?|(?P<v4>[0-9.]+):\d+|(?P<bare>.*)", re.ASCII)
"""An address with or without a port (RFC 7239, section 6)."""


class TrustedProxies:
    """The networks whose proxies may set forwarding headers.

    Args:
        networks: Networks in CIDR notation, or single addresses.

    Raises:
        ValueError: a network is invalid.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trust(self, address: IPv4Address | IPv6Address | None) -> bool:
        """Return whether the address belongs to a trusted proxy."""
        return address is not None and any(address in network for network in self._networks)

    def count_trusted(self, addresses: Sequence[str]) -> int:
        """Return how many addresses at the end of the list are trusted."""
        count = 0
        while count < len(addresses) and self.trust(parse_address(addresses[-1 - count])):
            count += 1
        return count


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address without its port, or None if `text` is not an address."""
    found = _ADDRESS.fullmatch(text.strip())
    if not found:
        return None

    try:
        address = ip_address(found["v6"] or found["v4"] or found["bare"] or "")
    except ValueError:
        return None

    # An IPv6 socket reports IPv4 clients as ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2).
    return getattr(address, "ipv4_mapped", None) or address
