"""Tests of the port for metrics, the PodMonitor, and who may read the metrics."""

import pytest
from chart import Values, containers, error_message, of_kind, pod, rendered, template
from vision_node_contract.metrics.server import PORT

COMPONENTS = ("vision-node-api", "vision-node-operator", "vision-node-archiver")


@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_name_the_port_of_the_metrics(component: str) -> None:
    (container,) = containers(pod(rendered("default"), component))
    assert {"name": "metrics", "containerPort": PORT} in container["ports"]


def test_no_service_has_the_port_of_the_metrics() -> None:
    """Users of the API must not be able to read the metrics."""
    for service in of_kind(rendered("default"), "Service").values():
        for port in service["spec"]["ports"]:
            assert port["targetPort"] not in {"metrics", PORT}


def test_pod_monitor_is_created_only_on_request() -> None:
    """Its CRD does not exist in most clusters, and the installation would fail."""
    assert of_kind(rendered("default"), "PodMonitor") == {}


def test_pod_monitor_scrapes_exactly_the_pods_with_metrics() -> None:
    objects = rendered("metrics")
    (monitor,) = of_kind(objects, "PodMonitor").values()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "metrics", "interval": "15s"}]

    selector = monitor["spec"]["selector"]
    (rule,) = selector["matchExpressions"]
    assert rule["operator"] == "In"
    for name, deployment in of_kind(objects, "Deployment").items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selected = selector["matchLabels"].items() <= labels.items()
        selected = selected and labels[rule["key"]] in rule["values"]
        ports = containers(pod(objects, name))[0].get("ports", [])
        assert selected == any(port["name"] == "metrics" for port in ports), name


def test_labels_of_a_pod_monitor_override_the_standard_labels() -> None:
    labels = {"app.kubernetes.io/part-of": "monitoring"}
    objects = template({"metrics": {"podMonitor": {"enabled": True, "labels": labels}}})
    (monitor,) = of_kind(objects, "PodMonitor").values()
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "monitoring"
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "metrics"}]


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize(
    ("name", "peers"),
    [
        ("network-policies", {}),
        (
            "metrics",
            {
                "from": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                        }
                    }
                ]
            },
        ),
    ],
)
def test_network_policies_allow_prometheus(component: str, name: str, peers: Values) -> None:
    spec = of_kind(rendered(name), "NetworkPolicy")[component]["spec"]
    assert {"ports": [{"port": "metrics"}], **peers} in spec["ingress"]
    assert "Ingress" in spec["policyTypes"]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"podMonitor": {"interval": "15 seconds"}}, "interval"),
        ({"podMonitor": {"interval": "15"}}, "interval"),
        ({"podMonitor": {"labels": {"a": "b c"}}}, "labels"),
        ({"networkPolicyFrom": [{"namespace": "monitoring"}]}, "networkPolicyFrom"),
        ({"networkPolicyFrom": [{}]}, "networkPolicyFrom"),
    ],
)
def test_invalid_values_are_refused(metrics: Values, message: str) -> None:
    assert message in error_message({"metrics": metrics})
