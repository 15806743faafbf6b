"""Inject faults: kill or pause the processes of containers, directly on the kind node."""

import asyncio
import dataclasses
import time
from collections.abc import Iterable, Mapping

from vision_node_contract.clients.kube import Kube, NotFoundError, UnavailableError
from vision_node_contract.json_types import Json
from vision_node_contract.names import COMPONENT_LABEL

from cluster.release import NAMESPACE
from faults.database.faults import DatabaseFaults
from faults.plan import Fault, Kind

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"

TARGETS: Mapping[Kind, tuple[str, str]] = {
    Kind.KILL_WORKER: (PODS, f"{COMPONENT_LABEL}=worker"),
    Kind.KILL_OPERATOR: (PODS, f"{COMPONENT_LABEL}=operator"),
    Kind.KILL_ARCHIVER: (PODS, f"{COMPONENT_LABEL}=archiver"),
    Kind.KILL_API: (PODS, f"{COMPONENT_LABEL}=api"),
    Kind.KILL_MINIO: (PODS, f"{COMPONENT_LABEL}=minio"),
    Kind.KILL_APISERVER: ("/api/v1/namespaces/kube-system/pods", "component=kube-apiserver"),
    Kind.PAUSE_OPERATOR: (PODS, f"{COMPONENT_LABEL}=operator"),
    Kind.KILL_POSTGRES: (PODS, f"{COMPONENT_LABEL}=postgres"),
    Kind.PAUSE_POSTGRES: (PODS, f"{COMPONENT_LABEL}=postgres"),
}
"""API path and label selector of the pods that each kind of fault affects."""

PAUSES = frozenset({Kind.PAUSE_OPERATOR, Kind.PAUSE_POSTGRES})

POLL_SECONDS = 0.2
"""Interval between two checks of a condition."""

TARGET_TIMEOUT_SECONDS = 60.0
"""How long to wait for a running container of the component that a fault affects."""

Injected = tuple[float, Fault]
"""Time at which a fault was injected (time.monotonic(), as in the observer), and the fault."""


class FaultInjector:
    """Injects faults and records them in `injected`."""

    def __init__(self, kube: Kube, node: str, database: DatabaseFaults) -> None:
        self.injected: list[Injected] = []
        self._kube = kube
        self._node = node
        self._database = database

    async def run(self, faults: list[Fault]) -> None:
        """Inject each fault at its planned time, even if earlier faults are still in progress."""
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._inject_at(fault))

    async def _inject_at(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        if self._database.knows(fault.kind):
            start, seconds = await self._database.inject(fault)
            self.injected.append((start, dataclasses.replace(fault, seconds=seconds)))
        else:
            await self._inject(fault)

    async def _inject(self, fault: Fault) -> None:
        """Inject the fault into a running container.

        If that container ends before the signal is sent, choose another one.

        Raises:
            TimeoutError: no container of the component was running within a minute.
        """
        deadline = time.monotonic() + TARGET_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            pod = await self._target(fault)
            if pod and await self._apply(pod, fault):
                return

            await asyncio.sleep(POLL_SECONDS)

        seconds = f"{TARGET_TIMEOUT_SECONDS:g} s"
        raise TimeoutError(f"{fault.kind}: no container was running within {seconds}")

    async def _apply(self, pod: Json, fault: Fault) -> bool:
        """Apply the fault to a pod. Return False if its container has already ended."""
        container = _container(pod)
        pauses = fault.kind in PAUSES
        if not await self._signal(container, "SIGSTOP" if pauses else "SIGKILL"):
            return False

        self.injected.append((time.monotonic(), fault))
        if pauses:
            await self._signal_all(container, "STOP")
            await asyncio.sleep(fault.seconds)
            await self._signal(container, "SIGCONT")  # no effect if the container was killed
            await self._signal_all(container, "CONT")
        elif fault.kind not in {Kind.KILL_WORKER, Kind.KILL_APISERVER} and _restarts(pod):
            await self._replace(pod)

        return True

    async def _target(self, fault: Fault) -> Json | None:
        path, labels = TARGETS[fault.kind]
        try:
            found = await self._kube.request("GET", path, query=[("labelSelector", labels)])
        except UnavailableError:
            return None

        running = [pod for pod in found["items"] if _runs(pod)]
        return running[int(fault.pick * len(running))] if running else None

    async def _replace(self, pod: Json) -> None:
        """Delete the pod, so that it is replaced immediately.

        The kubelet delays every restart of a container except the first one.
        """
        path = f"{PODS}/{pod['metadata']['name']}"

        while True:
            try:
                await self._kube.request("DELETE", path, body={"gracePeriodSeconds": 0})
            except NotFoundError:
                return
            except UnavailableError:
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    async def _signal(self, container: str, signal: str) -> bool:
        """Send a signal to a container's first process. Return whether that process existed."""
        kill = ("ctr", "-n", "k8s.io", "tasks", "kill", "-s", signal, container)
        return await self._on_node(*kill) is not None

    async def _signal_all(self, container: str, signal: str) -> None:
        """Send a signal to all of a container's processes, such as PostgreSQL's connections."""
        printed = await self._on_node("ctr", "-n", "k8s.io", "tasks", "ps", container)
        if found := pids_in(printed or ""):
            # A process that has ended meanwhile makes `kill` fail, but the others get the signal.
            await self._on_node("sh", "-c", f"kill -{signal} {' '.join(map(str, found))}")

    async def _on_node(self, *command: str) -> str | None:
        """Run a command on the kind node. Return what it prints, or None if it fails."""
        pipe, devnull = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            "docker", "exec", self._node, *command, stdout=pipe, stderr=devnull
        )

        out, _ = await process.communicate()
        return out.decode() if process.returncode == 0 else None


def pids_in(printed: str) -> Iterable[int]:
    """Return the numbers of the processes in the output of `ctr tasks ps`, which is a table."""
    words = [line.split() for line in printed.splitlines()]
    return [int(row[0]) for row in words if row and row[0].isdigit()]


def _runs(pod: Json) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    has_running_container = any("running" in each["state"] for each in statuses)
    return "deletionTimestamp" not in pod["metadata"] and has_running_container


def _container(pod: Json) -> str:
    """Return the containerd ID of the pod's only container."""
    container: str = pod["status"]["containerStatuses"][0]["containerID"]
    return container.removeprefix("containerd://")


def _restarts(pod: Json) -> int:
    restarts: int = pod["status"]["containerStatuses"][0]["restartCount"]
    return restarts
