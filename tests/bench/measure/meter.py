"""Measure the CPU time of every component, and count writes of ImageJobs and ImageBatches."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.arena import Arena
from bench.celery_system.run import Running as CeleryRunning
from bench.measure import metrics, node, processes
from bench.measure.kube_api import KubeApi
from bench.results import CELERY_PREFIX, DRIVER

IDLE_CORES = 0.5
"""If the node uses fewer cores than this, it counts as idle. It is never completely idle."""

IDLE_WAIT_SECONDS = 30.0
"""Maximum seconds to wait until the node is idle. Other programs may keep it busy."""

LOOK_SECONDS = 1.0


@dataclass
class Cost:
    """Measurements of a block. The values are set when the block has ended."""

    seconds: float = 0.0
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    others_cores: float = 0.0
    """Average number of the systems' cores that other programs used."""
    writes: float = 0.0
    conflicts: float = 0.0
    batch_writes: float = 0.0
    """Writes and deletions of ImageJobs and ImageBatches."""

    def for_sample(self) -> dict[str, Any]:
        """Return the values that a Sample has, too."""
        found = dataclasses.asdict(self)
        del found["seconds"]
        return found


@dataclass(frozen=True)
class _Reading:
    moment: float
    cluster: node.Snapshot
    components: dict[str, str]
    local: dict[str, float]
    busy: float
    writes: metrics.Writes
    batch_writes: float


@dataclass(frozen=True)
class Meter:
    """Measures all systems together, because an idle system also uses CPU time."""

    arena: Arena
    kube: KubeApi
    celery: CeleryRunning | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cost]:
        """Measure while the block runs. The values of the yielded cost are set after the block."""
        cost = Cost()
        before = await self._read()
        yield cost
        after = await self._read()
        cost.seconds = after.moment - before.moment
        cost.cpu_seconds = _spent(before, after)
        cost.others_cores = self._others(before, after, cost)
        writes = after.writes.since(before.writes)
        cost.writes, cost.conflicts = writes.accepted, writes.conflicts
        cost.batch_writes = after.batch_writes - before.batch_writes

    async def idle(self, seconds: float) -> dict[str, float]:
        """Return the average number of cores that each component uses during `seconds`."""
        async with self.running() as cost:
            await asyncio.sleep(seconds)
        return {name: spent / cost.seconds for name, spent in cost.cpu_seconds.items()}

    async def memory(self) -> dict[str, int]:
        """Return the current memory of each component in the cluster, in bytes."""
        names = node.components(await self.kube.items("/api/v1/pods"))
        return node.memory(await asyncio.to_thread(node.ask, self.arena.kind), names)

    async def wait_until_idle(self) -> None:
        """Wait until the node is idle or IDLE_WAIT_SECONDS have passed."""
        deadline = time.monotonic() + IDLE_WAIT_SECONDS
        while time.monotonic() < deadline:
            before = await self._node_seconds()
            await asyncio.sleep(LOOK_SECONDS)
            if await self._node_seconds() - before < IDLE_CORES * LOOK_SECONDS:
                return

    async def _node_seconds(self) -> float:
        snapshot = await asyncio.to_thread(node.ask, self.arena.kind)
        return snapshot[node.NODE].cpu_seconds

    async def _read(self) -> _Reading:
        text = await self.kube.text("/metrics")
        writes, batch_writes = metrics.imagejob_writes(text), metrics.batch_writes(text)
        components = node.components(await self.kube.items("/api/v1/pods"))
        cluster = await asyncio.to_thread(node.ask, self.arena.kind)
        busy = processes.busy_seconds(self.arena.cores.system)
        moment, local = time.perf_counter(), self._local()
        return _Reading(moment, cluster, components, local, busy, writes, batch_writes)

    def _local(self) -> dict[str, float]:
        found = {DRIVER: time.process_time()}
        for name, process in self.celery.processes.items() if self.celery else ():
            found[CELERY_PREFIX + name] = processes.cpu_seconds(process)
        return found

    def _others(self, before: _Reading, after: _Reading, cost: Cost) -> float:
        """Return the average number of the systems' cores that other programs used."""
        apart = {DRIVER} if self.arena.cores.pinned else set()
        ours = sum(spent for name, spent in cost.cpu_seconds.items() if name not in apart)
        return max(0.0, (after.busy - before.busy - ours) / cost.seconds)


def _spent(before: _Reading, after: _Reading) -> dict[str, float]:
    local = {name: after.local[name] - before.local.get(name, 0.0) for name in after.local}
    return node.cpu_between(before.cluster, after.cluster, after.components) | local
