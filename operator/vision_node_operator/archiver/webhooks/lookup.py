"""Resolve the host of a callback once, check all its addresses, and connect only to these.

A name may have other addresses a moment later (DNS rebinding). So what was checked is what the
connection uses, and nothing resolves the name again.
"""

import socket
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult
from vision_node_contract.callbacks.addresses import Address, parse_address
from vision_node_contract.callbacks.urls import CallbackRules, CallbackURL, CallbackURLError

from .lookups import Lookups
from .turns import Place

MAX_CONNECTED = 4
"""Number of a host's addresses to which connections are tried. All addresses are checked."""


def system_lookup(name: str) -> list[Address]:
    """Return all addresses of a name.

    The name is absolute, so that the cluster's search domains don't turn `a.b` into the name of a
    Service.

    Raises:
        OSError: The name can't be resolved.
    """
    found = socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    return [parse_address(str(address[0])) for *_, address in found]


async def checked_addresses(
    url: CallbackURL, rules: CallbackRules, lookups: Lookups, place: Place
) -> list[Address]:
    """Return the addresses to which a request for this URL may be sent.

    Raises:
        CallbackURLError: One of the addresses of the host may not be reached, even if others may.
        OSError: The name can't be resolved.
    """
    if url.address is not None:
        return [url.address]

    found = await lookups.addresses_of(url.host, place)
    if not all(url.allows(it, rules) for it in found):
        raise CallbackURLError(
            "its host has an address that is not on the public internet, and no allowed network "
            "contains it (webhooks.allowedNetworks)"
        )

    return list(dict.fromkeys(found))


class PinnedResolver(AbstractResolver):
    """Answers with addresses that were checked, without resolving anything."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses[:MAX_CONNECTED]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses, whatever the host is."""
        return [
            ResolveResult(
                hostname=host,
                host=str(it),
                port=port,
                family=socket.AF_INET6 if it.version == 6 else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for it in self._addresses
            if family in (socket.AF_UNSPEC, socket.AF_INET6 if it.version == 6 else socket.AF_INET)
        ]

    async def close(self) -> None:
        """Do nothing."""
