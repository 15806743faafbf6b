"""Read the CPU time and memory of the kind node's containers from cgroups of version 1 or 2."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.measure.processes import parse_stat
from cluster.kind import Kind

Json = dict[str, Any]

# One shell for everything: each `docker exec` costs a tenth of a second of the cores that are
# measured. `grep -H ""` prints file names with contents; a container that ends meanwhile is no
# error.
QUESTION = r"""
all() { find "$1" -name "$2" -exec grep -H "${3:-}" {} + 2>/dev/null; }
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  all /sys/fs/cgroup cpu.stat '^usage_usec'
  all /sys/fs/cgroup memory.current
  all /sys/fs/cgroup memory.stat '^inactive_file'
else
  all /sys/fs/cgroup/cpuacct cpuacct.usage
  all /sys/fs/cgroup/memory memory.usage_in_bytes
  all /sys/fs/cgroup/memory memory.stat '^total_inactive_file'
fi
for name in kubelet containerd; do
  for process in $(pidof $name); do echo "/$name/stat:$(cat /proc/$process/stat)"; done
done
true
"""

_LINE = re.compile(r"^(?P<folder>.*)/(?P<file>[^/:]+):(?P<text>.*)$")
_CONTAINER = re.compile(r"(?P<id>[0-9a-f]{64})(\.scope)?$")
_PODS = re.compile(r"/(kubelet/)?(kubelet\.slice/)?(kubelet-)?kubepods(\.slice)?$")

SECONDS_PER_UNIT = {"cpuacct.usage": 1e-9, "cpu.stat": 1e-6}
MEMORY_FILES = frozenset({"memory.usage_in_bytes", "memory.current"})

NODE, PODS = "node", "pods"
"""Keys of the whole node and of all its pods, including ended ones."""


@dataclass
class Usage:
    """CPU time so far, and current memory without file pages that the kernel could reclaim."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0


Snapshot = dict[str, Usage]
"""Usage by container id, by process name (kubelet, containerd), and for NODE and PODS."""


def ask(kind: Kind) -> Snapshot:
    """Read the node's current usage."""
    text = kind.engine.output("exec", kind.node_name, "sh", "-c", QUESTION)
    return parse(text.splitlines())


def parse(lines: Iterable[str]) -> Snapshot:
    """Read the answer to QUESTION."""
    found: Snapshot = defaultdict(Usage)
    for line in lines:
        match = _LINE.match(line)
        key = _key(match["folder"]) if match else None
        if match and key:
            _add(found[key], match["file"], match["text"])
    return dict(found)


def _key(folder: str) -> str | None:
    """Return a folder's key; None for pods and QoS classes, whose containers are counted."""
    if container := _CONTAINER.search(folder):
        return container["id"]
    if folder in {"/kubelet", "/containerd"}:
        return folder[1:]
    if _PODS.search(folder):
        return PODS

    roots = {"/sys/fs/cgroup", "/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/memory"}
    return NODE if folder in roots else None


def _add(usage: Usage, file: str, text: str) -> None:
    if file == "stat":
        usage.cpu_seconds += parse_stat(text).cpu_seconds
    elif file in SECONDS_PER_UNIT:
        usage.cpu_seconds = int(text.rsplit(maxsplit=1)[-1]) * SECONDS_PER_UNIT[file]
    elif file in MEMORY_FILES:
        usage.memory_bytes += int(text)
    else:
        usage.memory_bytes -= int(text.rsplit(maxsplit=1)[-1])


def components(pods: Iterable[Json]) -> dict[str, str]:
    """Return the component of each container id, from the pods' labels."""
    return {
        status["containerID"].rpartition("/")[2]: component(pod["metadata"])
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses", [])
        if status.get("containerID")
    }


def component(metadata: Json) -> str:
    """Return a pod's component, from the chart's label or the control plane's own label."""
    labels: Mapping[str, str] = metadata.get("labels", {})
    if own := labels.get("app.kubernetes.io/component"):
        return "workers" if own == "worker" else own
    known = labels.get("component") or labels.get("k8s-app") or labels.get("app")
    return known or str(metadata["name"])


def cpu_between(before: Snapshot, after: Snapshot, names: Mapping[str, str]) -> dict[str, float]:
    """Return the CPU-seconds of each component between two snapshots.

    `other pods` and `rest of the node` are the time that belongs to no named component.
    """
    spent: dict[str, float] = defaultdict(float)
    for key, usage in after.items():
        used = usage.cpu_seconds - before.get(key, Usage()).cpu_seconds
        if key in names:
            spent[names[key]] += used
        elif key in {"kubelet", "containerd"}:
            spent[key] += used

    in_pods = sum(spent[name] for name in set(names.values()) if name in spent)
    outside = spent["kubelet"] + spent["containerd"]
    pods, node = (after[key].cpu_seconds - before[key].cpu_seconds for key in (PODS, NODE))

    return {
        **spent,
        "other pods": max(0.0, pods - in_pods),
        "rest of the node": max(0.0, node - pods - outside),
    }


def memory(now: Snapshot, names: Mapping[str, str]) -> dict[str, int]:
    """Return the memory of each component in bytes."""
    found: dict[str, int] = defaultdict(int)
    for key, name in names.items():
        if key in now:
            found[name] += now[key].memory_bytes
    return dict(found)
