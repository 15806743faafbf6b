"""Reach the bucket in the cluster at the node's own address.

Docker's proxy and `kubectl port-forward` are avoided, because each makes an extra copy of every
byte on the cores that are measured.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket, BucketSettings, StoreUnavailableError

from bench.arena import Arena
from bench.measure.kube_api import KubeApi, until
from cluster.release import NAMESPACE, RELEASE

Json = dict[str, Any]

BUCKET = "vision-node"
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
STORE = f"{SERVICES}/{RELEASE}-minio"
EXPOSED = f"{RELEASE}-bench-minio"
"""Name of the Service that opens a port of the node while a benchmark runs."""

SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/{RELEASE}-storage"
IDENTITY = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{RELEASE}-identity"

OPEN_SECONDS = 30.0
"""Maximum seconds until the node's port is open."""

TRANSFER_SECONDS = 300.0
"""Maximum seconds for a transfer. The largest object is a manifest of a million lines."""


@dataclass(frozen=True)
class BucketAccess:
    """The bucket, with the rights of its administrator."""

    settings: BucketSettings
    bucket: Bucket

    @property
    def folder(self) -> str:
        """Prefix of the keys of the benchmarks' objects, in the inbox of the release."""
        return f"{self.settings.folders.inbox}bench/"


@asynccontextmanager
async def opened(arena: Arena, kube: KubeApi) -> AsyncIterator[BucketAccess]:
    """Open a port of the node for MinIO, and connect to it, while the block runs."""
    path = f"{SERVICES}/{EXPOSED}"
    # An earlier run that was killed may have left this Service.
    await kube.delete(path)
    await kube.create(SERVICES, node_port_service(await kube.get(STORE)))

    try:
        port = (await kube.get(path))["spec"]["ports"][0]["nodePort"]
        settings = await _settings(kube, f"{arena.address}:{port}")
        # Unlike Bucket.open(), this ignores proxies, which can't reach the node.
        timeout = aiohttp.ClientTimeout(total=TRANSFER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            bucket = Bucket(settings, session)
            await until(lambda: _answers(bucket), "MinIO answers on the node's port", OPEN_SECONDS)
            yield BucketAccess(settings, bucket)
    finally:
        await kube.delete(path)


def node_port_service(store: Json) -> Json:
    """Return a Service that opens a port of the node for the pods of the Service `store`."""
    port = {name: store["spec"]["ports"][0][name] for name in ("port", "targetPort")}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": EXPOSED},
        "spec": {"type": "NodePort", "selector": store["spec"]["selector"], "ports": [port]},
    }


async def _settings(kube: KubeApi, endpoint: str) -> BucketSettings:
    data = (await kube.get(SECRET))["data"]
    access_key, secret_key = (
        base64.b64decode(data[f"root-{name}"]).decode() for name in ("access-key", "secret-key")
    )
    folders = BucketFolders((await kube.get(IDENTITY))["data"]["id"])
    return BucketSettings(endpoint, BUCKET, access_key, secret_key, secure=False, folders=folders)


async def _answers(bucket: Bucket) -> bool:
    try:
        await bucket.check()
    except StoreUnavailableError:
        return False

    return True
