"""Find the proxy and the trusted certificate authorities for outbound connections.

The usual environment variables specify them: HTTPS_PROXY, HTTP_PROXY, NO_PROXY and
SSL_CERT_FILE.
"""

import os
import ssl
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.request import getproxies

import certifi
import urllib3
from yarl import URL


def ca_file() -> str:
    """Return the path of the PEM file with trusted authorities.

    This is $SSL_CERT_FILE if that variable is set, and certifi's file otherwise.
    """
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def tls() -> ssl.SSLContext:
    """Return an SSL context that verifies servers against the trusted authorities."""
    return ssl.create_default_context(cafile=ca_file())


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy for a host, or None if connections to the host are direct.

    Args:
        scheme: Scheme of the request (http or https).
        host: The host's name or address, with or without a port.
    """
    proxy = getproxies().get(scheme)
    if proxy is None:
        return None

    url = URL(f"{scheme}://{host}")
    entries = [entry.strip() for entry in getproxies().get("no", "").split(",")]
    if any(_covers(entry, url.host or host, url.port) for entry in entries if entry):
        return None

    return proxy


def _covers(entry: str, name: str, port: int | None) -> bool:
    """Return whether an entry of NO_PROXY covers a host.

    As in Go and curl, an entry is `*`, a name, an address, or a network such as 10.0.0.0/8. A name
    also covers its subdomains, and may begin with `.` or `*.`. An address may be in brackets. Names
    and addresses may be followed by a port.
    """
    if entry == "*":
        return True
    if "/" in entry:
        return _is_within(name, entry)

    wanted = URL(f"http://{entry}") if entry.count(":") < 2 or entry.startswith("[") else None
    host, wanted_port = (wanted.host or "", wanted.explicit_port) if wanted else (entry, None)
    if wanted_port is not None and wanted_port != port:
        return False

    domain = host.removeprefix("*").removeprefix(".").lower()
    return name.lower() == domain or name.lower().endswith(f".{domain}")


def _is_within(name: str, network: str) -> bool:
    try:
        return ip_address(name) in ip_network(network, strict=False)
    except ValueError:  # `name` is not an address, or the network is invalid
        return False


def pool(scheme: str, host: str | None, **options: Any) -> urllib3.PoolManager:
    """Return a urllib3 connection pool for `host`, which uses a proxy if one is set.

    If `host` is None, the pool never uses a proxy.
    """
    options = {"cert_reqs": "CERT_REQUIRED", "ca_certs": ca_file(), **options}
    proxy = proxy_for(scheme, host) if host else None
    if proxy is None:
        return urllib3.PoolManager(**options)

    url = URL(proxy)
    login = f"{url.user}:{url.password or ''}" if url.user else None
    headers = urllib3.make_headers(proxy_basic_auth=login)

    return urllib3.ProxyManager(str(url.with_user(None)), proxy_headers=headers, **options)
