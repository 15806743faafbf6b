"""The container of somebody's own beside a worker: it gets the picture over loopback, and nothing else."""

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Sidecar

START_SECONDS = 300
"""A model may take so long to load; the worker waits for it."""

TEMPORARY = "sidecar-tmp"


def add(pod: Json, sidecar: Sidecar) -> None:
    """Put it into a pod's spec: a native sidecar, so that the Job ends when the worker does.

    Only the worker's container mounts a service-account token and has the bucket's credentials;
    this one has what its Describer says, and a folder of its own.
    """
    worker, wanted = pod["containers"][0], sidecar.to_json()
    port = wanted.pop("port")
    container = {
        "name": "sidecar",
        "restartPolicy": "Always",
        **{field: value for field, value in wanted.items() if value},
        "ports": [{"name": "describe", "containerPort": port}],
        "startupProbe": {
            "tcpSocket": {"port": port},
            "periodSeconds": 1,
            "failureThreshold": START_SECONDS,
        },
        "volumeMounts": [{"name": TEMPORARY, "mountPath": "/tmp"}],  # noqa: S108
    }

    for field in ("imagePullPolicy", "securityContext"):
        if field in worker:
            container[field] = worker[field]

    pod["initContainers"] = [*pod.get("initContainers", []), container]
    pod["volumes"] = [*pod.get("volumes", []), {"name": TEMPORARY, "emptyDir": {}}]


def url_of(sidecar: Sidecar) -> str:
    """Return where the worker asks it."""
    return f"http://127.0.0.1:{sidecar.port}/describe"
