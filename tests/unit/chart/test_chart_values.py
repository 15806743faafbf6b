"""Tests that values.yaml matches values.schema.json and that error messages are helpful."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import CHART, VALUES, Values, error_message, template
from vision_node_api.web.root_path import OWN_PATHS

SCHEMA = json.loads(Path(CHART, "values.schema.json").read_text())
DEFAULTS = yaml.safe_load(Path(CHART, "values.yaml").read_text())

OPEN_MAPS = {
    "global",
    "strings",
    "labels",
    "affinity",
    "items",
    "options",
    "requests",
    "limits",
    "sidecar",
    "owners",
    "ipBlock",
    "namespaceSelector",
    "podSelector",
}
"""Names of maps whose keys are defined by the user, a provider or Kubernetes.

The maps named `items` are tolerations and environment variables. The map named `limits` is the one
in `resources`.
"""

DEPRECATED = "providers"
"""Key of the deprecated values. They still work, but have no defaults."""

Node = dict[str, Any]


def resolved(node: Node) -> Node:
    """Return the schema node, or the node that its `$ref` refers to."""
    if "$ref" not in node:
        return node

    found: Node = SCHEMA
    for step in node["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def properties(node: Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Yield the path and node of every property. Describer properties are below `metadata`."""
    below = dict(resolved(node).get("properties", {}))
    if path == ("describers",):
        (pool,) = node["patternProperties"].values()
        below = {"metadata": pool}

    for name, child in below.items():
        yield (*path, name), child
        yield from properties(child, (*path, name))


PROPERTIES = {path: node for path, node in properties(SCHEMA) if path != ("global",)}


