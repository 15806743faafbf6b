"""Server sockets for IPv4, IPv6 or both, depending on the addresses of the pod."""

import errno
import os
import socket

# It is safe to listen on all addresses, because the Service and the network policies restrict
# access to the pod.
ANY_ADDRESS = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104
"""Address families and addresses to listen on, each with its own socket. A single dual-stack socket
would report IPv4 clients as ::ffff:192.0.2.1, an address that matches no list of trusted
proxies."""

_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
"""Error numbers for an address family (IPv4 or IPv6) that the kernel does not support."""

ADDRESS_VARIABLE = "LISTEN_ADDRESS"
"""Environment variable for a process that does not run in a pod. Its value (host:port) is the only
address to listen on. `make dev` sets it so that other machines can't reach the process."""


def listen(port: int, variable: str = ADDRESS_VARIABLE) -> list[socket.socket]:
    """Return sockets that listen on `port` on all of the pod's addresses.

    If the environment variable is set, return a single socket that listens only on its address.

    Raises:
        OSError: the port is in use, or the pod has neither IPv4 nor IPv6.
    """
    if chosen := os.environ.get(variable):
        return [_listen_on(chosen)]

    sockets: list[socket.socket] = []
    failure: OSError | None = None

    for family, address in ANY_ADDRESS:
        try:
            # For IPv6, create_server sets IPV6_V6ONLY, so both sockets can use the port.
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


def _listen_on(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family)
