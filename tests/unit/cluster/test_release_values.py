"""Tests of the chart values and the namespace that `make up` creates."""

import pytest

from cluster.artifacts.images import Images
from cluster.release import namespace, provider_values, values

IMAGES = Images("vision-node-api:1", "vision-node-operator:2", "vision-node-describer:3", "minio:4")


def test_chart_values_have_images_and_node_port() -> None:
    assert values(IMAGES, 30080) == {
        "images": {
            "api": "vision-node-api:1",
            "operator": "vision-node-operator:2",
            "describer": "vision-node-describer:3",
            "minio": "minio:4",
        },
        "api": {"service": {"type": "NodePort", "nodePort": 30080}},
    }


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, True),
        ({"OPENAI_BASE_URL": "http://ollama:11434/v1"}, True),
        ({"OPENAI_VISION_MODEL": "gpt-4o"}, False),
    ],
)
def test_openai_is_enabled_by_key_or_base_url(settings: dict[str, str], *, enabled: bool) -> None:
    assert provider_values(settings, "42") == {
        "providerSecret": "vision-node-provider",
        "providerSecretRevision": "42",
        "describers": {"openai": {"enabled": enabled}},
    }


def test_service_values_are_empty_without_node_port() -> None:
    assert values(IMAGES, None)["api"] == {}


def test_namespace_enforces_restricted_pod_security() -> None:
    metadata = namespace()["metadata"]
    assert isinstance(metadata, dict)
    assert set(metadata["labels"].values()) == {"restricted"}
    assert len(metadata["labels"]) == 3
