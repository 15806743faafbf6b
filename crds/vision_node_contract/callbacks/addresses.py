"""Decide which addresses callbacks may be sent to.

Anyone who may submit an image chooses a URL, and the archiver sends a request there from inside the
cluster. So everything that is not on the public internet is refused, unless an administrator has
allowed its network (webhooks.allowedNetworks).

The tables follow IANA's registries of special-purpose addresses:
https://www.iana.org/assignments/iana-ipv4-special-registry
https://www.iana.org/assignments/iana-ipv6-special-registry
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4: dict[str, str] = {
    "0.0.0.0/8": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    # Azure's platform agent, which has a public address.
    "168.63.129.16/32": "cloud metadata",
    "169.254.0.0/16": "link-local, which has cloud metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "reserved for name servers (AS112)",
    "192.52.193.0/24": "reserved for multicast relays",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "reserved for name servers (AS112)",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved or broadcast",
}

_V6: dict[str, str] = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4-mapped",
    "::ffff:0:0:0/96": "IPv4-translated",
    "::/96": "IPv4-compatible",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discarded",
    "2001::/32": "Teredo",
    "2001:2::/48": "benchmarking",
    "2001::/23": "reserved for protocols",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "2620:4f:8000::/48": "reserved for name servers (AS112)",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "private, which has cloud metadata",
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}
"""More specific networks come before those that contain them."""

FORBIDDEN: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), kind) for text, kind in {**_V4, **_V6}.items()
)
"""Networks that are not on the public internet, and what they are."""

GLOBAL_V6 = IPv6Network("2000::/3")
"""The only IPv6 addresses that IANA has assigned to the public internet. All others are refused,
even if no line of the table names them."""

_EMBEDDED: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("2002::/16"), 80),
)
"""Networks whose addresses contain an IPv4 address, and the number of bits that follow it. Teredo's
is obfuscated, and read separately."""

_TEREDO = IPv6Network("2001::/32")


def kind_of(address: Address) -> str | None:
    """Return why an address is not on the public internet; None if it is."""
    for network, kind in FORBIDDEN:
        if address.version == network.version and address in network:
            return kind

    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "limited to a network interface"
        if address not in GLOBAL_V6:
            return "not assigned to the public internet"

    return None


def is_covered(address: Address, allowed: Iterable[Network]) -> bool:
    """Return whether an administrator has allowed the address.

    If the address contains an IPv4 address, as in NAT64, it is not enough to allow the network of
    such addresses: the IPv4 address must be allowed, too, or be on the public internet. So a
    network for NAT64 does not open the private networks behind it.
    """
    networks = tuple(allowed)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if not _is_within(address, networks):
        return False

    inner = embedded(address)
    return inner is None or kind_of(inner) is None or _is_within(inner, networks)


def is_reachable(address: Address, allowed: Iterable[Network]) -> bool:
    """Return whether a callback may be sent to an address."""
    return kind_of(address) is None or is_covered(address, allowed)


def embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address to which packets for an IPv6 address may be sent in the end."""
    if isinstance(address, IPv4Address):
        return None

    bits = int(address)
    if address in _TEREDO:
        return IPv4Address(~bits & 0xFFFFFFFF)

    for network, following in _EMBEDDED:
        if address in network and bits > 1:
            return IPv4Address((bits >> following) & 0xFFFFFFFF)

    return None


def parse_network(text: str) -> Network:
    """Return a network such as 10.0.0.0/8; a single address is a network, too.

    Raises:
        ValueError: The text is no network.
    """
    return ip_network(text.strip(), strict=False)


def parse_address(text: str) -> Address:
    """Return an address in its usual notation.

    Raises:
        ValueError: The text is no address.
    """
    return ip_address(text)


def _is_within(address: Address, networks: Iterable[Network]) -> bool:
    return any(it.version == address.version and address in it for it in networks)
