"""Find out why a release does not become ready."""

import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.client import Client
from cluster.errors import ClusterError

# Maximum number of lines in the list of pods, in the warnings and in each log of a diagnosis.
LOG_LINES = 30
# Maximum number of pods whose logs are shown. Further pods usually have the same problem, and each
# log takes two requests.
MAX_POD_LOGS = 5

CHECK_INTERVAL_SECONDS = 3.0

# Reasons for a container's waiting state that show that it will not start without a change.
PERMANENT_REASONS = frozenset(
    {"CreateContainerConfigError", "ErrImageNeverPull", "InvalidImageName"}
)
# Number of restarts after which a crash counts as permanent. A container may crash because its
# dependencies are still starting. Its third restart takes place after 30 s.
MAX_RESTARTS = 3

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
    """The state of a pod's container."""

    pod_created: str
    pod: str
    restarts: int
    waiting: str
    """The reason why the container is waiting; empty if it is not."""

    @classmethod
    def parse(cls, line: str) -> "Container":
        """Parse a line of the template CONTAINERS."""
        created, pod, restarts, *waiting = line.split()
        return cls(created, pod, int(restarts), " ".join(waiting))


def permanent_failure(containers: Iterable[Container], since: str) -> str:
    """Return the first failure that will not resolve itself; empty if there is none.

    Pods that were created before `since` (RFC 3339) are ignored, because an upgrade is about to
    replace them.
    """
    for container in containers:
        if container.pod_created < since:
            continue

        looping = container.waiting == "CrashLoopBackOff" and container.restarts >= MAX_RESTARTS
        if looping or container.waiting in PERMANENT_REASONS:
            return f"pod {container.pod} does not start: {container.waiting}"

    return ""


def watch(client: Client, namespace: str, since: str, finished: threading.Event) -> None:
    """Check the pods until `finished` is set. Raises ClusterError if a pod failed permanently."""
    while not finished.wait(CHECK_INTERVAL_SECONDS):
        lines = _try_kubectl(client, namespace, "get", "pods", "-o", CONTAINERS).splitlines()
        if why := permanent_failure(map(Container.parse, lines), since):
            raise ClusterError(why)


def describe(client: Client, namespace: str) -> str:
    """Return the list of pods, the warnings, and the logs of pods that are not ready."""
    pods = _try_kubectl(client, namespace, "get", "pods", "-o", "wide").splitlines()
    sections = [
        ("Pods", "\n".join([*pods[:LOG_LINES], *more(pods[LOG_LINES:], "pods")])),
        (
            "Warnings",
            "\n".join(_try_kubectl(client, namespace, *WARNINGS).splitlines()[-LOG_LINES:]),
        ),
    ]
    lines = _try_kubectl(client, namespace, "get", "pods", "-o", PODS).splitlines()
    not_ready = [pod for pod in map(unready, lines) if pod]

    for pod in not_ready[:MAX_POD_LOGS]:
        logs = ("logs", pod, "--all-containers", f"--tail={LOG_LINES}")
        sections.append((f"Log of {pod}", _try_kubectl(client, namespace, *logs)))
        before = _try_kubectl(client, namespace, *logs, "--previous")
        sections.append((f"Log of {pod} before its restart", before))

    sections.append(("Logs", "\n".join(more(not_ready[MAX_POD_LOGS:], "pods that are not ready"))))
    return "\n\n".join(f"{title}:\n{text}" for title, text in sections if text)


def unready(line: str) -> str:
    """Return the pod in a line of the template PODS if it should be ready but isn't, else ""."""
    pod, phase, *ready = line.split()
    return "" if phase == "Succeeded" or ready == ["True"] else pod


def more(left_out: Sequence[str], of_what: str) -> list[str]:
    """Return a line with the number of omitted entries; an empty list if none was omitted."""
    return [f"… and {len(left_out):,} more {of_what}"] if left_out else []


def _try_kubectl(client: Client, namespace: str, *arguments: str) -> str:
    """Return kubectl's output; empty if it fails, because a diagnosis must not add an error."""
    with contextlib.suppress(ClusterError):
        return client.kubectl_output("-n", namespace, "--request-timeout=10s", *arguments).rstrip()
    return ""
