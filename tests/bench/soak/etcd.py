"""Read, compact and defragment the database of the kind cluster's etcd.

etcd serves its gRPC API also as JSON over HTTPS (its "gRPC gateway"), at the node's address. The
sizes are those of the metrics etcd_mvcc_db_total_size_in_bytes and
etcd_mvcc_db_total_size_in_use_in_bytes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bench.arena import Arena
from bench.errors import BenchError
from bench.measure.kube_api import tls
from bench.soak.results import EtcdSize

PORT = 2379
PKI = "/etc/kubernetes/pki"
"""Folder on the node in which kubeadm stores certificates."""

REQUEST_SECONDS = 60.0
"""Timeout of a request. A defragmentation of 2 GiB takes less."""


class Etcd:
    """Client for the maintenance of etcd's database."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def size(self) -> EtcdSize:
        """Return the size of the database."""
        status = await self._call("/v3/maintenance/status", {})
        return EtcdSize(int(status["dbSize"]), int(status["dbSizeInUse"]))

    async def compact(self) -> None:
        """Forget all versions of objects but the newest, and wait until their space is free."""
        revision = (await self._call("/v3/maintenance/status", {}))["header"]["revision"]
        await self._call("/v3/kv/compaction", {"revision": revision, "physical": True})

    async def defragment(self) -> None:
        """Return free space to the file system."""
        await self._call("/v3/maintenance/defragment", {})

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(path, json=body) as response:
            text = await response.text()
            if not response.ok:
                raise BenchError(f"etcd: {path}: {response.status} {text}")

            found: dict[str, Any] = await response.json(content_type=None)
            return found


@asynccontextmanager
async def connect(arena: Arena) -> AsyncIterator[Etcd]:
    """Connect to the cluster's etcd with the API server's certificate."""
    names = ("etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key")
    authority, certificate, key = [
        await asyncio.to_thread(_read_on_node, arena, f"{PKI}/{name}") for name in names
    ]

    connector = aiohttp.TCPConnector(ssl=tls(authority=authority, certificate=certificate, key=key))
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    url = f"https://{arena.address}:{PORT}"
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as session:
        yield Etcd(session)


def _read_on_node(arena: Arena, path: str) -> str:
    return arena.kind.engine.output("exec", arena.kind.node_name, "cat", path)
