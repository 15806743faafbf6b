"""Tests of what ImageBatches need: the archiver, permissions and admission policies."""

import re
from typing import Any

import pytest
from chart import POLICIES, Object, containers, of_kind, pod, rendered, template
from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.names import BATCH_LABEL

RELEASE_ID = "abcdefgh2345"
ACCOUNT = "system:serviceaccount:vision-node:vision-node"


def env_of(objects: list[Object], name: str) -> dict[str, str | None]:
    (container,) = containers(pod(objects, name))
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_archiver_runs_alone_in_the_operators_image() -> None:
    deployment = of_kind(rendered("default"), "Deployment")["vision-node-archiver"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})

    (container,) = containers(deployment["template"])
    (operator,) = containers(pod(rendered("default"), "vision-node-operator"))
    assert container["image"] == operator["image"]
    assert container["command"] == ["python", "-m", "vision_node_operator.archiver"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert {"name": "health", "containerPort": 8080} in container["ports"]


@pytest.mark.parametrize(("limits", "images"), [({}, "1000000"), ({"batchImages": 50}, "50")])
def test_archiver_gets_its_settings(limits: Any, images: str) -> None:
    objects = template({"limits": limits})
    env = env_of(objects, "vision-node-archiver")
    assert env["MAX_BATCH_IMAGES"] == env_of(objects, "vision-node-api")["MAX_BATCH_IMAGES"]
    assert env["MAX_BATCH_IMAGES"] == images
    assert env["IDENTITY_CONFIGMAP"] == "vision-node-identity"
    assert env.keys() >= {"POD_NAMESPACE", "RELEASE_ID", "S3_BUCKET", "S3_ACCESS_KEY"}


def test_only_components_with_rights_to_imagebatches_are_told_that_they_have_them() -> None:
    """Components of older charts must not ask for them, so the default is that they have none."""
    objects = rendered("default")
    for component in ("api", "operator"):
        assert env_of(objects, f"vision-node-{component}")["IMAGEBATCHES"] == "true"
        assert "list" in rights(objects, component)["imagebatches"]

    assert "IMAGEBATCHES" not in env_of(objects, "worker-metadata")
    assert "imagebatches" not in rights(objects, "worker")


def rights(objects: list[Object], component: str) -> dict[str, set[str]]:
    """Return a component's verbs in Kubernetes, by resource."""
    found: dict[str, set[str]] = {}
    for rule in of_kind(objects, "Role")[f"vision-node-{component}"]["rules"]:
        for resource in rule["resources"]:
            found.setdefault(resource, set()).update(rule["verbs"])

    return found


READ = {"get", "list", "watch"}


@pytest.mark.parametrize(
    ("component", "resource", "verbs"),
    [
        ("api", "imagejobs", READ | {"create", "patch", "delete"}),
        ("api", "imagebatches", READ | {"create", "patch", "delete"}),
        ("api", "imagebatches/status", set()),
        ("operator", "imagejobs", READ | {"create", "patch", "delete"}),
        ("operator", "imagebatches", READ | {"delete"}),
        ("operator", "imagebatches/status", {"patch"}),
        ("archiver", "imagejobs", READ | {"delete"}),
        ("archiver", "imagejobs/status", set()),
        ("archiver", "imagebatches", READ | {"delete"}),
        ("archiver", "imagebatches/status", {"patch"}),
        ("archiver", "events", {"create"}),
        ("archiver", "configmaps", {"get"}),
        ("worker", "imagejobs", READ),
        ("worker", "imagebatches/status", set()),
    ],
)
def test_components_have_only_the_permissions_that_they_need(
    component: str, resource: str, verbs: set[str]
) -> None:
    assert rights(rendered("default"), component).get(resource, set()) == verbs


def policy(name: str) -> Object:
    """Return the spec of one of the release's admission policies."""
    spec: Object = of_kind(rendered("default"), POLICIES[0])[f"vision-node.vision-node-{name}"]
    return dict(spec["spec"])


def test_every_policy_has_a_binding() -> None:
    objects = rendered("default")
    bound = {it["spec"]["policyName"] for it in of_kind(objects, POLICIES[1]).values()}
    assert bound == of_kind(objects, POLICIES[0]).keys()


def test_only_the_operator_creates_shards_and_sets_their_label() -> None:
    shards = policy("shards")
    (rule,) = shards["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["imagejobs"], ["CREATE", "UPDATE"])

    (condition,) = shards["matchConditions"]
    assert condition["expression"] == f"request.userInfo.username != '{ACCOUNT}-operator'"

    variables = {it["name"]: it["expression"] for it in shards["variables"]}
    assert all(f"'{BATCH_LABEL}'" in expression for expression in variables.values())
    assert [it["expression"] for it in shards["validations"]] == [
        "request.operation != 'CREATE' || !has(object.spec.images)",
        "variables.new == variables.old",
    ]


def test_policies_let_the_api_cancel_and_delete_imagejobs() -> None:
    """Only the policy about the label of shards sees changes, and none sees deletions."""
    seen: dict[str, list[str]] = {}
    for name in ("inbox", "shards", "workers", "leases"):
        for rule in policy(name)["matchConstraints"]["resourceRules"]:
            if "imagejobs" in rule["resources"]:
                for operation in rule["operations"]:
                    seen.setdefault(operation, []).append(name)

    assert seen == {"CREATE": ["inbox", "shards"], "UPDATE": ["shards"]}


def test_inbox_policy_ignores_imagejobs_without_an_image() -> None:
    """An expression that fails rejects the object, and shards have no spec.image."""
    (validation,) = policy("inbox")["validations"]
    assert validation["expression"].startswith("!has(object.spec.image) || ")


@pytest.mark.parametrize("release_id", ["", RELEASE_ID])
def test_worker_policy_accepts_the_key_of_a_shards_results(release_id: str) -> None:
    """The expression is evaluated by the API server, so this test fills in its variables."""
    variables = {it["name"]: it["expression"] for it in policy("workers")["variables"]}
    parts = {
        "object.spec.?images.?batchUID.orValue('')": "1f-2e",
        "object.metadata.uid": "3d-4c",
        "string(variables.new.?attempts.orValue(0))": "2",
    }
    pattern = "".join(
        parts.get(part, part.strip("'")) for part in variables["shardKey"].strip().split(" + ")
    )
    assert pattern == "^batches/([a-z2-7]{12}/)?1f-2e/results/[0-9]{9}-3d-4c-2$"

    folder = BatchFolder(BucketFolders(release_id), "1f-2e")
    assert re.search(pattern, folder.results(7, "3d-4c", 2))
    assert not re.search(pattern, folder.results(7, "3d-4c", 1))
    assert not re.search(pattern, folder.index(7))
