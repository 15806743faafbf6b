"""Tests of the chart values and the namespace that `make up` creates."""

from dataclasses import replace

import pytest

from cluster.artifacts.images import Images
from cluster.release import describer_values, namespace, provider_values, values

IMAGES = Images(
    "vision-node-api:1",
    "vision-node-operator:2",
    "vision-node-describer:3",
    "minio:4",
    "postgres:5",
)


def test_chart_values_have_images_and_node_port() -> None:
    assert values(IMAGES, 30080) == {
        "images": {
            "api": "vision-node-api:1",
            "operator": "vision-node-operator:2",
            "describer": "vision-node-describer:3",
            "minio": "minio:4",
            "postgres": "postgres:5",
        },
        "api": {"service": {"type": "NodePort", "nodePort": 30080}},
    }


@pytest.mark.parametrize(
    ("settings", "enabled"),
    [
        ({"OPENAI_API_KEY": "sk-1"}, True),
        ({"OPENAI_BASE_URL": "http://ollama:11434/v1"}, True),
        ({"OPENAI_VISION_MODEL": "gpt-4o"}, False),
        ({"GOOGLE_API_KEY": "g"}, False),
        ({}, False),
    ],
)
def test_openai_is_enabled_by_key_or_base_url(settings: dict[str, str], *, enabled: bool) -> None:
    assert describer_values(IMAGES, settings) == {"openai": {"enabled": enabled}}


def test_workers_get_the_secret_with_the_keys() -> None:
    assert provider_values("42") == {
        "providerSecret": "vision-node-provider",
        "providerSecretRevision": "42",
    }


def test_describers_of_the_cloud_image_exist_even_without_keys() -> None:
    cloud = {"image": "vision-node-describer-cloud:5", "concurrency": 8}
    images = replace(IMAGES, cloud="vision-node-describer-cloud:5")
    assert describer_values(images, {}) == {
        "openai": {"enabled": False},
        "google": cloud,
        "rekognition": cloud,
    }


def test_service_values_are_empty_without_node_port() -> None:
    assert values(IMAGES, None)["api"] == {}


def test_namespace_enforces_restricted_pod_security() -> None:
    metadata = namespace()["metadata"]
    assert isinstance(metadata, dict)
    assert set(metadata["labels"].values()) == {"restricted"}
    assert len(metadata["labels"]) == 3
