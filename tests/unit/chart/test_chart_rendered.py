"""Tests of all rendered objects: determinism, labels and the lengths of names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from chart import (
    CHART,
    POLICIES,
    VALUES,
    Object,
    containers,
    every_value_set,
    find,
    of_kind,
    pod,
    rendered,
    run,
    template,
)


@every_value_set
def test_rendering_twice_gives_the_same_output(name: str) -> None:
    """Argo CD and Flux compare rendered manifests, and would otherwise always see differences."""
    renders = {run("template", "vision-node", CHART, values=VALUES[name]).stdout for _ in range(2)}
    assert len(renders) == 1


@every_value_set
def test_no_secret_is_rendered(name: str) -> None:
    """Users may commit the manifests, or may lack permission to manage Secrets."""
    assert not of_kind(rendered(name), "Secret")


def test_templates_do_not_depend_on_the_cluster() -> None:
    """`helm template` has no cluster, so lookups would work only with `helm install`."""
    for path in Path(CHART, "templates").iterdir():
        assert not re.search(
            r"\b(lookup|rand[A-Z]\w+|gen[A-Z]\w+|now|uuidv4|\.Capabilities)\b", path.read_text()
        ), path


def test_selectors_use_only_labels_that_never_change() -> None:
    objects = rendered("default")
    for kind in ("Deployment", "StatefulSet"):
        for manifest in of_kind(objects, kind).values():
            labels = manifest["spec"]["selector"]["matchLabels"]
            assert labels.keys() == {
                f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")
            }
            assert labels.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()


@every_value_set
def test_every_object_has_the_recommended_labels(name: str) -> None:
    wanted = {"name", "instance", "component", "version", "managed-by", "part-of"}
    for manifest in rendered(name):
        labels = manifest["metadata"]["labels"]
        assert {f"app.kubernetes.io/{key}" for key in wanted} <= labels.keys(), manifest[
            "metadata"
        ]["name"]


LONG_RELEASE, LONG_NAMESPACE = "r" * 53, "n" * 63
"""The longest names that Helm and Kubernetes allow."""


def test_names_are_short_enough_with_the_longest_release_and_namespace() -> None:
    values: Any = {
        "networkPolicies": {"enabled": True},
        "api": {"replicas": 2, "ingress": {"enabled": True}},
    }
    objects = template(values, release=LONG_RELEASE, namespace=LONG_NAMESPACE)

    for manifest in objects:
        limit = 253 if manifest["kind"] in {*POLICIES, "CustomResourceDefinition"} else 63
        assert len(manifest["metadata"]["name"]) <= limit

    strings = re.findall(r'"app.kubernetes.io/[a-z-]+": "([^"]*)"', json.dumps(objects))
    assert max(map(len, strings)) <= 63
    # Kubernetes appends a revision to the StatefulSet's name, and the operator appends a describer
    # and a number to the prefix of its Jobs.
    assert len(f"{next(iter(of_kind(objects, 'StatefulSet')))}-0123456789") <= 63

    prefix = {
        e["name"]: e for e in containers(pod(objects, f"{LONG_RELEASE[:36]}-operator"))[0]["env"]
    }
    assert len(f"{prefix['JOB_PREFIX']['value']}-{'d' * 22}-999") <= 63


def test_helm_lint_reports_nothing() -> None:
    completed = run("lint", "--strict", CHART)
    assert completed.returncode == 0, completed.stdout
    assert not re.search(r"\[(INFO|WARNING|ERROR)\]", completed.stdout), completed.stdout


@pytest.mark.skipif(
    not find("helm3"), reason="helm3 is missing: run `python3 -m cluster tool helm3`"
)
@every_value_set
def test_helm_3_renders_the_same_objects(name: str) -> None:
    def comparable(objects: list[Object]) -> list[str]:
        return sorted(json.dumps(o, sort_keys=True) for o in objects)

    assert comparable(template(VALUES[name], program="helm3")) == comparable(rendered(name))
