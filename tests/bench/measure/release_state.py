"""What runs of the release, and how it is made to run or to rest."""

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
"""The longest that workers take to come or go."""

DELETE_SECONDS = 300.0

PAGE = 50


async def workers_serve(kube: KubeApi, count: int) -> None:
    """Wait until exactly so many workers are there, and all say that they serve."""

    async def look() -> bool:
        pods = {pod["metadata"]["name"] for pod in await kube.items(PODS, labelSelector=WORKERS)}
        leases = {
            lease["metadata"]["name"] for lease in await kube.items(LEASES, labelSelector=WORKERS)
        }
        return len(pods) == count and pods <= leases

    await until(look, f"{count} workers serve", CHANGE_SECONDS)


async def no_workers(kube: KubeApi) -> None:
    """Wait until no worker is left."""

    async def look() -> bool:
        return not await kube.items(PODS, labelSelector=WORKERS)

    await until(look, "all workers have gone", CHANGE_SECONDS)


async def delete_imagejobs(kube: KubeApi) -> None:
    """Delete all ImageJobs, and wait until they are gone."""
    await kube.delete_all(IMAGEJOBS)

    async def look() -> bool:
        return not await kube.items(IMAGEJOBS, limit="1")

    await until(look, "all ImageJobs are deleted", DELETE_SECONDS)


async def set_operator(kube: KubeApi, replicas: int) -> None:
    """Let the operator run (1) or be away (0), and wait until it is so."""
    await kube.merge(OPERATOR, {"spec": {"replicas": replicas}})

    async def look() -> bool:
        status = (await kube.get(OPERATOR))["status"]
        return (status.get("replicas", 0), status.get("readyReplicas", 0)) == (replicas, replicas)

    await until(look, f"the operator has {replicas} pods", CHANGE_SECONDS)


async def worker_pod(kube: KubeApi) -> Json:
    """The pod spec that describer Jobs are launched with."""
    jobs = await kube.items(JOBS, labelSelector=WORKERS)
    if not jobs:
        raise BenchError("no describer Job runs whose pod could be copied")
    spec: Json = jobs[0]["spec"]["template"]["spec"]
    return spec


async def imagejob_bytes(kube: KubeApi) -> list[int]:
    """Sizes of some finished ImageJobs as the API server stores them: JSON, managed fields included."""
    found = await kube.items(IMAGEJOBS, fieldSelector="status.phase=done", limit=str(PAGE))
    return [len(json.dumps(job, separators=(",", ":"))) for job in found]


def median_bytes(sizes: list[int]) -> float:
    """Of a list that may be empty."""
    return statistics.median(sizes) if sizes else 0.0
