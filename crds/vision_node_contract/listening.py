"""Sockets of a server that is reached by IPv4, by IPv6 or by both, whichever the cluster gives its pods."""

import errno
import socket

# The Service decides who reaches them.
ANY_ADDRESS = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
"""Two sockets rather than one for both: that one would show IPv4 clients as ::ffff:192.0.2.1, which no list
of trusted proxies has."""

_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
"""A kernel without IPv6, or without IPv4."""


def listen(port: int) -> list[socket.socket]:
    """Return sockets that listen at `port` on all of the pod's addresses.

    Raises:
        OSError: the port is taken, or there is no such thing as an address here.
    """
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    for family, address in ANY_ADDRESS:
        try:
            # For IPv6 it sets IPV6_V6ONLY, so that both can have the port.
            sockets.append(socket.create_server((address, port), family=family))
        except OSError as error:
            if error.errno not in _NO_SUCH_FAMILY:
                _close(sockets)
                raise
            failure = error

    if not sockets and failure:
        raise failure
    return sockets


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
