"""Tests of the metrics on the ports of the API's and the operator's pods."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from conftest import FAST_DESCRIBER, NAMESPACE, wait_for
from prometheus_client.parser import text_string_to_metric_families

Kubectl = Callable[..., str]

PORT = 9090


def pods_of(kubectl: Kubectl, component: str) -> list[str]:
    """Return the names of the component's running pods."""
    selector = f"app.kubernetes.io/component={component}"
    running = "--field-selector=status.phase=Running"
    return kubectl("get", "pods", "-l", selector, running, "-o", "name").split()


def total(kubectl: Kubectl, component: str, sample: str, **labels: str) -> float:
    """Return the sum of the samples with this name and these labels over the component's pods."""
    found = 0.0
    for pod in pods_of(kubectl, component):
        name = pod.removeprefix("pod/")
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:{PORT}/proxy/metrics"
        for family in text_string_to_metric_families(kubectl("get", "--raw", path)):
            found += sum(
                each.value
                for each in family.samples
                if each.name == sample and labels.items() <= each.labels.items()
            )

    return found


def test_described_image_is_counted_by_the_api_and_the_operator(
    kubectl: Kubectl,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], object],
) -> None:
    def submitted() -> float:
        return total(kubectl, "api", "vision_node_submits_total", outcome="Accepted")

    def described() -> float:
        labels = {"describer": FAST_DESCRIBER, "outcome": "done", "reason": "Described"}
        return total(kubectl, "operator", "vision_node_imagejobs_finished_total", **labels)

    before = submitted(), described()
    ended(submit(photo.read_bytes()))

    wait_for(described, lambda found: found > before[1])
    assert submitted() > before[0]
    name = "vision_node_imagejob_phase_duration_seconds_count"
    for phase in ("queued", "processing"):
        assert total(kubectl, "operator", name, describer=FAST_DESCRIBER, phase=phase) > 0
    assert total(kubectl, "operator", "vision_node_imagejobs", phase="done") > 0


@pytest.mark.parametrize("component", ["api", "operator"])
def test_watches_are_fresh(kubectl: Kubectl, component: str) -> None:
    name = "vision_node_watch_age_seconds"
    assert 0 < total(kubectl, component, name, resource="imagejobs") < 120


def test_clients_of_the_api_cannot_read_its_metrics(api: httpx.Client) -> None:
    assert api.get("/metrics").status_code == 404
