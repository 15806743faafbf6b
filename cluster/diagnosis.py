"""What is wrong with a release that does not get ready."""

import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.client import Client
from cluster.errors import ClusterError

# Lines that a diagnosis shows of the list of pods, of the warnings and of each unready pod's log.
LOG_LINES = 30
# Unready pods whose logs are shown: further ones have the same problem, and each takes two
# requests.
MOST_LOGS = 5

LOOK_EVERY_SECONDS = 3.0

# Why a container waits that no waiting will start.
DEAD_ENDS = frozenset({"CreateContainerConfigError", "ErrImageNeverPull", "InvalidImageName"})
# A container may fail while what it needs is still starting; the third restart comes after 30 s.
PATIENCE_RESTARTS = 3

WARNINGS = ("get", "events", "--field-selector=type=Warning", "--sort-by=.lastTimestamp")
READY = '{range .status.conditions[?(@.type=="Ready")]}{.status}{end}'
PODS = "jsonpath={range .items[*]}{.metadata.name} {.status.phase} " + READY + '{"\\n"}{end}'
CONTAINERS = (
    "go-template={{range $pod := .items}}{{range .status.containerStatuses}}"
    "{{$pod.metadata.creationTimestamp}} {{$pod.metadata.name}} {{.restartCount}} "
    '{{with .state.waiting}}{{.reason}}{{end}}{{"\\n"}}{{end}}{{end}}'
)


@dataclass(frozen=True)
class Container:
    """How a pod's container is doing."""

    pod_created: str
    pod: str
    restarts: int
    waiting: str
    """The reason why it waits; empty when it does not."""

    @classmethod
    def parse(cls, line: str) -> "Container":
        """Read a line of the template CONTAINERS."""
        created, pod, restarts, *waiting = line.split()
        return cls(created, pod, int(restarts), " ".join(waiting))


def hopeless(containers: Iterable[Container], since: str) -> str:
    """What will not mend itself in the pods created since then (RFC 3339); empty: nothing.

    Older pods are those that an upgrade is about to replace.
    """
    for container in containers:
        looping = container.waiting == "CrashLoopBackOff"
        tried = looping and container.restarts >= PATIENCE_RESTARTS
        if container.pod_created >= since and (tried or container.waiting in DEAD_ENDS):
            return f"pod {container.pod} does not start: {container.waiting}"
    return ""


def watch(client: Client, namespace: str, since: str, finished: threading.Event) -> None:
    """Look at the pods until `finished`; raises ClusterError as soon as one is beyond hope."""
    while not finished.wait(LOOK_EVERY_SECONDS):
        lines = _asked(client, namespace, "get", "pods", "-o", CONTAINERS).splitlines()
        if why := hopeless(map(Container.parse, lines), since):
            raise ClusterError(why)


def describe(client: Client, namespace: str) -> str:
    """What a person would look at first: pods, warnings, and the logs of pods that are not ready."""
    pods = _asked(client, namespace, "get", "pods", "-o", "wide").splitlines()
    parts = [
        ("Pods", "\n".join([*pods[:LOG_LINES], *more(pods[LOG_LINES:], "pods")])),
        ("Warnings", "\n".join(_asked(client, namespace, *WARNINGS).splitlines()[-LOG_LINES:])),
    ]
    lines = _asked(client, namespace, "get", "pods", "-o", PODS).splitlines()
    in_trouble = [pod for pod in map(unready, lines) if pod]

    for pod in in_trouble[:MOST_LOGS]:
        logs = ("logs", pod, "--all-containers", f"--tail={LOG_LINES}")
        parts.append((f"Log of {pod}", _asked(client, namespace, *logs)))
        before = _asked(client, namespace, *logs, "--previous")
        parts.append((f"Log of {pod} before its restart", before))

    parts.append(("Logs", "\n".join(more(in_trouble[MOST_LOGS:], "pods that are not ready"))))
    return "\n\n".join(f"{title}:\n{text}" for title, text in parts if text)


def unready(line: str) -> str:
    """Return the pod's name in a line of the template PODS if the pod should be ready and is not; else ""."""
    pod, phase, *ready = line.split()
    return "" if phase == "Succeeded" or ready == ["True"] else pod


def more(left_out: Sequence[str], of_what: str) -> list[str]:
    """Return a line that counts the omitted entries, if there are any."""
    return [f"… and {len(left_out):,} more {of_what}"] if left_out else []


def _asked(client: Client, namespace: str, *arguments: str) -> str:
    """The answer of kubectl, or nothing: looking for a fault must not add one."""
    with contextlib.suppress(ClusterError):
        return client.ask("-n", namespace, "--request-timeout=10s", *arguments).rstrip()
    return ""
