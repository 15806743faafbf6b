"""Read the state of the cluster: memory, etcd, and how many objects of each kind exist."""

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.bucket_objects import MAX_KEYS

from bench.arena import Arena
from bench.errors import BenchError
from bench.measure import metrics, node
from bench.measure.database import ARCHIVER
from bench.measure.kube_api import KubeApi
from bench.measure.release_state import PODS, WORKERS
from bench.soak.etcd import Etcd
from bench.soak.history import History
from bench.soak.results import COMPONENTS, HISTORY_COMPONENTS, Reading
from bench.systems import IMAGEJOBS, JOBS
from cluster.dev.component import free_port
from cluster.existing_cluster import forwarded
from cluster.release import NAMESPACE

Json = dict[str, Any]

STORE, STORE_PORT = "service/vision-node-minio", 9000
STORE_SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/vision-node-storage"
BUCKET = "vision-node"

METRICS_PORT = 9090
LAG = "vision_node_archive_lag_seconds"

PREFIXES = ("images/", "results/")
"""Prefixes of all objects that a release deletes together with their ImageJobs."""


class Source(Protocol):
    """Whatever the sampler reads from."""

    async def read(self, *, count_objects: bool) -> Reading:
        """Return the current state. Counting the objects in the bucket is optional."""
        ...


@dataclass
class ClusterSource:
    """Reads from the benchmark's cluster."""

    arena: Arena
    kube: KubeApi
    etcd: Etcd
    history: History
    _first: set[str] = field(default_factory=set)
    """Ids of the containers that ran at the first reading."""

    async def read(self, *, count_objects: bool) -> Reading:
        """Return the current state of the cluster."""
        pods = await self.kube.items("/api/v1/pods")
        names = node.components(pods)
        self._first = self._first or kept_containers(pods)
        snapshot = await asyncio.to_thread(node.ask, self.arena.kind)

        return Reading(
            memory=node.anonymous_memory(snapshot, names),
            working_set=node.memory(snapshot, names),
            etcd=await self.etcd.size(),
            imagejobs=await count_imagejobs(self.kube),
            jobs=len(await self.kube.items(JOBS, labelSelector=WORKERS)),
            pods=len(worker_pods(pods)),
            replaced=len(self._first - names.keys()),
            objects=await self._count_objects() if count_objects else None,
            cpu_seconds=node.cpu(snapshot, names, HISTORY_COMPONENTS),
            lag_seconds=await self._lag_seconds(pods),
            database_bytes=await self.history.size_bytes() if count_objects else None,
        )

    async def _lag_seconds(self, pods: Iterable[Json]) -> float | None:
        """Return the archiver's metric; None while no archiver is running."""
        for pod in pods:
            if node.component(pod["metadata"]) == ARCHIVER and is_ready(pod):
                address = f"{PODS}/{pod['metadata']['name']}:{METRICS_PORT}/proxy/metrics"
                return lag_seconds(await self.kube.text(address))
        return None

    async def _count_objects(self) -> int:
        data = (await self.kube.get(STORE_SECRET))["data"]
        access_key, secret_key = (
            base64.b64decode(data[f"root-{name}"]).decode() for name in ("access-key", "secret-key")
        )
        return await asyncio.to_thread(self._count_forwarded, access_key, secret_key)

    def _count_forwarded(self, access_key: str, secret_key: str) -> int:
        """Count the objects through a port that is forwarded only for this."""
        with forwarded(self.arena.client, STORE, free_port(), STORE_PORT) as address:
            settings = BucketSettings(address, BUCKET, access_key, secret_key, secure=False)
            return asyncio.run(count_objects_in(settings))


async def count_imagejobs(kube: KubeApi) -> int:
    """Return the number of ImageJobs. The API server counts those that it does not return.

    Raises:
        BenchError: The API server does not say how many ImageJobs remain.
    """
    page = await kube.get(IMAGEJOBS, limit="1")
    metadata = page["metadata"]
    if metadata.get("continue") and "remainingItemCount" not in metadata:
        raise BenchError("the API server's list of ImageJobs has no remainingItemCount")

    remaining: int = metadata.get("remainingItemCount", 0)
    return len(page["items"]) + remaining


def kept_containers(pods: Iterable[Json]) -> set[str]:
    """Return the ids of the components' containers, except those of pods that are being deleted."""
    staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {key for key, name in node.components(staying).items() if name in COMPONENTS}


def worker_pods(pods: Iterable[Json]) -> list[Json]:
    """Return those pods that belong to describer Jobs of the release."""
    return [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == NAMESPACE
        and node.component(pod["metadata"]) == "workers"
    ]


def is_ready(pod: Json) -> bool:
    """Return whether all containers of a pod are ready."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(it["type"] == "Ready" and it["status"] == "True" for it in conditions)


def lag_seconds(text: str) -> float | None:
    """Return the archiver's lag from its metrics, in seconds."""
    return next((value for _, value in metrics.series(text, LAG)), None)


async def count_objects_in(settings: BucketSettings) -> int:
    """Return the number of objects in the bucket below PREFIXES."""
    async with Bucket.open(settings) as bucket:
        return sum([await _count_below(bucket, prefix) for prefix in PREFIXES])


async def _count_below(bucket: Bucket, prefix: str) -> int:
    count, after = 0, ""
    while True:
        page = await bucket.list_page(prefix, after, MAX_KEYS)
        count += len(page.objects)
        if page.is_last or not page.objects:
            return count
        after = page.objects[-1].key
