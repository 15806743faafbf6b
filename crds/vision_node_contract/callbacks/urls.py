"""Read the URLs of callbacks strictly, so that all parts of the system read them in the same way.

Programs disagree about odd spellings of URLs: 2130706433, 0x7f.1 and 127.1 are 127.0.0.1 for some.
The program that checks such a URL may see another host than the one that opens the connection. So
each spelling but the usual one is refused, instead of being interpreted.
"""

import os
import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

from .addresses import Address, Network, is_covered, is_reachable, parse_address, parse_network

MAX_CHARACTERS = 2048
"""Maximum length of a URL, as in the CRDs."""

MAX_HOST_CHARACTERS = 253
"""Maximum length of a host name (RFC 1035)."""

DEFAULT_PORTS = {"https": 443, "http": 80}

LOWEST_PORT = 1024
"""The lowest port other than 443 and 80. Lower ones belong to services such as mail servers, which
could take lines of a request for commands."""

LOCAL_NAMES = (
    *("localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa"),
    *("svc", "cluster.local", "in-addr.arpa", "ip6.arpa"),
)
"""Domains whose names, if they exist, are those of the cluster, the node or a private network."""

_URL = re.compile(r"(https?)://([^/?]+)([/?][^#]*)?")
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=%#]*")
"""The characters of RFC 3986. All others, such as spaces, line ends and backslashes, must be
percent-encoded, and host names with others must be written with `xn--`."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
"""A last label with which browsers and C libraries take a host for an IPv4 address."""


class CallbackURLError(ValueError):
    """A URL to which no callback may be sent. The message is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """What an administrator allows callbacks to reach, in addition to the public internet."""

    allowed_networks: tuple[Network, ...] = ()
    allow_http: bool = False
    """Whether URLs may be http, so that anyone on the way can read and change what is sent."""

    @classmethod
    def from_env(cls) -> Self | None:
        """Read WEBHOOKS, WEBHOOK_ALLOWED_NETWORKS and WEBHOOK_ALLOW_HTTP.

        Return None if the release sends no callbacks. Older charts don't set these variables.

        Raises:
            ValueError: A network is invalid.
        """
        if os.environ.get("WEBHOOKS") != "true":
            return None

        networks = os.environ.get("WEBHOOK_ALLOWED_NETWORKS", "").split(",")
        return cls(
            allowed_networks=tuple(parse_network(it) for it in networks if it.strip()),
            allow_http=os.environ.get("WEBHOOK_ALLOW_HTTP") == "true",
        )


@dataclass(frozen=True, slots=True)
class CallbackURL:
    """The parts of a URL that may be used as far as it can be told without resolving its host."""

    scheme: str
    host: str
    """Name in lowercase, or address without brackets."""
    port: int
    target: str
    """Path and query, percent-encoded."""
    address: Address | None
    """The host if it is an address; None if it is a name."""
    is_local: bool
    """Whether the name is one of the cluster or of a private network. Its addresses must be in the
    allowed networks, even if they are on the public internet."""

    @classmethod
    def parse(cls, text: str, rules: CallbackRules) -> Self:
        """Read a URL.

        Raises:
            CallbackURLError: The URL is spelled unusually, or it may not be used.
        """
        scheme, host, port, target = _split(text, rules)
        address, is_local = (_v6(host), False) if host.startswith("[") else _name_or_v4(host)

        url = cls(scheme, host.strip("[]"), port, target, address, is_local)
        if is_local and not rules.allowed_networks:
            raise CallbackURLError(
                "its host is a name of the cluster or of a private network, and this release "
                "allows no such networks (webhooks.allowedNetworks)"
            )
        if address is not None and not url.allows(address, rules):
            raise CallbackURLError(
                "its address is not on the public internet, and no allowed network contains it "
                "(webhooks.allowedNetworks)"
            )

        return url

    def allows(self, address: Address, rules: CallbackRules) -> bool:
        """Return whether a connection for this URL may be opened to an address of its host."""
        if self.is_local:
            return is_covered(address, rules.allowed_networks)
        return is_reachable(address, rules.allowed_networks)

    @property
    def authority(self) -> str:
        """Host and port as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def host_of(text: str) -> str:
    """Return host and port of a URL, by which deliveries take turns; `-` if it is invalid."""
    match = _URL.fullmatch(text)
    return match[2].lower()[:MAX_HOST_CHARACTERS] if match else "-"


def _split(text: str, rules: CallbackRules) -> tuple[str, str, int, str]:
    """Return scheme, host in lowercase, port and target."""
    if len(text) > MAX_CHARACTERS:
        raise CallbackURLError(f"it has more than {MAX_CHARACTERS} characters")
    if not _CHARACTERS.fullmatch(text):
        raise CallbackURLError(
            "it has characters that a URL must not have: percent-encode them, and write the host "
            "name in ASCII (xn--)"
        )

    match = _URL.fullmatch(text)
    if match is None:
        raise CallbackURLError("it must be like https://example.com/path, without a fragment (#)")

    scheme, authority, target = match[1], match[2], match[3] or "/"
    if scheme == "http" and not rules.allow_http:
        raise CallbackURLError("it must begin with https:// (webhooks.allowHTTP is false)")
    if "@" in authority:
        raise CallbackURLError("it must have no user name and no password")

    parts = _HOST_AND_PORT.fullmatch(authority)
    if parts is None:
        raise CallbackURLError("its host or port is spelled unusually")

    port = _port(parts[2], scheme)
    return scheme, parts[1].lower(), port, target if target.startswith("/") else f"/{target}"


def _port(text: str | None, scheme: str) -> int:
    port = int(text) if text else DEFAULT_PORTS[scheme]
    if port not in DEFAULT_PORTS.values() and not LOWEST_PORT <= port <= 0xFFFF:
        raise CallbackURLError(f"its port must be 443, 80, or {LOWEST_PORT} to 65535")

    return port


def _v6(host: str) -> Address:
    try:
        return IPv6Address(host[1:-1])
    except ValueError as error:
        raise CallbackURLError("its address is invalid") from error


def _name_or_v4(host: str) -> tuple[Address | None, bool]:
    """Return the address that a host is, or whether its name is local."""
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _v4(host), False

    if len(host) > MAX_HOST_CHARACTERS or not all(_LABEL.fullmatch(it) for it in labels):
        raise CallbackURLError(
            "its host is no valid name: write it without a dot at the end, and with letters, "
            "digits and hyphens"
        )

    # Names without a dot are those of Services in the same namespace.
    is_local = len(labels) == 1 or any(f".{host}".endswith(f".{it}") for it in LOCAL_NAMES)
    return None, is_local


def _v4(host: str) -> Address:
    try:
        # It refuses numbers without dots, hexadecimal ones, and those with leading zeros.
        return parse_address(host)
    except ValueError as error:
        raise CallbackURLError(
            "its address is spelled unusually: write it as four decimal numbers, such as 192.0.2.1"
        ) from error
