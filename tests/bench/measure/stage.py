"""The benchmark cluster and its clients."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from bench.arena import Arena, arena
from bench.cores import assign_cores
from bench.measure.kube_api import KubeApi, connect
from bench.systems import VisionNode, session

WARM_WORKERS = 4
"""Total number of warm workers. Each of the two describers has two, as in values.yaml."""


@dataclass(frozen=True)
class Stage:
    """The cluster and its clients, which every measurement uses."""

    arena: Arena
    kube: KubeApi
    http: aiohttp.ClientSession
    """Client session for vision-node's API."""
    system: VisionNode

    def say(self, text: str) -> None:
        """Print a progress message."""
        self.arena.kind.ctx.progress.say(text)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Start the benchmark cluster, and connect to its API server and to vision-node's API."""
    cores = assign_cores(os.sched_getaffinity(0))
    with arena(cores) as found:
        os.sched_setaffinity(0, cores.driver)
        async with connect(found.kubeconfig()) as kube, session(found.url) as client:
            yield Stage(found, kube, client, VisionNode(client, kube))
