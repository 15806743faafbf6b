"""Tests that a container's environment has the variables that the kubelet would set."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.client import Client
from cluster.dev.pod_environment import PodEnvironment
from cluster.errors import ClusterError
from cluster.run import shell

FIELDS = {"metadata.name": "vision-node-api-dev", "metadata.namespace": "vision-node"}
SECRET = {"key": b64encode(b"hidden").decode(), "other": b64encode(b"also").decode()}


@dataclass(frozen=True)
class FakeClient(Client):
    """A fake client that returns the Secrets and ConfigMaps in `data`, by kind and name."""

    data: dict[tuple[str, str], Any] = field(default_factory=dict)

    def kubectl_output(self, *arguments: shell.Argument) -> str:
        _, _, _, kind, name, *_ = map(str, arguments)
        if (kind, name) not in self.data:
            raise ClusterError(f"{kind} {name} not found")
        return json.dumps({"data": self.data[kind, name]})


@pytest.fixture
def environment() -> PodEnvironment:
    objects = {("secret", "keys"): SECRET, ("configmap", "settings"): {"level": "info"}}
    return PodEnvironment(FakeClient(Path("kubectl"), Path("helm"), None, objects), FIELDS)


def from_secret(**reference: object) -> dict[str, Any]:
    return {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", **reference}}}]}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, {}),
        ({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}, {"A": "1", "B": ""}),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
            {"A": "vision-node-api-dev"},
        ),
        (from_secret(key="key"), {"A": "hidden"}),
        (from_secret(key="none", optional=True), {}),
        (from_secret(name="none", key="key", optional=True), {}),
        (
            {
                "env": [
                    {
                        "name": "A",
                        "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "level"}},
                    }
                ]
            },
            {"A": "info"},
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]},
            {},
        ),
        ({"envFrom": [{"secretRef": {"name": "keys"}}]}, {"key": "hidden", "other": "also"}),
        (
            {"envFrom": [{"prefix": "P_", "configMapRef": {"name": "settings"}}]},
            {"P_level": "info"},
        ),
        (
            {
                "envFrom": [{"secretRef": {"name": "keys"}}],
                "env": [{"name": "key", "value": "visible"}],
            },
            {"key": "visible", "other": "also"},
        ),
    ],
)
def test_variables_are_resolved(
    container: dict[str, Any], expected: dict[str, str], environment: PodEnvironment
) -> None:
    assert environment.resolve(container) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [({"key": "none"}, "secret keys does not have the key none"), ({"name": "x", "key": "k"}, "x")],
)
def test_error_about_a_missing_secret_or_key_contains_no_values(
    reference: dict[str, str], expected: str, environment: PodEnvironment
) -> None:
    with pytest.raises(ClusterError, match=expected) as caught:
        environment.resolve(from_secret(**reference))
    assert "hidden" not in str(caught.value)