def keys(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key in the values that the schema must define."""
    for name, value in values.items() if isinstance(values, dict) else ():
        yield (*path, name)
        if not isinstance(
            resolved(PROPERTIES.get((*path, name), {})).get("additionalProperties"), dict
        ):
            yield from keys(value, (*path, name))


def test_schema_and_defaults_have_the_same_keys() -> None:
    # The Describer metadata has all fields; the others have only those that differ.
    abridged = {("describers", name) for name in DEFAULTS["describers"] if name != "metadata"}
    default_keys = {key for key in keys(DEFAULTS) if key[:2] not in abridged}
    assert default_keys == {path for path in PROPERTIES if path[0] != DEPRECATED}


def test_defaults_are_valid() -> None:
    assert template({})


@pytest.mark.parametrize("name", VALUES)
def test_example_values_are_valid(name: str) -> None:
    assert template(VALUES[name])


def test_every_schema_property_has_a_description() -> None:
    described = {
        path for path, node in PROPERTIES.items() if {**resolved(node), **node}.get("description")
    }
    assert set(PROPERTIES) - described == set()


def objects(node: Any, name: str = "") -> Iterator[tuple[str, Node]]:
    if isinstance(node, dict):
        if "object" in node.get("type", ""):
            yield name, node
        for key, child in node.items():
            yield from objects(child, key)


def test_only_maps_with_user_defined_keys_allow_additional_properties() -> None:
    is_open = {
        name for name, node in objects(SCHEMA) if node.get("additionalProperties") is not False
    }
    assert is_open == OPEN_MAPS
    assert SCHEMA["properties"]["limits"]["additionalProperties"] is False


def test_every_number_and_string_in_the_schema_has_a_limit() -> None:
    def bounded(node: Node) -> bool:
        kinds = node.get("type", [])
        if "integer" in kinds or kinds == "number":
            return "minimum" in node and "maximum" in node
        return "string" not in kinds or "maxLength" in node

    leaves = [*PROPERTIES.items(), *SCHEMA["definitions"].items()]
    assert [path for path, node in leaves if not bounded(resolved(node))] == []


@pytest.mark.parametrize(
    "path",
    [
        "replica",
        "api.replica",
        "api.service.nodeport",
        "api.ingress.hosts",
        "api.resources.limit",
        "api.pod.nodeselector",
        "crds.instal",
        "describers.metadata.maxWorker",
        "describers.metadata.pod.affinities",
        "minio.persistence.storageClass",
        "storage.endpont",
        "networkPolicy.enabled",
    ],
)
def test_error_message_names_the_misspelled_key(path: str) -> None:
    values: Any = 1
    for part in reversed(path.split(".")):
        values = {part: values}

    message = error_message(values)
    parents, _, key = path.rpartition(".")
    wrong, place = ("networkPolicy", "") if path.startswith("networkPolicy") else (key, parents)

    assert f"additional properties '{wrong}' not allowed" in message
    assert f"at '/{place.replace('.', '/')}'" in message or not place


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"api": {"replicas": "two"}}, "/api/replicas"),
        ({"api": {"replicas": -1}}, "/api/replicas"),
        ({"api": {"service": {"type": "Nodeport"}}}, "/api/service/type"),
        ({"api": {"service": {"port": 70000}}}, "/api/service/port"),
        ({"api": {"rootPath": "vision"}}, "/api/rootPath"),
        ({"api": {"rootPath": "/vision/"}}, "/api/rootPath"),
        ({"api": {"rootPath": "//vision"}}, "/api/rootPath"),
        ({"api": {"rootPath": "/../vision"}}, "/api/rootPath"),
        ({"api": {"rootPath": "/status"}}, "/api/rootPath"),
        ({"api": {"ingress": {"path": "vision"}}}, "/api/ingress/path"),
        ({"api": {"proxy": {"trusted": ["proxy.example.com"]}}}, "/api/proxy/trusted/0"),
        ({"api": {"cors": {"origins": ["gallery.example.com"]}}}, "/api/cors/origins/0"),
        ({"api": {"cors": {"origins": ["https://gallery.example.com/"]}}}, "/api/cors/origins/0"),
        ({"api": {"keepAliveSeconds": 0}}, "/api/keepAliveSeconds"),
        ({"auth": {"enabled": "yes"}}, "/auth/enabled"),
        ({"auth": {"kubernetes": {"audience": ""}}}, "/auth/kubernetes/audience"),
        ({"auth": {"sessionSeconds": 0}}, "/auth/sessionSeconds"),
        ({"imagePullPolicy": "always"}, "/imagePullPolicy"),
        ({"images": {"api": ""}}, "/images/api"),
        ({"minio": {"persistence": {"size": "ten"}}}, "/minio/persistence/size"),
        ({"storage": {"endpoint": "https://s3.example.com"}}, "/storage/endpoint"),
        (
            {"describers": {"My Describer": {}}},
            "at '/describers': additional properties 'My Describer'",
        ),
        ({"describers": {"a" * 23: {}}}, "at '/describers': additional properties"),
        ({"describers": {"openai": {"isolation": "total"}}}, "/describers/openai/isolation"),
        (
            {"describers": {"openai": {"minWorkers": 3}}},
            "describers.openai.minWorkers is greater than",
        ),
        ({"describers": {"metadata": {"concurrency": 0}}}, "/describers/metadata/concurrency"),
        (
            {"describers": {"metadata": {"minWorkers": 3}}},
            "describers.metadata.minWorkers is greater than",
        ),
        ({"storage": {"endpoint": "s3.example.com"}}, "set storage.existingSecret to a Secret"),
        ({"storage": {"endpoint": "s3.example.com"}}, "archiver-"),
        ({"limits": {"batchImages": 0}}, "/limits/batchImages"),
        (
            {"archiver": {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
            "archiver.extraEnv names a variable twice",
        ),
        ({"storage": {"keyless": True}}, "set storage.endpoint, too"),
        (
            {"database": {"url": "postgresql://db.example.com/vision"}},
            "set database.existingSecret to a Secret with the keys archiver-username",
        ),
        (
            {"database": {"url": "postgresql://me:pw@db/vision", "existingSecret": "mine"}},
            "database.url contains a password",
        ),
        (
            {"database": {"url": "postgresql://db/vision?password=pw", "existingSecret": "mine"}},
            "database.url contains a password",
        ),
        (
            {"database": {"url": "postgresql://me:p/w@db/vision", "existingSecret": "mine"}},
            "database.url contains a password",
        ),
        (
            {
                "database": {
                    "url": "postgresql://db/vision?sslpassword=pw",
                    "existingSecret": "mine",
                }
            },
            "database.url contains a password",
        ),
        ({"database": {"url": "mysql://db/vision", "existingSecret": "mine"}}, "/database/url"),
        (
            {"postgres": {"extraVolumes": [{"name": "data", "emptyDir": {}}]}},
            "already has a volume named data",
        ),
        (
            {
                "storage": {
                    "endpoint": "s3.amazonaws.com",
                    "keyless": True,
                    "existingSecret": "mine",
                }
            },
            "exclude each other",
        ),
        (
            {"describers": {"openai": {"env": [{"name": "A", "value": "b"}]}}},
            "describers.openai.enabled=true",
        ),
        (
            {"describers": {name: {"enabled": False} for name in ("local", "metadata")}},
            "there is no default Describer",
        ),
        (
            {"describers": {"local": {"enabled": False}}, "defaultDescriber": "local"},
            "defaultDescriber is local, which is not enabled",
        ),
        ({"podSecurityContext": {"runAsUser": 0}}, "/podSecurityContext/runAsUser"),
        ({"networkPolicies": {"apiServerPorts": []}}, "/networkPolicies/apiServerPorts"),
        ({"api": {"extraEnv": [{"value": "nameless"}]}}, "/api/extraEnv/0"),
        ({"workers": {"serviceAccount": {"annotation": {}}}}, "additional properties 'annotation'"),
        (
            {"defaultDescriber": "openai", "providerSecret": "keys"},
            "defaultDescriber is openai, which is not enabled",
        ),
        ({"api": {"extraEnv": [{"name": "A", "value": 1}]}}, "/api/extraEnv/0/value"),
        (
            {"api": {"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}},
            "twice: A, A",
        ),
        ({"workers": {"podLabels": {"team": "no spaces"}}}, "/workers/podLabels/team"),
        (
            {"minio": {"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}},
            "already has a volume named tmp",
        ),
        (
            {"storage": {"endpoint": "s3:99999", "existingSecret": "mine"}},
            "99999 is not a valid port",
        ),
        ({"podSecurityContext": {"runAsUser": "root"}}, "/podSecurityContext/runAsUser"),
    ],
)
def test_invalid_values_are_rejected_with_a_message(values: Values, words: str) -> None:
    assert words in error_message(values)


def test_api_and_schema_reject_the_same_root_paths() -> None:
    root_path = PROPERTIES["api", "rootPath"]
    refused = root_path["not"]["pattern"].removeprefix("^/(").removesuffix(")(/|$)")
    assert {name.replace("\\", "") for name in refused.split("|")} == OWN_PATHS
