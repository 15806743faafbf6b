"""Client for the API server. Unlike `kubectl`, it needs no new process for each request."""

import asyncio
import base64
import json
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.errors import BenchError

Json = dict[str, Any]

REQUEST_SECONDS = 60.0
LOOK_SECONDS = 0.2
"""Seconds between two checks of the condition in `until`."""


class KubeApi:
    """Client with the permissions of a cluster administrator."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def text(self, path: str, **query: str) -> str:
        """Send a GET request, and return the response as text."""
        return (await self._request("GET", path, query=query)).decode()

    async def get(self, path: str, **query: str) -> Json:
        """Send a GET request, and return the parsed JSON response."""
        answer: Json = json.loads(await self._request("GET", path, query=query))
        return answer

    async def items(self, path: str, **query: str) -> list[Json]:
        """Request a list, and return the objects in it."""
        items: list[Json] = (await self.get(path, **query))["items"]
        return items

    async def create(self, path: str, body: Json) -> None:
        """Create an object. `path` is the path of its collection."""
        await self._request("POST", path, body=body)

    async def merge(self, path: str, patch: Json) -> None:
        """Change an object with a merge patch."""
        await self._request("PATCH", path, body=patch)

    async def delete(self, path: str) -> None:
        """Delete an object if it exists, and all objects that it owns."""
        query = {"propagationPolicy": "Background"}
        await self._request("DELETE", path, query=query, accepted=frozenset({404}))

    async def find(self, path: str) -> Json | None:
        """Return an object, or None if it does not exist."""
        found: Json = json.loads(await self._request("GET", path, accepted=frozenset({404})))
        return None if found.get("kind") == "Status" else found

    async def delete_all(self, path: str, **query: str) -> None:
        """Delete all selected objects in a collection, and all objects that they own."""
        await self._request("DELETE", path, query={**query, "propagationPolicy": "Background"})

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        accepted: frozenset[int] = frozenset(),
    ) -> bytes:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = None if body is None else json.dumps(body)
        call = self._session.request(
            method, path, params=query or {}, data=data, headers={"Content-Type": kind}
        )

        async with call as answer:
            content = await answer.read()
            if not answer.ok and answer.status not in accepted:
                raise BenchError(
                    f"{method} {path}: {answer.status} {content[:500].decode(errors='replace')}"
                )

            return content


@asynccontextmanager
async def connect(kubeconfig: Json) -> AsyncIterator[KubeApi]:
    """Connect to the API server.

    `kubeconfig` has one cluster and one user, as `kubectl config view --raw -o json` prints it.
    """
    cluster = kubeconfig["clusters"][0]["cluster"]
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    connector = aiohttp.TCPConnector(ssl=_tls(cluster, kubeconfig["users"][0]["user"]))
    async with aiohttp.ClientSession(
        cluster["server"], connector=connector, timeout=timeout
    ) as session:
        yield KubeApi(session)


def _tls(cluster: Json, user: Json) -> ssl.SSLContext:
    return tls(
        authority=_decoded(cluster["certificate-authority-data"]),
        certificate=_decoded(user["client-certificate-data"]),
        key=_decoded(user["client-key-data"]),
    )


def tls(*, authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return an SSL context with a client certificate. All arguments are in the PEM format."""
    context = ssl.create_default_context(cadata=authority)
    # Python can load client certificates only from files.
    with tempfile.TemporaryDirectory() as folder:
        certificate_file, key_file = Path(folder, "certificate"), Path(folder, "key")
        certificate_file.write_text(certificate)
        key_file.write_text(key)
        context.load_cert_chain(certificate_file, key_file)

    return context


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()


async def until(condition: Callable[[], Awaitable[bool]], description: str, seconds: float) -> None:
    """Check a condition repeatedly until it is true.

    Raises:
        BenchError: The condition is still false after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not await condition():
        if time.monotonic() > deadline:
            raise BenchError(f"still not true after {seconds:g} s: {description}")
        await asyncio.sleep(LOOK_SECONDS)
