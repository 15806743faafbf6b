"""Fake Kubernetes objects and a fake API server, for measurements without a cluster."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from vision_node_contract.clients.kube import Selectors
from vision_node_contract.json_types import Json
from vision_node_contract.names import DESCRIBER_LABEL
from vision_node_operator.decisions.actions import Write
from vision_node_operator.runtime.reconciler import Reconciler
from vision_node_operator.settings import Settings
from vision_node_operator.state.object_versions import Kind
from vision_node_operator.state.worker_objects import JOB_UID_LABEL, TEMPLATE_LABEL

SETTINGS = Settings("vision-node", owner_name="describers", job_prefix="vn")
POD_TEMPLATE: Json = {"spec": {"containers": [{"name": "worker"}]}}

IMAGES_AT_ONCE = 4
"""Number of images that each worker describes concurrently."""


class FakeCluster:
    """A cluster that never changes: lists are empty, and every write succeeds without effect.

    An instance replaces a Reconciler's API server, writer and garbage collector.
    """

    async def list_pages(
        self, path: str, selectors: Selectors | None = None, **_: object
    ) -> AsyncIterator[tuple[list[Json], str]]:
        """Yield one empty page."""
        yield [], "0"

    async def perform(self, _action: Write, _now: datetime) -> tuple[Kind, Json | None]:
        """Do nothing, and report success."""
        return "jobs", None

    async def sweep_periodically(self) -> None:
        """Wait until this task is cancelled."""
        await asyncio.Event().wait()


def reconciler_of(cluster: FakeCluster) -> Reconciler:
    """Return a reconciler that uses `cluster` as API server, writer and garbage collector."""
    parts: Any = cluster
    return Reconciler(parts, SETTINGS, parts, parts, POD_TEMPLATE)


def reconciler_with_idle_workers(cluster: FakeCluster, workers: int) -> Reconciler:
    """Return a reconciler for a cluster with the Describer `metadata` and idle workers."""
    reconciler = reconciler_of(cluster)
    pool = describer("metadata", workers)
    pool["spec"]["minWorkers"] = workers
    reconciler.observe("describers", "ADDED", at_version(pool, 1))

    template_hash = next(reconciler.state.describers.pools()).template_hash
    for number in range(workers):
        for kind, body in worker(f"w{number}", "metadata", template_hash, datetime.now(UTC)):
            reconciler.observe(kind, "ADDED", at_version(body, 1))

    return reconciler


def at_version(body: Json, version: int) -> Json:
    """Set the object's resourceVersion, and return the same object."""
    body["metadata"]["resourceVersion"] = str(version)
    return body


def describer(name: str, workers: int) -> Json:
    """Return a Describer that has at most this many workers."""
    spec = {"maxWorkers": max(1, workers), "concurrency": IMAGES_AT_ONCE}
    return {"metadata": {"name": name}, "spec": spec, "status": {}}


def worker(
    name: str, describer_name: str, template_hash: str, now: datetime
) -> Iterator[tuple[Kind, Json]]:
    """Yield the Job, the pod and the Lease of a worker that serves."""
    labels = {
        DESCRIBER_LABEL: describer_name,
        TEMPLATE_LABEL: template_hash,
        JOB_UID_LABEL: f"uid-{name}",
    }
    created = {"uid": f"uid-{name}", "creationTimestamp": now.isoformat()}
    yield "jobs", {"metadata": {"name": f"vn-{name}", "labels": labels, **created}}
    yield "pods", {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Running"}}
    yield "leases", lease(name, labels, now)


def lease(name: str, labels: dict[str, str], now: datetime) -> Json:
    """Return a worker's Lease that was renewed at `now`."""
    return {"metadata": {"name": name, "labels": labels}, "spec": {"renewTime": now.isoformat()}}


def imagejob(name: str, describer_name: str, created: datetime, **status: object) -> Json:
    """Return an ImageJob. It is queued unless `status` contains another phase."""
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": created.isoformat()},
        "spec": {"describer": describer_name, "image": {"key": f"images/{name}"}},
        "status": {"phase": "queued", **status},
    }
