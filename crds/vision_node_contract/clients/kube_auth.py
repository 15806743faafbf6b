"""Connect to the API server as the service account or, outside a cluster, with KUBECONFIG."""

import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Directory with the service account's token and ca.crt
(https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/)."""

TOKEN_SECONDS = 60.0
"""Seconds after which the token is read again, as in client-go. The kubelet replaces the token long
before it expires."""

CONNECTIONS = 100
"""Maximum number of simultaneous requests and watches. Additional ones would only queue at the API
server."""

LINE_BYTES = 2 << 20
"""Size of the read buffer in bytes. A watch event is one line, which fits into the buffer, because
etcd accepts no object larger than 1.5 MiB."""

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """Access to one API server: a pool of connections to it, and the credentials to use."""

    session: aiohttp.ClientSession
    url: str
    credentials: Callable[[], Headers] = dict
    """Function that returns headers with the current credentials, which may change over time."""


@asynccontextmanager
async def connect(component: str) -> AsyncIterator[Access]:
    """Connect to the API server.

    `component` appears in the API server's logs. In managedFields, the manager is always
    vision-node. In a pod, two files and two environment variables are enough. Outside a cluster,
    the official client reads the kubeconfig file, which may have many forms. It is imported only in
    that case, because the import takes most of a second and would delay workers.
    """
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    url, tls, credentials = _in_cluster() if in_cluster else await _from_kubeconfig()
    connector = aiohttp.TCPConnector(ssl=tls, limit=CONNECTIONS)
    agent = {"User-Agent": f"vision-node/{component}"}

    async with aiohttp.ClientSession(
        connector=connector, headers=agent, read_bufsize=LINE_BYTES
    ) as session:
        yield Access(session, url, credentials)


_Connection = tuple[str, ssl.SSLContext, Callable[[], Headers]]
"""URL, TLS context and credentials."""


def _in_cluster() -> _Connection:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    name = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    return f"https://{name}:{port}", tls, Token(ACCOUNT / "token").headers


class Token:
    """A service account's token, which is reread from its file every TOKEN_SECONDS."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._headers: Headers = {}
        self._read_at = 0.0

    def headers(self) -> Headers:
        """Return the headers with the token.

        Raises:
            OSError: the file can't be read.
        """
        now = time.monotonic()
        if not self._headers or now - self._read_at > TOKEN_SECONDS:
            self._headers = {"Authorization": f"Bearer {self._path.read_text().strip()}"}
            self._read_at = now
        return self._headers


async def _from_kubeconfig() -> _Connection:
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
