"""Fixtures: a receiver in the cluster, and a release that may send messages to it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from conftest import NAMESPACE, Kubectl
from releases import CHART, RELEASE, Helm, helm
from test_describers import api_image
from vision_node_contract.json_types import Json

__all__ = ["helm"]  # pytest looks up the fixture in this module

NAME = "webhook-receiver"

PORT = 8080

WAIT = ("--wait", "--wait-for-jobs", "--timeout", "180s")


@dataclass(frozen=True)
class ReceiverPod:
    """The receiver."""

    kubectl: Kubectl
    address: str
    """The address of its Service."""

    @property
    def by_name(self) -> str:
        """Its URL with the name of the Service."""
        return f"http://{NAME}.{NAMESPACE}.svc.cluster.local:{PORT}"

    @property
    def by_address(self) -> str:
        """Its URL with the address of the Service."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{PORT}"

    def received(self, path: str) -> list[Json]:
        """Return the requests to a path, with their bodies as bytes."""
        lines = self.kubectl("logs", NAME).splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [{**it, "body": base64.b64decode(it["body"])} for it in found if it["path"] == path]

    def secret(self, key: str = "secret") -> str:
        """Return a key of the release's Secret."""
        found = self.kubectl("get", "secret", f"{RELEASE}-webhooks", "-o", "json")
        return base64.b64decode(json.loads(found)["data"][key]).decode()


@pytest.fixture(scope="package")
def receiver(kubectl: Kubectl, helm: Helm, api: httpx.Client) -> Iterator[ReceiverPod]:
    """Run a receiver, and let the release send messages to its Service."""
    apply(kubectl, pod(api_image(kubectl)), service())
    kubectl("wait", "--for=condition=Ready", f"pod/{NAME}", "--timeout=120s")
    address = kubectl("get", "service", NAME, "-o", "jsonpath={.spec.clusterIP}").strip()
    network = f"{address}/{128 if ':' in address else 32}"

    upgrade(helm, {"allowedNetworks": [network], "allowHTTP": True})
    yield ReceiverPod(kubectl, address)
    upgrade(helm, {"allowedNetworks": [], "allowHTTP": False})
    kubectl("delete", f"pod/{NAME}", f"service/{NAME}", "--wait=false")


def upgrade(helm: Helm, webhooks: Json) -> None:
    """Upgrade the release with these values."""
    options = ("-n", NAMESPACE, "--reuse-values", *WAIT)
    helm("upgrade", RELEASE, CHART, *options, values={"webhooks": webhooks})


def apply(kubectl: Kubectl, *objects: Json) -> None:
    """Apply objects."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    kubectl("apply", "-f", "-", input=json.dumps(listed))


def pod(image: str) -> Json:
    """Return the receiver's pod. It runs in the API's image, which the cluster has."""
    container = {
        "name": "receiver",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", Path(__file__).with_name("receiver.py").read_text()],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


def service() -> Json:
    """Return the receiver's Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
    }
