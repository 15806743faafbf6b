"""Outbound connections: the proxy that requests go through, and the certificate authorities that they trust.

The usual environment variables set them: HTTPS_PROXY, HTTP_PROXY, NO_PROXY and SSL_CERT_FILE.
"""

import os
import ssl
from typing import Any
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from yarl import URL


def ca_file() -> str:
    """Return the path of the PEM file of trusted authorities: $SSL_CERT_FILE, or certifi's."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def tls() -> ssl.SSLContext:
    """Return an SSL context that verifies servers against the trusted authorities."""
    return ssl.create_default_context(cafile=ca_file())


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy for a host; None if the host is reached directly.

    Args:
        scheme: The request's: http or https.
        host: Name or address, with or without a port.
    """
    name = URL(f"{scheme}://{host}").host or host  # without the brackets of an IPv6 address
    return None if proxy_bypass(name) else getproxies().get(scheme)


def pool(scheme: str, host: str | None, **options: Any) -> urllib3.PoolManager:
    """Return a urllib3 connection pool for `host`; with None, one that never uses the proxy."""
    options = {"cert_reqs": "CERT_REQUIRED", "ca_certs": ca_file(), **options}
    proxy = proxy_for(scheme, host) if host else None
    if proxy is None:
        return urllib3.PoolManager(**options)
    url = URL(proxy)
    login = f"{url.user}:{url.password or ''}" if url.user else None
    headers = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(str(url.with_user(None)), proxy_headers=headers, **options)
