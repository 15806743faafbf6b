"""Read and change the state of the release: its workers, operator and ImageJobs."""

import json
import statistics
from typing import Any

from bench.errors import BenchError
from bench.measure.kube_api import KubeApi, until
from bench.systems import IMAGEJOBS, JOBS
from cluster.release import NAMESPACE

Json = dict[str, Any]

WORKERS = "app.kubernetes.io/component=worker"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
OPERATOR = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/vision-node-operator"

CHANGE_SECONDS = 90.0
"""Maximum seconds to wait until workers or the operator have started or stopped."""

DELETE_SECONDS = 300.0

PAGE = 50


async def workers_serve(kube: KubeApi, count: int) -> None:
    """Wait until exactly `count` workers exist and all of them serve."""

    async def look() -> bool:
        pods = {pod["metadata"]["name"] for pod in await kube.items(PODS, labelSelector=WORKERS)}
        leases = {
            lease["metadata"]["name"] for lease in await kube.items(LEASES, labelSelector=WORKERS)
        }
        return len(pods) == count and pods <= leases

    await until(look, f"{count} workers serve", CHANGE_SECONDS)


async def no_workers(kube: KubeApi) -> None:
    """Wait until no worker is running."""

    async def look() -> bool:
        return not await kube.items(PODS, labelSelector=WORKERS)

    await until(look, "all workers have ended", CHANGE_SECONDS)


async def delete_imagejobs(kube: KubeApi) -> None:
    """Delete all ImageJobs, and wait until none is left."""
    await kube.delete_all(IMAGEJOBS)

    async def look() -> bool:
        return not await kube.items(IMAGEJOBS, limit="1")

    await until(look, "all ImageJobs are deleted", DELETE_SECONDS)


async def set_operator(kube: KubeApi, replicas: int) -> None:
    """Set the operator's replicas to 1 or 0, and wait until it has started or stopped."""
    await kube.merge(OPERATOR, {"spec": {"replicas": replicas}})

    async def look() -> bool:
        status = (await kube.get(OPERATOR))["status"]
        return (status.get("replicas", 0), status.get("readyReplicas", 0)) == (replicas, replicas)

    await until(look, f"the operator has {replicas} ready replicas", CHANGE_SECONDS)


async def worker_pod(kube: KubeApi) -> Json:
    """Return the pod spec from a worker's Job.

    Raises:
        BenchError: No such Job exists.
    """
    jobs = await kube.items(JOBS, labelSelector=WORKERS)
    if not jobs:
        raise BenchError("can't copy a worker's pod spec, because no worker has a Job")
    spec: Json = jobs[0]["spec"]["template"]["spec"]
    return spec


async def imagejob_bytes(kube: KubeApi) -> list[int]:
    """Return the sizes in bytes of up to 50 finished ImageJobs. etcd stores them as JSON."""
    found = await kube.items(IMAGEJOBS, fieldSelector="status.phase=done", limit=str(PAGE))
    return [len(json.dumps(job, separators=(",", ":"))) for job in found]


def median_bytes(sizes: list[int]) -> float:
    """Return the median of the sizes, or 0 if there are none."""
    return statistics.median(sizes) if sizes else 0.0
