"""Tests of the storage settings: the bundled MinIO, or the user's own S3 service."""

import json
from typing import Any

import pytest
from chart import POLICIES, S3_CLIENTS, Object, containers, of_kind, pod, pods, rendered, template

WEBHOOKS = "vision-node-webhooks"


@pytest.mark.parametrize(
    ("values", "secrets"),
    [
        ("default", ["vision-node-storage", "vision-node-database", WEBHOOKS]),
        ("external-s3", ["vision-node-database", WEBHOOKS]),
        ("keyless-s3", ["vision-node-database", WEBHOOKS]),
        ("bundled-store-with-my-own-keys-and-claim", ["vision-node-database", WEBHOOKS]),
        ("external-database", ["vision-node-storage", WEBHOOKS]),
        ("no-database", ["vision-node-storage"]),
        ("nothing-bundled", [WEBHOOKS]),
        (
            "api-keys",
            [
                *("vision-node-storage", "vision-node-database", WEBHOOKS),
                *("vision-node-api-keys", "vision-node-admin-key"),
            ],
        ),
    ],
)
def test_identity_and_credentials_are_made_before_the_pods_start(
    values: str, secrets: list[str]
) -> None:
    objects = rendered(values)
    name = "vision-node-release-setup"
    weights = {}

    for kind in ("ServiceAccount", "Role", "RoleBinding", "Job"):
        annotations = of_kind(objects, kind)[name]["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        weights[kind] = int(annotations["helm.sh/hook-weight"])

    assert weights.pop("Job") > max(weights.values())

    rules = of_kind(objects, "Role")[name]["rules"]
    named = {"configmaps": ["vision-node-identity"]}
    if secrets:
        named["secrets"] = secrets
    for create, existing in zip(rules[::2], rules[1::2], strict=True):
        (resource,) = create["resources"]
        assert (create["verbs"], "resourceNames" in create) == (["create"], False)
        assert existing["resources"] == [resource]
        assert existing["resourceNames"] == named.pop(resource)
    assert not named

    (container,) = containers(pod(objects, name))
    env = {it["name"]: it.get("value") for it in container["env"]}
    assert env["IDENTITY_CONFIGMAP"] == "vision-node-identity"
    variables = (
        *("STORAGE_SECRET", "DATABASE_SECRET", "WEBHOOK_SECRET"),
        *("KEYS_SECRET", "ADMIN_KEY_SECRET"),
    )
    assert [env[name] for name in variables if name in env] == secrets


def test_every_client_of_the_bucket_gets_the_id_of_the_release() -> None:
    """The ConfigMap itself is not rendered, because `helm uninstall` would delete it."""
    objects = rendered("default")
    assert "vision-node-identity" not in of_kind(objects, "ConfigMap")

    found = {"configMapKeyRef": {"name": "vision-node-identity", "key": "id"}}
    for name in S3_CLIENTS:
        env = {it["name"]: it for c in containers(pod(objects, name)) for it in c["env"]}
        assert env["RELEASE_ID"]["valueFrom"] == found, name


def test_network_policy_lets_the_setup_job_reach_the_api_server() -> None:
    """The default policy already exists during an upgrade, so the Job needs its own policy."""
    policy = of_kind(rendered("network-policies"), "NetworkPolicy")["vision-node-release-setup"]
    assert policy["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert policy["spec"]["egress"] == [{"ports": [{"port": 443}, {"port": 6443}]}]


def storage_setup(values: Any) -> Object:
    """Return the Job that creates the bucket and the users in the bundled MinIO."""
    (job,) = [
        job for name, job in of_kind(template(values), "Job").items() if "storage-setup" in name
    ]
    return job


def test_storage_setup_starts_without_the_keys_of_the_archiver() -> None:
    """A Secret that was made for an older chart lacks them. Other users need new rights anyway."""
    (container,) = containers(storage_setup({})["spec"]["template"])
    keys = [it["valueFrom"].get("secretKeyRef") for it in container["env"] if "valueFrom" in it]
    optional = {key["key"] for key in keys if key and key.get("optional")}
    assert optional == {"archiver-access-key", "archiver-secret-key"}


def test_changed_storage_setup_gets_a_new_job_name() -> None:
    """A Job's pod template is immutable, so without a new name, `kubectl apply` would fail."""
    jobs = [storage_setup({}), storage_setup({"images": {"operator": "mine:2"}})]
    assert jobs[0]["spec"] != jobs[1]["spec"]
    assert jobs[0]["metadata"]["name"] != jobs[1]["metadata"]["name"]
    assert storage_setup({}) == jobs[0]


def test_bundled_minio_uses_existing_credentials_and_volume() -> None:
    objects = rendered("bundled-store-with-my-own-keys-and-claim")
    assert "vision-node-storage" not in {
        variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
        for _, manifest in pods(objects)
        for container in containers(manifest)
        for variable in container.get("env", [])
    }
    assert storage_keys(pod(objects, "vision-node-minio")) == {"root-access-key", "root-secret-key"}

    store = of_kind(objects, "StatefulSet")["vision-node-minio"]["spec"]
    assert "volumeClaimTemplates" not in store
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "my-claim"}} in store[
        "template"
    ]["spec"]["volumes"]


