"""Tests that all objects are valid in the oldest and the newest supported Kubernetes version."""

from collections.abc import Iterator
from functools import cache

import pytest
from chart import NEWEST, OLDEST, VALUES, Object, of_kind, pod, rendered, template
from kubernetes_validate import ValidationError, utils

every_version = pytest.mark.parametrize("version", [OLDEST, NEWEST])


@pytest.fixture(scope="module", autouse=True)
def _cache_schemas() -> Iterator[None]:
    """Cache the schemas, because kubernetes_validate reads a megabyte of them for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


def check(manifest: Object, version: str) -> None:
    """Fail if this Kubernetes version does not know the object or one of its fields."""
    # Without a schema for this version, validate() uses an older one and returns that version.
    assert utils.validate(manifest, version, strict=True) == version


@every_version
def test_chart_renders_for_every_supported_kubernetes_version(version: str) -> None:
    assert template(version=version) != []


@every_version
@pytest.mark.parametrize("name", VALUES)
def test_every_object_matches_the_kubernetes_schema(name: str, version: str) -> None:
    for manifest in rendered(name):
        # Kubernetes has no schema for objects of the Prometheus Operator.
        if not manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            check(manifest, version)


@every_version
def test_worker_pods_match_the_kubernetes_schema(version: str) -> None:
    check(
        {"apiVersion": "v1", "kind": "Pod", **pod(rendered("provider"), "worker-metadata")}, version
    )


@every_version
def test_unknown_field_fails_the_schema_check(version: str) -> None:
    service = of_kind(rendered("default"), "Service")["vision-node-api"]
    service["spec"]["typo"] = True
    with pytest.raises(ValidationError, match="typo"):
        check(service, version)
