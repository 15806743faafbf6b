"""Tests of the Describers that the chart defines according to its values."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import CHART, Object, containers, of_kind, pod, pods, rendered, template
from vision_node_contract.models.describer import Describer
from vision_node_operator.state.pools.fallback import fallback_problem


def test_only_workers_get_the_provider_credentials() -> None:
    objects = rendered("provider")
    (worker,) = containers(pod(objects, "worker-metadata"))
    assert worker["envFrom"] == [{"secretRef": {"name": "my-provider", "optional": False}}]
    assert [
        owner for owner, manifest in pods(objects) if "my-provider" in json.dumps(manifest)
    ] == ["worker-local", "worker-metadata", "worker-ocr"]
    assert "envFrom" not in json.dumps(dict(pods(rendered("default"))))


BUILT_IN = {"local", "metadata", "ocr"}
"""The Describers of a release that uses the default values."""


def enabled(**choices: bool) -> Any:
    """Return the values that enable or disable these Describers."""
    return {"describers": {name: {"enabled": choice} for name, choice in choices.items()}}


@pytest.mark.parametrize(
    ("values", "described_by", "default"),
    [
        ({}, BUILT_IN, "local"),
        ({"providerSecret": "keys"}, BUILT_IN, "local"),
        (enabled(openai=True), BUILT_IN | {"openai"}, "openai"),
        (
            {**enabled(openai=True), "defaultDescriber": "metadata"},
            BUILT_IN | {"openai"},
            "metadata",
        ),
        (enabled(metadata=False, openai=True), {"local", "ocr", "openai"}, "openai"),
        ({"describers": {"mine": {"provider": "metadata"}}}, BUILT_IN | {"mine"}, "local"),
        (
            {"describers": {"mine": {"provider": "metadata", "enabled": False}}},
            BUILT_IN,
            "local",
        ),
        (enabled(local=False, ocr=False), {"metadata"}, "metadata"),
        ({"describers": {"local": None}}, {"metadata", "ocr"}, "metadata"),
        (enabled(local=False, ocr=False, openai=True), {"metadata", "openai"}, "openai"),
        ({"defaultDescriber": "ocr"}, BUILT_IN, "ocr"),
        (
            {**enabled(local=False, metadata=False, ocr=False), "defaultDescriber": "own"},
            set(),
            "own",
        ),
    ],
)
def test_describers_and_the_default_depend_only_on_values(
    values: Any, described_by: set[str], default: str
) -> None:
    objects = template(values)
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])

    assert specs.keys() == described_by
    assert not [name for name, spec in specs.items() if "enabled" in spec]

    api = pod(objects, "vision-node-api")["spec"]["containers"][0]
    assert {"name": "DEFAULT_DESCRIBER", "value": default} in api["env"]


def test_describers_of_the_cloud_image_have_its_workers() -> None:
    objects = rendered("cloud")
    for name in ("google", "rekognition"):
        (worker,) = containers(pod(objects, f"worker-{name}"))
        assert worker["image"] == "vision-node-describer-cloud:1"
        assert {"name": "PROVIDER", "value": name} in worker["env"]


def test_metadata_can_run_in_the_workers_of_local() -> None:
    """A fallback needs the same image, command and environment."""
    objects = rendered("default")
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])
    described = {
        name: Describer.model_validate({"metadata": {"name": name}, "spec": spec})
        for name, spec in specs.items()
    }
    assert described["local"].spec.fallback == "metadata"
    assert fallback_problem(described["local"], described) is None


def test_changed_provider_secret_revision_replaces_workers() -> None:
    def worker(values: Any) -> Object:
        return pod(template({"providerSecret": "keys", **values}), "worker-metadata")

    first, second = worker({"providerSecretRevision": "1"}), worker({"providerSecretRevision": "2"})
    assert first != second
    assert worker({"providerSecretRevision": 1}) == first
    assert worker({}) not in (first, second)


def test_values_of_a_describer_appear_in_its_spec_and_pods() -> None:
    """The spec omits values that are not set, so that the CRD's defaults apply."""
    objects = rendered("describers")
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])

    assert (specs["metadata"]["minWorkers"], specs["metadata"]["maxWorkers"]) == (1, 2)
    assert specs["gpt"].keys() == {
        *(
            "provider",
            "model",
            "image",
            "options",
            "env",
            "isolation",
            "requestsPerMinute",
            "fallback",
        ),
    }

    manifest = pod(objects, "worker-metadata")
    assert manifest["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert manifest["spec"]["nodeSelector"] == {"disk": "ssd"}

    (worker,) = containers(manifest)
    assert worker["resources"]["limits"] == {"memory": "2Gi"}
    assert {"name": "CONCURRENCY", "value": "8"} in worker["env"]

    (gpt,) = containers(pod(objects, "worker-gpt"))
    assert gpt["image"] == "registry.example.com/describer:1"


DESCRIBER = yaml.safe_load(Path("crds/describers.vision-node.dev.yaml").read_text())


SPEC = DESCRIBER["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
    "properties"
]


def test_values_and_crd_have_the_same_fields_and_defaults() -> None:
    values = yaml.safe_load(Path(CHART, "values.yaml").read_text())["describers"]["metadata"]
    placed = {"podAnnotations", "nodeSelector", "tolerations", "affinity"}
    assert values.keys() - {"pod", "enabled"} == SPEC.keys() - placed
    for name, value in values.items():
        if name not in {"pod", "enabled"} and value:
            assert value == SPEC[name]["default"], name
