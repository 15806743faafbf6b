"""Tests of how a cluster is chosen, and of how images are delivered to an existing one."""

import pytest

from cluster.errors import ClusterError
from cluster.existing_cluster import Choice, Delivery, decide_delivery


@pytest.mark.parametrize(
    ("setting", "expected"),
    [(None, Choice.KIND), ("", Choice.KIND), ("kind", Choice.KIND), ("current", Choice.CURRENT)],
)
def test_kind_is_the_default_cluster(
    setting: str | None, expected: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLUSTER", raising=False)
    if setting is not None:
        monkeypatch.setenv("CLUSTER", setting)
    assert Choice.from_environment() is expected


def test_unknown_cluster_choice_lists_valid_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "k3d")
    with pytest.raises(ClusterError, match="kind, minikube, current"):
        Choice.from_environment()


@pytest.mark.parametrize(
    ("context", "registry", "expected"),
    [
        ("kind-mine", "", Delivery.KIND),
        ("mini", "", Delivery.MINIKUBE),
        ("cloud", "ghcr.io/me", Delivery.PUSH),
        ("kind-mine", "ghcr.io/me", Delivery.PUSH),
    ],
)
def test_image_delivery_depends_on_context_and_registry(
    context: str, registry: str, expected: Delivery
) -> None:
    assert decide_delivery(context, registry, frozenset({"mini"})) is expected


def test_remote_cluster_requires_image_registry() -> None:
    with pytest.raises(ClusterError, match="IMAGE_REGISTRY"):
        decide_delivery("cloud", "", frozenset())