def storage_keys(manifest: Object) -> set[str]:
    """Return the keys of the storage Secret that the environment variables of a pod refer to."""
    refs = [
        e.get("valueFrom", {}).get("secretKeyRef")
        for c in containers(manifest)
        for e in c.get("env", [])
    ]
    return {ref["key"] for ref in refs if ref and not ref["name"].endswith("-database")}


@pytest.mark.parametrize("name", ["default", "external-s3"])
def test_each_component_gets_only_its_own_storage_keys(name: str) -> None:
    users = {
        "vision-node-api": "api",
        "vision-node-operator": "operator",
        "vision-node-archiver": "archiver",
        "worker-metadata": "describer",
    }

    for owner, user in users.items():
        assert storage_keys(pod(rendered(name), owner)) == {
            f"{user}-access-key",
            f"{user}-secret-key",
        }

    assert storage_keys(pod(rendered(name), "vision-node-test")) == set()


def test_external_s3_service_replaces_minio_entirely() -> None:
    objects = rendered("external-s3")
    assert of_kind(objects, "StatefulSet").keys() == {"vision-node-postgres"}
    assert of_kind(objects, "Job").keys() == {"vision-node-release-setup"}
    assert "minio" not in json.dumps(
        [o for o in objects if o["kind"] not in {"NetworkPolicy", *POLICIES}]
    )

    for owner in S3_CLIENTS:
        env = {e["name"]: e for e in containers(pod(objects, owner))[0]["env"]}
        assert env["S3_ENDPOINT"]["value"] == "s3.example.com:9443"
        assert (env["S3_SECURE"]["value"], env["S3_REGION"]["value"]) == ("true", "eu-central-1")
        assert env["S3_SECRET_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "my-bucket"


def test_keyless_storage_uses_service_accounts_instead_of_keys() -> None:
    objects = rendered("keyless-s3")
    accounts = of_kind(objects, "ServiceAccount")
    for name, account in zip(S3_CLIENTS, ("api", "operator", "archiver", "worker"), strict=True):
        annotations = accounts[f"vision-node-{account}"]["metadata"]["annotations"]
        assert annotations["eks.amazonaws.com/role-arn"].startswith(
            "arn:aws:iam::111122223333:role/"
        )

        manifest = pod(objects, name)
        assert storage_keys(manifest) == set()
        assert {"name": "S3_KEYLESS", "value": "true"} in containers(manifest)[0]["env"]

        policy = of_kind(objects, "NetworkPolicy")[f"vision-node-{account}"]
        agent = {"ipBlock": {"cidr": "169.254.170.23/32"}}
        assert any(agent in rule.get("to", []) for rule in policy["spec"]["egress"])
