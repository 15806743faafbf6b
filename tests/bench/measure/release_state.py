"""Read the state of the release, and start or stop its parts."""

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
"""Maximum seconds for workers to start or stop."""

DELETE_SECONDS = 300.0

PAGE = 50


async def workers_serve(kube: KubeApi, count: int) -> None:
    """Wait until exactly this number of workers exists, and all of them serve."""

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
    """Delete all ImageJobs, and wait until they are gone."""
    await kube.delete_all(IMAGEJOBS)

    async def look() -> bool:
        return not await kube.items(IMAGEJOBS, limit="1")

    await until(look, "all ImageJobs are deleted", DELETE_SECONDS)


async def set_operator(kube: KubeApi, replicas: int) -> None:
    """Start (1) or stop (0) the operator, and wait until that is done."""
    await kube.merge(OPERATOR, {"spec": {"replicas": replicas}})

    async def look() -> bool:
        status = (await kube.get(OPERATOR))["status"]
        return (status.get("replicas", 0), status.get("readyReplicas", 0)) == (replicas, replicas)

    await until(look, f"the operator has {replicas} pods", CHANGE_SECONDS)


async def worker_pod(kube: KubeApi) -> Json:
    """Return the pod spec of a running describer Job."""
    jobs = await kube.items(JOBS, labelSelector=WORKERS)
    if not jobs:
        raise BenchError("no describer Job is running, so there is no pod spec to copy")
    spec: Json = jobs[0]["spec"]["template"]["spec"]
    return spec


async def imagejob_bytes(kube: KubeApi) -> list[int]:
    """Return the sizes of some finished ImageJobs as the API server stores them, in JSON."""
    found = await kube.items(IMAGEJOBS, fieldSelector="status.phase=done", limit=str(PAGE))
    return [len(json.dumps(job, separators=(",", ":"))) for job in found]


def median_bytes(sizes: list[int]) -> float:
    """Return the median of the sizes, or 0 if there are none."""
    return statistics.median(sizes) if sizes else 0.0
