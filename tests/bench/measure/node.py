"""Read the CPU time and memory of the kind node's containers from cgroups (version 1 or 2)."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.measure.processes import parse_stat
from cluster.kind import Kind

Json = dict[str, Any]

# A single script reads everything, because each `docker exec` takes 0.1 s of CPU time on the cores
# that are being measured. `grep -H ""` prints the name of the file before each line. Errors are
# ignored, because a container can end in the meantime.
SCRIPT = r"""
all() { find "$1" -name "$2" -exec grep -H "${3:-}" {} + 2>/dev/null; }
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  all /sys/fs/cgroup cpu.stat '^usage_usec'
  all /sys/fs/cgroup memory.current
  all /sys/fs/cgroup memory.stat '^\(inactive_file\|anon\) '
else
  all /sys/fs/cgroup/cpuacct cpuacct.usage
  all /sys/fs/cgroup/memory memory.usage_in_bytes
  all /sys/fs/cgroup/memory memory.stat '^total_\(inactive_file\|rss\) '
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
ANONYMOUS = ("anon ", "total_rss ")

NODE, PODS = "node", "pods"
"""Keys for the whole node and for all of its pods, including pods that have ended."""


@dataclass
class Usage:
    """CPU time used so far, and current memory without reclaimable file pages."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    anonymous_bytes: int = 0
    """The part of the memory that no file backs. The kernel can't reclaim it."""


Snapshot = dict[str, Usage]
"""Usage by key: a container id, `kubelet`, `containerd`, NODE or PODS."""


def ask(kind: Kind) -> Snapshot:
    """Read the node's current usage."""
    text = kind.engine.output("exec", kind.node_name, "sh", "-c", SCRIPT)
    return parse(text.splitlines())


def free_disk_bytes(kind: Kind) -> int:
    """Return the free space on the disk with the node's volumes and images, in bytes."""
    command = ("df", "--block-size=1", "--output=avail", "/var")
    return int(kind.engine.output("exec", kind.node_name, *command).split()[-1])


def parse(lines: Iterable[str]) -> Snapshot:
    """Parse the output of SCRIPT."""
    found: Snapshot = defaultdict(Usage)
    for line in lines:
        match = _LINE.match(line)
        key = _key(match["folder"]) if match else None
        if match and key:
            _add(found[key], match["file"], match["text"])
    return dict(found)


def _key(folder: str) -> str | None:
    """Return the key for a cgroup folder, or None for other folders.

    Individual pods and QoS classes have no key, because their containers are counted.
    """
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
    elif text.startswith(ANONYMOUS):
        usage.anonymous_bytes += int(text.rsplit(maxsplit=1)[-1])
    else:
        usage.memory_bytes -= int(text.rsplit(maxsplit=1)[-1])


def components(pods: Iterable[Json]) -> dict[str, str]:
    """Return the component of each container by container id, according to the pods' labels."""
    return {
        status["containerID"].rpartition("/")[2]: component(pod["metadata"])
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses", [])
        if status.get("containerID")
    }


def component(metadata: Json) -> str:
    """Return a pod's component from its labels, or the pod's name if it has no such label."""
    labels: Mapping[str, str] = metadata.get("labels", {})
    if own := labels.get("app.kubernetes.io/component"):
        return "workers" if own == "worker" else own
    known = labels.get("component") or labels.get("k8s-app") or labels.get("app")
    return known or str(metadata["name"])


def cpu_between(before: Snapshot, after: Snapshot, names: Mapping[str, str]) -> dict[str, float]:
    """Return the CPU-seconds that each component used between two snapshots.

    CPU time that belongs to no named component is in `other pods` and `rest of the node`.
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


def cpu(now: Snapshot, names: Mapping[str, str], wanted: Iterable[str]) -> dict[str, float]:
    """Return the CPU time of some components since their containers started, in seconds."""
    found = dict.fromkeys(wanted, 0.0)
    for key, name in names.items():
        if name in found and key in now:
            found[name] += now[key].cpu_seconds
    return found


def memory(now: Snapshot, names: Mapping[str, str]) -> dict[str, int]:
    """Return the memory of each component in bytes."""
    return _by_component(now, names, lambda usage: usage.memory_bytes)


def anonymous_memory(now: Snapshot, names: Mapping[str, str]) -> dict[str, int]:
    """Return the memory of each component that no file backs, in bytes."""
    return _by_component(now, names, lambda usage: usage.anonymous_bytes)


def _by_component(
    now: Snapshot, names: Mapping[str, str], value: Callable[[Usage], int]
) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for key, name in names.items():
        if key in now:
            found[name] += value(now[key])
    return dict(found)
