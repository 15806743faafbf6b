"""Add a sidecar (a user's container that receives images over HTTP) to a Describer's workers."""

from vision_node_contract.json_types import Json
from vision_node_contract.models.describer import Sidecar

START_SECONDS = 300
"""How long a sidecar may take to start, in seconds. It may have to load a model, and the worker
waits until it has started."""

VOLUME_NAME = "sidecar-tmp"
"""Name of the volume for the sidecar's temporary files."""


def add(pod: Json, sidecar: Sidecar) -> None:
    """Add the sidecar to a pod's spec as a native sidecar, so that the Job ends with the worker.

    Only the worker's container has a service-account token and the bucket's credentials. The
    sidecar has only the settings from its Describer, and its own folder for temporary files.
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
        "volumeMounts": [{"name": VOLUME_NAME, "mountPath": "/tmp"}],  # noqa: S108
    }

    for field in ("imagePullPolicy", "securityContext"):
        if field in worker:
            container[field] = worker[field]

    pod["initContainers"] = [*pod.get("initContainers", []), container]
    pod["volumes"] = [*pod.get("volumes", []), {"name": VOLUME_NAME, "emptyDir": {}}]


def url_of(sidecar: Sidecar) -> str:
    """Return the URL at which the worker calls the sidecar."""
    return f"http://127.0.0.1:{sidecar.port}/describe"
