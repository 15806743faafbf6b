"""How the API server is reached: as the pod's service account, or as KUBECONFIG says outside a cluster."""

import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""token and ca.crt: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/"""

TOKEN_SECONDS = 60.0
"""A token is read anew after this, as client-go does: kubelet replaces it long before it expires."""

CONNECTIONS = 100
"""At once: requests under way and watches; more would only queue at the API server."""

LINE_BYTES = 2 << 20
"""A watch event is one line; etcd takes no object larger than 1.5 MiB."""

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """A pool of connections to one API server, and who we are there."""

    session: aiohttp.ClientSession
    url: str
    credentials: Callable[[], Headers] = dict
    """The headers that say who we are, now: tokens change."""


@asynccontextmanager
async def connect(component: str) -> AsyncIterator[Access]:
    """Reach the API server; `component` is ours, for its logs. In managedFields all are one: vision-node.

    In a pod, nothing but two files and two variables is needed. KUBECONFIG with all that it may say
    is the official client's to read; that takes most of a second to import, which no worker's start
    has to spare.
    """
    found = _in_cluster() if "KUBERNETES_SERVICE_HOST" in os.environ else await _from_kubeconfig()
    url, tls, credentials = found
    connector = aiohttp.TCPConnector(ssl=tls, limit=CONNECTIONS)
    agent = {"User-Agent": f"vision-node/{component}"}

    async with aiohttp.ClientSession(
        connector=connector, headers=agent, read_bufsize=LINE_BYTES
    ) as session:
        yield Access(session, url, credentials)


Found = tuple[str, ssl.SSLContext, Callable[[], Headers]]


def _in_cluster() -> Found:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    name = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    return f"https://{name}:{port}", tls, Token(ACCOUNT / "token").headers


class Token:
    """A service account's token, read from its file now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._headers: Headers = {}
        self._read_at = 0.0

    def headers(self) -> Headers:
        """Return the header with the token.

        Raises:
            OSError: there is no such file.
        """
        now = time.monotonic()
        if not self._headers or now - self._read_at > TOKEN_SECONDS:
            self._headers = {"Authorization": f"Bearer {self._path.read_text().strip()}"}
            self._read_at = now
        return self._headers


async def _from_kubeconfig() -> Found:
    from kubernetes.aio import client, config  # noqa: PLC0415 (see connect)

    configuration = client.Configuration()
    await config.load_kube_config(client_configuration=configuration)
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)

    if not configuration.verify_ssl:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

    token = await configuration.get_api_key_with_prefix("BearerToken")
    headers = {"Authorization": token} if token else {}
    return configuration.host, tls, lambda: headers
