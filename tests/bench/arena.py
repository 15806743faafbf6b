"""Start, configure and delete the kind cluster in which the benchmarks run."""

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.cores import Cores
from bench.errors import BenchError
from cluster import commands
from cluster import engine as engines
from cluster.artifacts.cache import Cache, default_root
from cluster.client import Client
from cluster.commands import RunningCluster
from cluster.context import BuildContext
from cluster.errors import ClusterError
from cluster.kind import NODE_PORT, Kind, find_node, is_free
from cluster.release import CHART, HELM_TIMEOUT_SECONDS, NAMESPACE, RELEASE
from cluster.run.progress import Progress

CLUSTER = "vision-node-bench"
PORTS = range(8110, 8210)

REPOSITORY = Path(__file__).parents[2]
HERE = Path(__file__).parent
WARM = (HERE / "values.yaml",)
COLD = (*WARM, HERE / "values-cold.yaml")

Values = Mapping[str, bool | int]
"""The chart's values by their paths, such as `database.enabled`."""

UPLOAD_SECONDS = 60.0

PIN_ATTEMPTS = 5
# On cgroup v1, a group can't lose a core that a subgroup still has. Start with the deepest groups.
NARROW = r"""
find /sys/fs/cgroup/cpuset -mindepth 2 -name cpuset.cpus 2>/dev/null \
  | awk '{ print gsub("/", "/"), $0 }' | sort -rn | cut -d " " -f 2 \
  | while read -r file; do echo "$0" > "$file"; done
"""


@dataclass(frozen=True)
class Arena:
    """A cluster in which the release is installed."""

    running: RunningCluster
    cores: Cores

    @property
    def kind(self) -> Kind:
        """The kind cluster."""
        return self.running.kind

    @cached_property
    def url(self) -> str:
        """URL of the API at the node's own address.

        Docker's proxy for published ports is avoided because it makes an extra copy of every byte.
        """
        return f"http://{self.address}:{NODE_PORT}"

    @cached_property
    def address(self) -> str:
        """IP address of the node."""
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        inspect = ("inspect", "--format", networks, self.kind.node_name)
        return self.kind.engine.output(*inspect).strip()

    @property
    def client(self) -> Client:
        """Client that runs Helm and kubectl for this cluster."""
        return Client(self.running.tools.kubectl, self.running.tools.helm, self.kind.kubeconfig)

    def kubeconfig(self) -> dict[str, Any]:
        """Return the kubeconfig of this cluster."""
        found: dict[str, Any] = json.loads(
            self.client.kubectl_output("config", "view", "--raw", "-o", "json")
        )
        return found

    def configure(self, files: Sequence[Path], values: Values = MappingProxyType({})) -> None:
        """Upgrade the release: add these values files and values to those that it already has."""
        ctx = self.kind.ctx
        read = [option for file in files for option in ("--values", file)]
        read += [option for it in settings(values) for option in ("--set", it)]
        options = ("--namespace", NAMESPACE, "--reuse-values", *read)
        wait = ("--wait", "--timeout", f"{HELM_TIMEOUT_SECONDS}s")
        with ctx.progress.step(f"release with {files[-1].name}", outcome="ready"):
            self.client.run_helm("upgrade", RELEASE, ctx.repository / CHART, *options, *wait)

    def upload(self, name: str, data: bytes) -> str:
        """Upload an image to the inbox, and return its key in the bucket.

        Raises:
            OSError: The API rejected the image or did not respond.
        """
        headers = {"Content-Type": "application/octet-stream"}
        address = f"{self.url}/inbox/{name}"
        request = urllib.request.Request(address, data, headers)  # noqa: S310 (an http URL)
        with urllib.request.urlopen(request, timeout=UPLOAD_SECONDS) as answer:  # noqa: S310
            return str(json.load(answer)["key"])

    def restrict_to_cores(self) -> None:
        """Restrict the node to the cores that are assigned to the systems.

        Raises:
            BenchError: The container engine rejects the restriction.
        """
        if not self.cores.pinned:
            return

        cores = self.cores.system_list
        for attempt in range(1, PIN_ATTEMPTS + 1):
            self.kind.engine.succeeds("exec", self.kind.node_name, "sh", "-c", NARROW, cores)
            try:
                self.kind.engine.output("update", "--cpuset-cpus", cores, self.kind.node_name)
                break
            except ClusterError as error:
                # A container that has just started may not be restricted yet.
                if attempt == PIN_ATTEMPTS:
                    raise BenchError(
                        f"can't restrict the node to the cores {cores}: {error}"
                    ) from error

                time.sleep(1)


def settings(values: Values) -> Iterator[str]:
    """Yield values in the form of Helm's option --set."""
    for path, value in values.items():
        yield f"{path}={str(value).lower()}"


@contextlib.contextmanager
def arena(cores: Cores) -> Iterator[Arena]:
    """Start the cluster, and delete it after the block unless KEEP=1 is set."""
    cache = Cache(default_root())
    ctx = BuildContext(REPOSITORY, cache, Progress(cache.logs))
    kept = os.environ.get("KEEP") == "1"

    try:
        with cache.locked(f"cluster-{CLUSTER}", ctx.progress.say), cache.shared(engines.IN_USE):
            found = Arena(commands.kind_up(ctx, CLUSTER, _port(ctx)), cores)
            found.restrict_to_cores()
            yield found
    finally:
        if not kept:
            commands.kind_down(ctx.quiet(), CLUSTER)


def _port(ctx: BuildContext) -> int:
    """Return the port of an existing benchmark cluster, or a free port if none exists."""
    if engine := engines.find(ctx):
        node = find_node(engine, CLUSTER)
        if node and node.port:
            return node.port
    return next((port for port in PORTS if is_free(port)), PORTS[0])
