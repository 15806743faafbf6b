"""The way out of the pod: which proxy a request goes through, and which certificate authorities it trusts.

The environment says it, as it does to most programs: HTTPS_PROXY, HTTP_PROXY, NO_PROXY and SSL_CERT_FILE.
"""

import os
import ssl
from typing import Any
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3
from yarl import URL


def ca_file() -> str:
    """Return the path of the trusted authorities, a PEM file: the environment's, or certifi's."""
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def tls() -> ssl.SSLContext:
    """Return what verifies a server's certificate."""
    return ssl.create_default_context(cafile=ca_file())


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy through which a host is reached, or None.

    Args:
        scheme: http or https: that of the request.
        host: Name or address, with or without a port.
    """
    name = URL(f"{scheme}://{host}").host or host  # without the brackets of an IPv6 address
    return None if proxy_bypass(name) else getproxies().get(scheme)


def pool(scheme: str, host: str | None, **options: Any) -> urllib3.PoolManager:
    """Return urllib3's pool of connections to a host; None: to addresses that no proxy knows."""
    options = {"cert_reqs": "CERT_REQUIRED", "ca_certs": ca_file(), **options}
    proxy = proxy_for(scheme, host) if host else None
    if proxy is None:
        return urllib3.PoolManager(**options)
    url = URL(proxy)
    login = f"{url.user}:{url.password or ''}" if url.user else None
    headers = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(str(url.with_user(None)), proxy_headers=headers, **options)
