"""Tests that the typed models agree with the CRDs' YAML, which is the source of truth."""

import re
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from vision_node_contract.models.describer import DescriberSpec, DescriberStatus
from vision_node_contract.models.imagebatch import ImageBatchSpec, ImageBatchStatus
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec, ImageJobStatus, KubeModel
from vision_node_contract.models.reasons import ReadyReason, Reason
from vision_node_contract.models.shard import ShardSpec
from vision_node_contract.names import (
    BATCH_KIND,
    BATCH_PLURAL,
    DESCRIBER_PLURAL,
    GROUP,
    KIND,
    PLURAL,
    VERSION,
)


def schema_of(crd: Any) -> Any:
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def without(schema: Any, *fields: str) -> Any:
    kept = {name: it for name, it in schema["properties"].items() if name not in fields}
    return {**schema, "properties": kept}


CRD, DESCRIBERS, BATCHES = (
    yaml.safe_load(Path(f"crds/{plural}.vision-node.dev.yaml").read_text())
    for plural in (PLURAL, DESCRIBER_PLURAL, BATCH_PLURAL)
)
SCHEMA, DESCRIBER, BATCH = schema_of(CRD), schema_of(DESCRIBERS), schema_of(BATCHES)
ONLY_SINGLE = ("image", "retryOf", "callbackURL", "ttlSecondsAfterFinished")
"""Fields of an ImageJob's spec that shards don't have."""

JSON_TYPES = {dict: "object", str: "string", int: "integer", float: "number", bool: "boolean"}


@pytest.mark.parametrize(
    ("crd", "kind", "plural"),
    [
        (CRD, KIND, PLURAL),
        (DESCRIBERS, "Describer", DESCRIBER_PLURAL),
        (BATCHES, BATCH_KIND, BATCH_PLURAL),
    ],
)
def test_crd_names_match_the_constants(crd: Any, kind: str, plural: str) -> None:
    spec = crd["spec"]
    assert (spec["group"], spec["names"]["kind"], spec["names"]["plural"]) == (GROUP, kind, plural)
    assert [v["name"] for v in spec["versions"]] == [VERSION]


@pytest.mark.parametrize(
    ("model", "schema"),
    [
        (ImageJobSpec, without(SCHEMA["spec"], "images") | {"required": ["image"]}),
        (ShardSpec, without(SCHEMA["spec"], *ONLY_SINGLE) | {"required": ["images"]}),
        (ImageJobStatus, SCHEMA["status"]),
        (DescriberSpec, DESCRIBER["spec"]),
        (DescriberStatus, DESCRIBER["status"]),
        (ImageBatchSpec, BATCH["spec"]),
        (ImageBatchStatus, BATCH["status"]),
    ],
)
def test_models_agree_with_the_crds(model: type[BaseModel], schema: dict[str, Any]) -> None:
    assert list(disagreements(model, schema, schema.get("description", ""))) == []


def disagreements(model: type[BaseModel], schema: dict[str, Any], path: str) -> Any:
    properties = schema["properties"]
    fields = {f.alias or name: f for name, f in model.model_fields.items()}
    if fields.keys() != properties.keys():
        missing = sorted(fields.keys() ^ properties.keys())
        yield f"{path}: {missing} are missing from the model or the schema"

    for name in fields.keys() & properties.keys():
        field, prop, here = fields[name], properties[name], f"{path}.{name}"
        default = None if field.default is PydanticUndefined else field.default
        default = default.to_json() if isinstance(default, KubeModel) else default

        if "default" in prop and prop["default"] != default:
            yield f"{here}: defaults differ: {prop['default']!r}, {default!r}"
        if field.is_required() and name not in schema.get("required", []):
            yield f"{here}: required only by the model"

        yield from type_disagreements(field.annotation, prop, here)


def type_disagreements(annotation: Any, schema: dict[str, Any], path: str) -> Any:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        (annotation,) = [a for a in get_args(annotation) if a is not NoneType]
        origin = get_origin(annotation)

    if origin is Annotated:
        annotation, origin = get_args(annotation)[0], None

    if origin is Literal:
        if set(get_args(annotation)) != set(schema.get("enum", get_args(annotation))):
            yield f"{path}: {schema['enum']} and {get_args(annotation)} differ"
    elif origin is list:
        yield from type_disagreements(get_args(annotation)[0], schema["items"], f"{path}[]")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from disagreements(annotation, schema, path)
    elif schema.get("format") == "date-time":
        if annotation.__name__ != "datetime":
            yield f"{path}: {annotation} is not a datetime"
    elif schema["type"] != JSON_TYPES[origin or annotation]:
        yield f"{path}: {schema['type']} and {annotation} differ"


def test_new_imagejob_is_queued() -> None:
    job = ImageJob.model_validate(
        {"metadata": {"name": "x"}, "spec": {"image": {"key": "inbox/a"}}}
    )
    assert job.status.phase == SCHEMA["status"]["default"]["phase"] == "queued"


@pytest.mark.parametrize(
    ("spec", "kept"),
    [
        ({}, timedelta(days=1)),
        ({"ttlSecondsAfterFinished": None}, timedelta(days=1)),
        ({"ttlSecondsAfterFinished": 0}, timedelta(0)),
        ({"ttlSecondsAfterFinished": 604_800}, timedelta(days=7)),
        ({"ttlSecondsAfterFinished": 10**15}, timedelta(seconds=2**31 - 1)),
    ],
)
def test_time_to_live_is_the_default_unless_the_spec_has_one(
    spec: dict[str, Any], kept: timedelta
) -> None:
    """The CRD has no default, so that the values of each release decide."""
    assert "default" not in SCHEMA["spec"]["properties"]["ttlSecondsAfterFinished"]
    parsed = ImageJobSpec.model_validate({"image": {"key": "inbox/a"}, **spec})
    assert parsed.ttl(timedelta(days=1)) == kept


def test_every_reason_matches_the_pattern_in_the_schema() -> None:
    pattern = re.compile(SCHEMA["status"]["properties"]["error"]["properties"]["reason"]["pattern"])
    assert [r for r in Reason if not pattern.fullmatch(r)] == []


def test_every_ready_reason_matches_the_pattern_in_the_schema() -> None:
    conditions = DESCRIBER["status"]["properties"]["conditions"]["items"]["properties"]
    pattern = re.compile(conditions["reason"]["pattern"])
    assert [r for r in ReadyReason if not pattern.fullmatch(r)] == []


@pytest.mark.parametrize("schema", [SCHEMA, DESCRIBER])
def test_every_string_and_list_has_a_maximum_length(schema: Any) -> None:
    """Maximum lengths limit how much the API server stores, and how much CEL rules cost."""
    assert (
        list(unbounded(schema["spec"], "spec")) + list(unbounded(schema["status"], "status")) == []
    )


BOUND = {"string": "maxLength", "array": "maxItems"}


def unbounded(schema: Any, path: str) -> Any:
    bound = BOUND.get(schema.get("type", ""))
    if bound and bound not in schema and schema.get("format") != "date-time":
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from unbounded(child, f"{path}.{name}")
    if "items" in schema:
        yield from unbounded(schema["items"], f"{path}[]")
