"""Tests of who may use the API: keys, tokens of Kubernetes, and the label of owners."""

import json
from typing import Any

import pytest
from chart import (
    CHART,
    POLICIES,
    VALUES,
    Object,
    containers,
    of_kind,
    pod,
    pods,
    rendered,
    run,
    template,
    use_env,
)
from vision_node_api.settings import AuthSettings

OFF, KEYS, TOKENS = "default", "api-keys", "kubernetes-identities"

SETTINGS = {"AUTH_ENABLED", "KEYS_SECRET", "AUTH_AUDIENCE", "SESSION_SECONDS"}

NAMES = {"vision-node-api-keys", "vision-node-admin-key"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (OFF, {}),
        (
            KEYS,
            {
                "AUTH_ENABLED": "true",
                "KEYS_SECRET": "vision-node-api-keys",
                "SESSION_SECONDS": "43200",
            },
        ),
        (
            TOKENS,
            {
                "AUTH_ENABLED": "true",
                "KEYS_SECRET": "vision-node-api-keys",
                "AUTH_AUDIENCE": "images.example.com",
                "SESSION_SECONDS": "600",
            },
        ),
    ],
)
def test_api_knows_who_may_use_it(name: str, expected: dict[str, str]) -> None:
    (container,) = containers(pod(rendered(name), "vision-node-api"))
    assert {
        it["name"]: it["value"] for it in container["env"] if it["name"] in SETTINGS
    } == expected


def test_api_reads_its_settings_from_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    use_env(VALUES[OFF], "vision-node-api", monkeypatch)
    assert AuthSettings.from_env() is None
    use_env(VALUES[TOKENS], "vision-node-api", monkeypatch)
    assert AuthSettings.from_env() == AuthSettings(
        keys_secret="vision-node-api-keys",  # noqa: S106 (a name)
        audience="images.example.com",
        session_seconds=600,
    )


def rules_of(objects: list[Object], role: str, group: str) -> list[Object]:
    rules = of_kind(objects, "Role")[role]["rules"]
    return [rule for rule in rules if group in rule["apiGroups"]]


@pytest.mark.parametrize(
    ("name", "has_keys", "has_tokens"), [(OFF, 0, 0), (KEYS, 1, 0), (TOKENS, 1, 1)]
)
def test_api_may_read_and_change_only_the_secret_with_the_keys(
    name: str, has_keys: int, has_tokens: int
) -> None:
    objects = rendered(name)
    core = rules_of(objects, "vision-node-api", "")
    secret = {
        "apiGroups": [""],
        "resources": ["secrets"],
        "resourceNames": ["vision-node-api-keys"],
        "verbs": ["get", "list", "watch", "patch"],
    }
    assert [rule for rule in core if "secrets" in rule["resources"]] == [secret] * has_keys

    review = {
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["localsubjectaccessreviews"],
        "verbs": ["create"],
    }
    found = rules_of(objects, "vision-node-api", "authorization.k8s.io")
    assert found == [review] * has_tokens

    others = {"vision-node-operator", "vision-node-archiver", "vision-node-worker"}
    for role in others:
        assert "secrets" not in json.dumps(of_kind(objects, "Role")[role]["rules"])


def test_keys_alone_need_no_rights_in_the_cluster() -> None:
    kinds = {it["kind"] for name in (OFF, KEYS) for it in rendered(name)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    off: Any = {"auth": {"enabled": False, "kubernetes": {"enabled": True}}}
    assert template(off) == rendered(OFF)


def test_tokens_need_the_right_to_have_them_checked_and_nothing_else() -> None:
    objects = template(VALUES[TOKENS], namespace="mine", release="images")
    ((name, role),) = of_kind(objects, "ClusterRole").items()
    assert name == "mine.images-vision-node-tokenreviews"
    assert role["rules"] == [
        {
            "apiGroups": ["authentication.k8s.io"],
            "resources": ["tokenreviews"],
            "verbs": ["create"],
        }
    ]

    (binding,) = of_kind(objects, "ClusterRoleBinding").values()
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("ClusterRole", name)
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "images-vision-node-api", "namespace": "mine"}
    ]


def test_roles_for_users_have_the_rights_that_the_api_asks_for() -> None:
    objects = rendered(TOKENS)
    wanted = {"submitter": "create", "reader": "get", "admin": "*"}
    for suffix, verb in wanted.items():
        (rule,) = of_kind(objects, "Role")[f"vision-node-{suffix}"]["rules"]
        assert (rule["resources"], rule["verbs"]) == (["imagejobs"], [verb])

    bound = {it["roleRef"]["name"] for it in of_kind(objects, "RoleBinding").values()}
    assert not bound & {f"vision-node-{suffix}" for suffix in wanted}, "nobody has them by default"
    assert (
        not {f"vision-node-{suffix}" for suffix in wanted} & of_kind(rendered(KEYS), "Role").keys()
    )


def test_only_the_test_pod_gets_the_first_key() -> None:
    holders = {
        name
        for name, manifest in pods(rendered(KEYS))
        for container in containers(manifest)
        for variable in container.get("env", [])
        if variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name") in NAMES
    }
    assert holders == {"vision-node-test"}

    (container,) = containers(pod(rendered(KEYS), "vision-node-test"))
    env = {it["name"]: it for it in container["env"]}
    secret = {"name": "vision-node-admin-key", "key": "key", "optional": True}
    assert env["VISION_NODE_API_KEY"]["valueFrom"] == {"secretKeyRef": secret}
    assert env["NEEDS_API_KEY"]["value"] == "true"
    (open_container,) = containers(pod(rendered(OFF), "vision-node-test"))
    assert "env" not in open_container


OWNERS = "vision-node.vision-node-owners"


def test_policy_protects_the_label_of_owners() -> None:
    policy, binding = (of_kind(rendered(KEYS), kind)[OWNERS] for kind in POLICIES)
    assert binding["spec"]["policyName"] == OWNERS
    (rule,) = policy["spec"]["matchConstraints"]["resourceRules"]
    assert rule["resources"] == ["imagejobs", "imagebatches"]
    assert rule["operations"] == ["CREATE", "UPDATE"]

    (condition,) = policy["spec"]["matchConditions"]
    for component in ("api", "operator"):
        account = f"system:serviceaccount:vision-node:vision-node-{component}"
        assert f"'{account}'" in condition["expression"]
    (validation,) = policy["spec"]["validations"]
    assert ".namespace('vision-node').check('*').allowed()" in validation["expression"]


@pytest.mark.parametrize(
    "values", [{}, {"auth": {"enabled": True}, "admissionPolicies": {"enabled": False}}]
)
def test_label_of_owners_is_free_without_keys_or_policies(values: Any) -> None:
    assert OWNERS not in of_kind(template(values), POLICIES[0])


def notes(name: str) -> str:
    completed = run("install", "vision-node", CHART, "--dry-run=client", values=VALUES[name])
    return completed.stdout.rpartition("NOTES:")[2]


def test_notes_say_how_to_get_the_first_key() -> None:
    command = "kubectl -n default get secret vision-node-admin-key -o jsonpath='{.data.key}'"
    assert command in notes(KEYS)
    assert 'curl -H "Authorization: Bearer $VISION_NODE_API_KEY" -F file=@photo.jpg' in notes(KEYS)
    assert "create token" not in notes(KEYS)
    assert "--audience images.example.com" in notes(TOKENS)
    assert "Authorization" not in notes(OFF)
    assert "\n\n\n" not in notes(TOKENS)
