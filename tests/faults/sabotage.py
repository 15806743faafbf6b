"""Does the harm: kills and pauses containers' processes on the kind node, from outside of Kubernetes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from vision_node_contract.clients.kube import Kube, NotFoundError, UnavailableError
from vision_node_contract.names import COMPONENT_LABEL

from cluster.release import NAMESPACE
from faults.plan import Fault, Kind

Json = dict[str, Any]

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"

VICTIMS: Mapping[Kind, tuple[str, str]] = {
    Kind.KILL_WORKER: (PODS, f"{COMPONENT_LABEL}=worker"),
    Kind.KILL_OPERATOR: (PODS, f"{COMPONENT_LABEL}=operator"),
    Kind.KILL_API: (PODS, f"{COMPONENT_LABEL}=api"),
    Kind.KILL_MINIO: (PODS, f"{COMPONENT_LABEL}=minio"),
    Kind.KILL_APISERVER: ("/api/v1/namespaces/kube-system/pods", "component=kube-apiserver"),
    Kind.PAUSE_OPERATOR: (PODS, f"{COMPONENT_LABEL}=operator"),
}

LOOK_SECONDS = 0.2
FIND_SECONDS = 60.0
"""The longest that a part may take to be there again, so that it can be harmed again."""

Injected = tuple[float, Fault]
"""When (the observer's clock) what was done."""


class Saboteur:
    """Injects faults; what it did is in `injected`."""

    def __init__(self, kube: Kube, node: str) -> None:
        self.injected: list[Injected] = []
        self._kube = kube
        self._node = node

    async def run(self, faults: list[Fault]) -> None:
        """Inject each at its moment, whatever the others still do."""
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._after(fault.at, lambda fault=fault: self._inject(fault)))  # type: ignore[misc]

    async def _after(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(seconds)
        await act()

    async def _inject(self, fault: Fault) -> None:
        """Harm a container that runs; one that ends before it can be harmed is none."""
        async with asyncio.timeout(FIND_SECONDS):
            while True:
                pod = await self._victim(fault)
                if pod and await self._harm(pod, fault):
                    return
                await asyncio.sleep(LOOK_SECONDS)

    async def _harm(self, pod: Json, fault: Fault) -> bool:
        container = _container(pod)
        pauses = fault.kind is Kind.PAUSE_OPERATOR
        if not await self._signal(container, "SIGSTOP" if pauses else "SIGKILL"):
            return False

        self.injected.append((time.monotonic(), fault))
        if pauses:
            await asyncio.sleep(fault.seconds)
            await self._signal(container, "SIGCONT")  # in vain if somebody has killed it meanwhile
        elif fault.kind not in {Kind.KILL_WORKER, Kind.KILL_APISERVER} and _restarts(pod):
            await self._replace(pod)

        return True

    async def _victim(self, fault: Fault) -> Json | None:
        path, labels = VICTIMS[fault.kind]
        try:
            found = await self._kube.request("GET", path, query=[("labelSelector", labels)])
        except UnavailableError:
            return None
        running = [pod for pod in found["items"] if _runs(pod)]
        return running[int(fault.pick * len(running))] if running else None

    async def _replace(self, pod: Json) -> None:
        """Delete the pod: kubelet restarts a container at once but the first time, then ever more slowly."""
        path = f"{PODS}/{pod['metadata']['name']}"
        while True:
            try:
                await self._kube.request("DELETE", path, body={"gracePeriodSeconds": 0})
            except NotFoundError:
                return
            except UnavailableError:
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return

    async def _signal(self, container: str, signal: str) -> bool:
        """Send a signal to a container's first process; return whether there was one."""
        command = [
            "docker",
            "exec",
            self._node,
            "ctr",
            "-n",
            "k8s.io",
            "tasks",
            "kill",
            "-s",
            signal,
        ]
        devnull = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *command, container, stdout=devnull, stderr=devnull
        )

        return await process.wait() == 0


def _runs(pod: Json) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        "running" in s["state"] for s in statuses
    )


def _container(pod: Json) -> str:
    """Return containerd's id of the pod's one container."""
    container: str = pod["status"]["containerStatuses"][0]["containerID"]
    return container.removeprefix("containerd://")


def _restarts(pod: Json) -> int:
    restarts: int = pod["status"]["containerStatuses"][0]["restartCount"]
    return restarts
