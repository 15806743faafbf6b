"""Tests that `kubectl explain` documents each field of ImageBatches and their shards."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from vision_node_contract.json_types import Json

CRDS = Path("crds")

OF_KUBERNETES = {"apiVersion", "kind", "metadata"}
"""Fields that the API server itself documents."""


def schema(plural: str) -> Json:
    """Return the schema of the only version of a resource."""
    crd = yaml.safe_load((CRDS / f"{plural}.vision-node.dev.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    found: Json = version["schema"]["openAPIV3Schema"]
    return found


def fields(within: Json, path: str) -> Iterator[tuple[str, Json]]:
    """Yield the path and the schema of each field, at any depth."""
    for name, field in within.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}[]")


BATCH = [
    it
    for it in fields(schema("imagebatches"), "imagebatch")
    if it[0].removeprefix("imagebatch.") not in OF_KUBERNETES
]
SHARD = [it for it in fields(schema("imagejobs"), "imagejob") if ".images" in it[0]]


@pytest.mark.parametrize(("path", "field"), BATCH + SHARD, ids=[it[0] for it in BATCH + SHARD])
def test_field_has_a_description(path: str, field: Json) -> None:
    assert field.get("description", "").endswith((".", ")")), f"{path} needs a description"
