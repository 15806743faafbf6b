"""Fixtures for tests of actions: a fickle describer, and two replicas of the API."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from conftest import NAMESPACE, Forwarded, Kubectl, wait_for
from history.release_history import ReleaseHistory
from vision_node_contract.json_types import Json

FICKLE = "fickle"
API = "deployment/vision-node-api"
PODS = ("pods", "-l", "app.kubernetes.io/component=api", "-o", "json")


@pytest.fixture(scope="package")
def fickle(kubectl: Kubectl) -> Iterator[str]:
    """Create the Describer that is slow or refuses some images, and yield its name."""
    body: Json = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": FICKLE},
        "spec": {
            "provider": "metadata",
            "command": ["python", "-c", Path(__file__).with_name("fickle.py").read_text()],
        },
    }
    kubectl("apply", "-f", "-", input=json.dumps(body))
    yield FICKLE
    kubectl("delete", "describer", FICKLE, "--wait=false")


@pytest.fixture(scope="package")
def history(kubectl: Kubectl, api: httpx.Client) -> ReleaseHistory:
    """Return the release's history."""
    return ReleaseHistory(kubectl, api)


@pytest.fixture
def replicas(kubectl: Kubectl, forwarded: Forwarded) -> Iterator[list[httpx.Client]]:
    """Run two replicas of the API, and yield a client for each."""
    before = kubectl("get", API, "-o", "jsonpath={.spec.replicas}").strip()
    kubectl("scale", API, "--replicas=2")
    kubectl("rollout", "status", API, "--timeout=120s")
    names = wait_for(lambda: ready_pods(kubectl), lambda found: len(found) == 2)

    with ExitStack() as stack:
        yield [stack.enter_context(forwarded(NAMESPACE, f"pod/{name}")) for name in names]
    kubectl("scale", API, f"--replicas={before}")


def ready_pods(kubectl: Kubectl) -> list[str]:
    """Return the names of the API's pods that are ready and stay."""
    pods = json.loads(kubectl("get", *PODS))["items"]
    return [pod["metadata"]["name"] for pod in pods if is_ready(pod)]


def is_ready(pod: Json) -> bool:
    """Return whether a pod is ready, and not being deleted."""
    conditions = {it["type"]: it["status"] for it in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
