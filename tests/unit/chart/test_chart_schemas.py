"""What the chart renders is valid for the oldest and the newest Kubernetes that it is for."""

from collections.abc import Iterator
from functools import cache

import pytest
from chart import NEWEST, OLDEST, VALUES, Object, of_kind, pod, rendered, template
from kubernetes_validate import ValidationError, utils

every_version = pytest.mark.parametrize("version", [OLDEST, NEWEST])


@pytest.fixture(scope="module", autouse=True)
def _schemas_are_read_once() -> Iterator[None]:
    """kubernetes_validate would read a megabyte of definitions again for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", cache(utils.schema_contents))
        yield


def check(made: Object, version: str) -> None:
    """Fail if that version does not know the object or one of its fields."""
    # It would take an older version's schemas where it has none of this one.
    assert utils.validate(made, version, strict=True) == version


@every_version
def test_the_chart_takes_that_version(version: str) -> None:
    assert template(version=version) != []


@every_version
@pytest.mark.parametrize("name", VALUES)
def test_kubernetes_knows_every_field(name: str, version: str) -> None:
    for made in rendered(name):
        check(made, version)


@every_version
def test_workers_pods_are_valid(version: str) -> None:
    check(
        {"apiVersion": "v1", "kind": "Pod", **pod(rendered("provider"), "worker-metadata")}, version
    )


@every_version
def test_a_typo_in_a_template_would_be_seen(version: str) -> None:
    service = of_kind(rendered("default"), "Service")["vision-node-api"]
    service["spec"]["typo"] = True
    with pytest.raises(ValidationError, match="typo"):
        check(service, version)
