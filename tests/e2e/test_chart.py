"""The chart as installed."""

import json
from collections.abc import Callable


def test_every_pod_passes_pod_security_restricted(kubectl: Callable[..., str]) -> None:
    """The namespace enforces it: that pods of every component run is the proof; workers come by demand."""
    labels = json.loads(kubectl("get", "namespace", "vision-node", "-o", "jsonpath={.metadata.labels}"))
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert {"api", "operator", "minio"} <= components


def test_nothing_restarts(kubectl: Callable[..., str]) -> None:
    path = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    restarts = kubectl("get", "pods", "-l", "app.kubernetes.io/component in (api,operator,minio)", "-o", path)
    assert set(restarts.split()) == {"0"}
