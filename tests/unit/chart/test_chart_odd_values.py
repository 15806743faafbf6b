"""Tests of values that YAML or Helm could misread, and of deprecated values.

Examples are names that look like numbers, resource quantities and nulls.
"""

import json
from typing import Any

import pytest
from chart import Object, Values, containers, of_kind, pod, pods, template

NAMES: Values = {
    "caBundle": {"configMap": "123", "key": "1.5"},
    "providerSecret": "456",
    "storage": {"existingSecret": "789"},
    "minio": {"persistence": {"existingClaim": "55"}},
    "api": {"ingress": {"enabled": True, "className": "1e3", "tlsSecret": "77"}},
    "networkPolicies": {"enabled": True},
}


STRING_FIELDS = {"name", "namespace", "key", "claimName", "ingressClassName", "secretName"}


def strings(node: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return the path and value of each field that must be a string, such as names and labels."""
    found: list[tuple[str, Any]] = []
    match node:
        case dict():
            for key, value in node.items():
                here = f"{path}.{key}"
                if key in {"labels", "matchLabels", "annotations"} and isinstance(value, dict):
                    found += [(f"{here}.{name}", item) for name, item in value.items()]
                elif key in STRING_FIELDS:
                    found.append((here, value))
                else:
                    found += strings(value, here)
        case list():
            for value in node:
                found += strings(value, path)

    return found


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "0x10", "1234.5"])
def test_names_that_look_like_numbers_stay_strings(name: str) -> None:
    without_dots = name.replace(".", "-")
    external_storage: Values = {
        "storage": {"endpoint": "s3", "existingSecret": name},
        "networkPolicies": {"enabled": True},
    }

    for rendered in (
        template(NAMES, release=without_dots, namespace=without_dots),
        template(external_storage),
    ):
        objects = [
            manifest for manifest in rendered if manifest["kind"] != "CustomResourceDefinition"
        ]
        wrong = [
            item
            for manifest in objects
            for item in strings(manifest)
            if not isinstance(item[1], str)
        ]
        assert not wrong

        data = [manifest["data"] for manifest in of_kind(objects, "ConfigMap").values()]
        assert all(isinstance(value, str) for texts in data for value in texts.values())


@pytest.mark.parametrize(
    ("given", "rendered"), [(0.5, "0.5"), (2, "2"), ("500m", "500m"), (1.5e9, "1.5e+09")]
)
def test_describer_resource_quantities_become_strings(given: Any, rendered: str) -> None:
    """The CRD accepts only integers and strings, so a number such as 0.5 must become a string."""
    values: Any = {"describers": {"metadata": {"resources": {"limits": {"cpu": given}}}}}
    data = of_kind(template(values), "ConfigMap")["vision-node-describers"]["data"]
    assert json.loads(data["describers.json"])["metadata"]["resources"]["limits"]["cpu"] == rendered


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("program", ["helm", "helm3"])
def test_null_or_empty_user_ids_are_omitted(nothing: Any, program: str) -> None:
    """Helm 4 ignores nulls in the values of an umbrella chart, so users set empty strings there."""
    security = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), nothing)
    for _, manifest in pods(template({"podSecurityContext": security}, program=program)):
        assert not security.keys() & manifest["spec"]["securityContext"].keys()


def env_of(objects: list[Object], name: str) -> dict[str, str | None]:
    (container,) = containers(pod(objects, name))
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_deprecated_proxy_excludes_the_users_s3_service() -> None:
    """Older charts bypassed the proxy for S3, so the proxy might refuse connections to S3."""
    values: Any = {
        "storage": {"endpoint": "s3.corp:9000", "existingSecret": "keys"},
        "providers": {"proxy": {"url": "http://proxy:3128", "except": [".corp"]}},
        "proxy": {"except": ["more.example.com"]},
    }
    env = env_of(template(values), "vision-node-api")
    assert env["HTTPS_PROXY"] == "http://proxy:3128"
    assert (env["NO_PROXY"] or "").split(",")[-3:] == [".corp", "more.example.com", "s3.corp"]


def test_new_values_override_the_deprecated_ones() -> None:
    values: Any = {
        "proxy": {"url": "http://new:3128"},
        "caBundle": {"configMap": "new"},
        "providers": {"proxy": {"url": "http://old:3128"}, "caBundle": {"configMap": "old"}},
    }
    objects = template(values)
    assert env_of(objects, "worker-metadata")["HTTPS_PROXY"] == "http://new:3128"

    (volume,) = [
        v for v in pod(objects, "worker-metadata")["spec"]["volumes"] if v["name"] == "ca-bundle"
    ]
    assert volume["configMap"]["name"] == "new"


def test_changed_storage_secret_revision_replaces_all_pods_that_read_the_secret() -> None:
    def storage_pods(revision: str) -> dict[str, Object]:
        objects = template({"storage": {"secretRevision": revision}})
        return {
            name: manifest
            for name, manifest in pods(objects)
            if '"name": "vision-node-storage"' in json.dumps(manifest)
        }

    first, second = storage_pods("1"), storage_pods("2")
    kept = {name for name in first if second.get(name) == first[name]}
    assert not kept
    assert {
        "vision-node-api",
        "vision-node-operator",
        "vision-node-archiver",
        "vision-node-minio",
        "worker-metadata",
    } < first.keys()
    assert len([name for name in first.keys() ^ second.keys() if "storage-setup" in name]) == 2


def test_setup_job_pods_have_the_minio_pod_annotations() -> None:
    """Users need these annotations, for example, to disable a service mesh's sidecar.

    With a sidecar, a Job would never complete.
    """
    annotations = {"linkerd.io/inject": "disabled"}
    for name, manifest in pods(template({"minio": {"pod": {"annotations": annotations}}})):
        if "storage-" in name:
            assert manifest["metadata"]["annotations"]["linkerd.io/inject"] == "disabled", name


def test_argo_cd_runs_the_storage_setup_job_during_each_sync() -> None:
    """Argo CD always renders the chart as revision 1, so the Job's name does not change.

    As a hook, the Job still runs again. Otherwise a new volume would have no bucket.
    """
    (job,) = [
        manifest for name, manifest in of_kind(template(), "Job").items() if "storage-setup" in name
    ]
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"


def test_workers_can_reach_the_eks_pod_identity_agent_with_any_storage() -> None:
    policy = of_kind(template({"networkPolicies": {"enabled": True}}), "NetworkPolicy")[
        "vision-node-worker"
    ]
    agent = {"ipBlock": {"cidr": "169.254.170.23/32"}}
    assert any(agent in rule.get("to", []) for rule in policy["spec"]["egress"])
