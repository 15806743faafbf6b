"""Tests of the CRDs and the admission policies that the chart renders."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import CHART, POLICIES, of_kind, rendered, template

CRDS = sorted(Path("crds").glob("*.yaml"))


def test_crds_are_copies_of_the_sources() -> None:
    crds = of_kind(rendered("default"), "CustomResourceDefinition")
    assert [f"{name}.yaml" for name in sorted(crds)] == [path.name for path in CRDS]

    for path in CRDS:
        source = yaml.safe_load(path.read_text())
        assert crds[path.stem]["spec"] == source["spec"]
        assert crds[path.stem]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        # `make format` copies the CRDs into the chart. Helm can't read files outside the chart, and
        # symbolic links would cause a warning during every installation.
        assert Path(CHART, "files", path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("values", "default"),
    [
        ({}, "local"),
        ({"describers": {name: {"enabled": False} for name in ("local", "ocr")}}, "metadata"),
        ({"describers": {"openai": {"enabled": True}}}, "openai"),
        ({"defaultDescriber": "mine"}, "mine"),
    ],
)
def test_imagejobs_created_with_kubectl_have_the_default_describer(
    values: Any, default: str
) -> None:
    crd = of_kind(template(values), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["describer"]["default"] == default


def test_crds_are_not_kept_when_disabled() -> None:
    crds = of_kind(rendered("crds-not-kept"), "CustomResourceDefinition")
    assert crds.keys() == {path.stem for path in CRDS}
    assert not [crd for crd in crds.values() if "annotations" in crd["metadata"]]


def test_release_without_crds_and_policies_has_no_cluster_scoped_objects() -> None:
    kinds = {manifest["kind"] for manifest in rendered("second-release")}
    assert not kinds & {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", *POLICIES}


def test_cluster_scoped_names_are_unique_per_release() -> None:
    """Names start with `namespace.release`. This is unambiguous: namespaces have no dots."""
    names = [
        {
            name
            for kind in POLICIES
            for name in of_kind(template(namespace=space, release=release), kind)
        }
        for space, release in (("a-b", "c"), ("a", "b-c"), ("a", "b.c"))
    ]
    shared = {"imagejobs-need-a-vision-node-release-in-their-namespace"}
    assert all(shared < found and len(found) == 4 for found in names)

    names = [found - shared for found in names]
    assert not names[0] & names[1]
    assert not names[0] & names[2]


def test_policy_rejects_imagejobs_in_namespaces_without_a_release() -> None:
    objects = rendered("default")
    name = "imagejobs-need-a-vision-node-release-in-their-namespace"
    policy, binding = (of_kind(objects, kind)[name] for kind in POLICIES)

    assert policy["spec"]["paramKind"] == {"apiVersion": "v1", "kind": "ConfigMap"}
    assert binding["spec"]["paramRef"] == {
        "name": "vision-node-release",
        "parameterNotFoundAction": "Deny",
    }

    for manifest in (policy, binding):
        assert manifest["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}, (
            "like the CRDs, the policy must not be deleted with the release"
        )

    for values in ("default", "second-release"):
        assert "vision-node-release" in of_kind(rendered(values), "ConfigMap")

    assert name not in of_kind(template({"crds": {"install": False}}), POLICIES[0])


def test_admission_policies_apply_only_to_the_release_namespace() -> None:
    for name, policy in of_kind(template(namespace="mine"), POLICIES[0]).items():
        if not name.startswith("mine."):
            continue
        selector = policy["spec"]["matchConstraints"]["namespaceSelector"]
        assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "mine"}}


def test_worker_policy_mentions_every_status_field() -> None:
    """When a status field is added, the policy must specify whether workers may write it."""
    policy = of_kind(rendered("default"), POLICIES[0])["vision-node.vision-node-workers"]
    text = json.dumps(policy["spec"]["validations"])
    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    named = set(re.findall(r"variables\.new\.\??(\w+)", text))
    assert schema["properties"].keys() - named == {"error"}


def test_result_has_only_fields_that_a_worker_may_write() -> None:
    """Only the assigned worker may write the result. The policy also checks the result's `key`."""
    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    message = {"describer", "model", "summary", "inline", "fallback", "usage"}
    stored = {"key", "sha256", "sizeBytes"}
    assert schema["properties"]["result"]["properties"].keys() == message | stored
