"""Values that YAML or Helm could take for something else: names like numbers, quantities, nulls."""

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


def strings(node: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return what stands at places that Kubernetes wants a string for: names, labels, annotations, keys."""
    found: list[tuple[str, Any]] = []
    match node:
        case dict():
            for key, value in node.items():
                here = f"{path}.{key}"
                if key in {"labels", "matchLabels", "annotations"} and isinstance(value, dict):
                    found += [(f"{here}.{name}", it) for name, it in value.items()]
                elif key in {
                    "name",
                    "namespace",
                    "key",
                    "claimName",
                    "ingressClassName",
                    "secretName",
                }:
                    found.append((here, value))
                else:
                    found += strings(value, here)
        case list():
            for value in node:
                found += strings(value, path)

    return found


@pytest.mark.parametrize("name", ["123", "true", "null", "1e3", "0x10", "1234.5"])
def test_names_that_look_like_numbers_stay_strings(name: str) -> None:
    for rendered in (
        template(NAMES, release=name.replace(".", "-"), namespace=name.replace(".", "-")),
        template(
            {
                "storage": {"endpoint": "s3", "existingSecret": name},
                "networkPolicies": {"enabled": True},
            }
        ),
    ):
        objects = [made for made in rendered if made["kind"] != "CustomResourceDefinition"]
        wrong = [it for made in objects for it in strings(made) if not isinstance(it[1], str)]
        assert not wrong
        data = [made["data"] for made in of_kind(objects, "ConfigMap").values()]
        assert all(isinstance(value, str) for texts in data for value in texts.values())


@pytest.mark.parametrize(
    ("given", "rendered"), [(0.5, "0.5"), (2, "2"), ("500m", "500m"), (1.5e9, "1.5e+09")]
)
def test_quantities_of_describers_are_text(given: Any, rendered: str) -> None:
    """The CRD takes whole numbers and text, and 0.5 is neither."""
    values: Any = {"describers": {"metadata": {"resources": {"limits": {"cpu": given}}}}}
    data = of_kind(template(values), "ConfigMap")["vision-node-describers"]["data"]
    assert json.loads(data["describers.json"])["metadata"]["resources"]["limits"]["cpu"] == rendered


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("program", ["helm", "helm3"])
def test_numbers_of_users_are_left_out_by_null_or_by_nothing(nothing: Any, program: str) -> None:
    """An umbrella chart's null has no effect in Helm 4."""
    security = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), nothing)
    for _, made in pods(template({"podSecurityContext": security}, program=program)):
        assert not security.keys() & made["spec"]["securityContext"].keys()


def env_of(objects: list[Object], name: str) -> dict[str, str | None]:
    (container,) = containers(pod(objects, name))
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_the_proxy_of_older_values_leaves_an_s3_service_of_ones_own_alone() -> None:
    """It was always reached directly, and the proxy may not let it pass."""
    values: Any = {
        "storage": {"endpoint": "s3.corp:9000", "existingSecret": "keys"},
        "providers": {"proxy": {"url": "http://proxy:3128", "except": [".corp"]}},
        "proxy": {"except": ["more.example.com"]},
    }
    told = env_of(template(values), "vision-node-api")
    assert told["HTTPS_PROXY"] == "http://proxy:3128"
    assert (told["NO_PROXY"] or "").split(",")[-3:] == [".corp", "more.example.com", "s3.corp"]


def test_new_values_come_before_the_older_names() -> None:
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


def test_another_revision_of_storages_secret_replaces_all_that_read_it() -> None:
    def those(revision: str) -> dict[str, Object]:
        objects = template({"storage": {"secretRevision": revision}})
        return {name: made for name, made in pods(objects) if "secretKeyRef" in json.dumps(made)}

    first, second = those("1"), those("2")
    kept = {name for name in first if second.get(name) == first[name]}
    assert not kept
    assert {
        "vision-node-api",
        "vision-node-operator",
        "vision-node-minio",
        "worker-metadata",
    } < first.keys()
    assert len([name for name in first.keys() ^ second.keys() if "storage-setup" in name]) == 2


def test_jobs_of_the_bundled_store_have_its_pods_annotations() -> None:
    """Such as one that keeps a service mesh's proxy away, with which a Job would never end."""
    annotations = {"linkerd.io/inject": "disabled"}
    for name, made in pods(template({"minio": {"pod": {"annotations": annotations}}})):
        if "storage-" in name:
            assert made["metadata"]["annotations"]["linkerd.io/inject"] == "disabled", name


def test_argo_cd_sets_the_store_up_with_each_sync() -> None:
    """Each revision is the first to it, so the Job has one name; a new volume needs its bucket."""
    (job,) = [made for name, made in of_kind(template(), "Job").items() if "storage-setup" in name]
    assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"


def test_workers_reach_pod_identity_whatever_stores_images() -> None:
    policy = of_kind(template({"networkPolicies": {"enabled": True}}), "NetworkPolicy")[
        "vision-node-worker"
    ]
    agent = {"ipBlock": {"cidr": "169.254.170.23/32"}}
    assert any(agent in rule.get("to", []) for rule in policy["spec"]["egress"])
