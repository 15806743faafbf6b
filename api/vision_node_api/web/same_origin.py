"""Determine whether a request comes from a page of this server.

Browsers send cookies by themselves, also with requests that other sites' pages cause (cross-site
request forgery). What such a request may do therefore depends on its origin.
"""

from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from .problems import Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port of a page or of a server (RFC 6454)."""

    scheme: str
    host: str
    port: int


def require_same_origin(scope: Scope) -> None:
    """Refuse a request unless its browser says that it comes from a page of this server.

    Forwarding headers must already have been applied to the scope (ProxyHeadersMiddleware).

    Raises:
        Problem: 403 OriginNotAllowed.
    """
    if not is_same_origin(scope):
        detail = (
            "A request with the page's session may change something only if it comes from the page "
            "itself. Its header Origin is missing, or does not name the scheme, host and port at "
            "which the API is reached. Open the page at the API's own address; behind a proxy, "
            "have it pass on Host, or list it in api.proxy.trusted. Programs send their key in "
            "the header Authorization, without a cookie."
        )
        raise Problem(403, "OriginNotAllowed", detail)


def is_same_origin(scope: Scope) -> bool:
    """Return whether the request's browser says that it comes from a page of this server.

    Scripts can set none of the headers that are read here (Fetch standard, "forbidden
    request-header"). Sec-Fetch-Site comes first, because it is right even behind a proxy that
    changes Host. Browsers send it over HTTPS and to localhost, and Origin in any case.
    """
    headers = Headers(scope=scope)
    site = headers.getlist("sec-fetch-site")
    if site:
        return site == ["same-origin"]

    named = headers.getlist("origin") or headers.getlist("referer")
    hosts = headers.getlist("host")
    if len(named) != 1 or len(hosts) != 1:
        return False

    origin = _origin(named[0])
    return origin is not None and _is_own(origin, scope["scheme"], hosts[0])


def _is_own(origin: Origin, scheme: str, host: str) -> bool:
    # A proxy may terminate TLS without saying so. The page is then more secure than we know.
    if origin.scheme not in {scheme, "https"}:
        return False

    return origin == _origin(f"{origin.scheme}://{host}")


def _origin(url: str) -> Origin | None:
    """Return the origin of a URL; None if it is not an http URL, such as `null`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None

    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or not parts.hostname or "@" in parts.netloc:
        return None

    return Origin(parts.scheme, parts.hostname, default if port is None else port)
