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
def test_objects_created_with_kubectl_have_the_default_describer(values: Any, default: str) -> None:
    crds = of_kind(template(values), "CustomResourceDefinition")
    for plural in ("imagejobs", "imagebatches"):
        (version,) = crds[f"{plural}.vision-node.dev"]["spec"]["versions"]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        assert spec["describer"]["default"] == default, plural


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
    shared = {
        f"{plural}-need-a-vision-node-release-in-their-namespace"
        for plural in ("imagejobs", "imagebatches")
    }
    assert all(shared < found and len(found) == 6 for found in names)

    names = [found - shared for found in names]
    assert not names[0] & names[1]
    assert not names[0] & names[2]


@pytest.mark.parametrize("plural", ["imagejobs", "imagebatches"])
def test_policies_reject_objects_in_namespaces_without_a_release(plural: str) -> None:
    objects = rendered("default")
    name = f"{plural}-need-a-vision-node-release-in-their-namespace"
    policy, binding = (of_kind(objects, kind)[name] for kind in POLICIES)

    assert binding["spec"]["policyName"] == name
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == ([plural], ["CREATE"])
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


WRITABLE = {
    "error",
    *(f"result.{name}" for name in ("describer", "model", "summary", "sha256", "sizeBytes")),
    *(f"result.{name}" for name in ("inline", "fallback", "usage")),
    *(f"images.{name}" for name in ("done", "failed", "rest", "suspects", "sha256", "sizeBytes")),
    *(f"images.{name}" for name in ("usage", "failures", "stopped")),
}
"""Fields of an ImageJob's status that the assigned worker may write as it likes. No rule of the
workers' policy names them."""


def test_every_status_field_is_named_by_the_worker_policy_or_writable() -> None:
    """When a status field is added, the policy must specify whether workers may write it."""
    policy = of_kind(rendered("default"), POLICIES[0])["vision-node.vision-node-workers"]
    text = json.dumps(policy["spec"]["validations"])
    named = set(re.findall(r"variables\.new\.\??(\w+(?:\.\??key)?)", text))
    named = {name.replace("?", "") for name in named}

    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    fields = set(schema["properties"])
    for outcome in ("result", "images"):
        fields |= {f"{outcome}.{name}" for name in schema["properties"][outcome]["properties"]}

    assert fields - named == WRITABLE
