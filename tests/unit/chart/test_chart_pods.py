"""Tests of the rendered pods: security settings, resources, probes and additions by users."""

import json
from typing import Any

import pytest
from chart import S3_CLIENTS, containers, every_value_set, of_kind, pod, pods, rendered, template


@every_value_set
def test_every_pod_is_restricted(name: str) -> None:
    for owner, manifest in pods(rendered(name)):
        security = manifest["spec"]["securityContext"]
        assert security["runAsNonRoot"], owner
        assert name == "openshift" or security["runAsUser"] > 0, owner
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & manifest["spec"].keys(), owner
        assert not [v for v in manifest["spec"].get("volumes", []) if "hostPath" in v], owner

        for container in containers(manifest):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, owner


@every_value_set
def test_every_container_has_resources(name: str) -> None:
    for owner, manifest in pods(rendered(name)):
        for container in containers(manifest):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), owner
            assert "memory" in container["resources"]["limits"], owner


def test_minio_go_memory_limit_is_below_the_container_limit() -> None:
    """The container's limit also covers memory that Go does not count, so Go's limit is lower."""
    (minio,) = containers(pod(rendered("default"), "vision-node-minio"))
    env = {variable["name"]: variable for variable in minio["env"]}
    field = {"resource": "limits.memory", "divisor": "1Mi"}

    assert env["MEMORY_LIMIT_MI"]["valueFrom"] == {"resourceFieldRef": field}
    assert env["GOMEMLIMIT"]["value"] == "$(MEMORY_LIMIT_MI)000000"
    assert list(env).index("MEMORY_LIMIT_MI") < list(env).index("GOMEMLIMIT"), (
        "Kubernetes expands only variables that are defined earlier"
    )


@every_value_set
def test_every_long_running_container_has_probes(name: str) -> None:
    objects = rendered(name)
    serving = [*of_kind(objects, "Deployment").values(), *of_kind(objects, "StatefulSet").values()]
    for manifest in serving:
        for container in containers(manifest["spec"]["template"]):
            assert {"startupProbe", "livenessProbe"} <= container.keys(), manifest["metadata"][
                "name"
            ]


def test_only_pods_that_use_the_kubernetes_api_get_a_token() -> None:
    objects = rendered("default")
    assert all(
        a["automountServiceAccountToken"] is False
        for a in of_kind(objects, "ServiceAccount").values()
    )
    assert all(
        manifest["spec"]["automountServiceAccountToken"] is False for _, manifest in pods(objects)
    )

    holders = {
        owner for owner, manifest in pods(objects) if "serviceAccountToken" in json.dumps(manifest)
    }
    assert holders == {
        *("vision-node-api", "vision-node-operator", "vision-node-archiver"),
        *("worker-local", "worker-metadata", "worker-ocr"),
        "vision-node-release-setup",
    }


def test_user_and_group_ids_can_be_omitted_or_large() -> None:
    for owner, manifest in pods(rendered("openshift")):
        assert (
            not {"runAsUser", "runAsGroup", "fsGroup"} & manifest["spec"]["securityContext"].keys()
        ), owner
        for container in containers(manifest):
            assert "runAsUser" not in container["securityContext"], owner

    large = {"podSecurityContext": {"runAsUser": 1000650000, "fsGroup": 1000650000}}
    security = pod(template(large), "vision-node-api")["spec"]["securityContext"]
    assert (security["runAsUser"], security["fsGroup"]) == (1000650000, 1000650000)


def test_every_container_can_have_a_cpu_limit() -> None:
    """If a namespace has a quota for CPU limits, Kubernetes rejects pods without such a limit."""
    for owner, manifest in pods(rendered("cpu-quota")):
        for container in containers(manifest):
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), owner
    setup: Any = {"minio": {"setup": {"resources": {"limits": {"cpu": "250m"}}}}}
    for name, manifest in pods(template(setup)):
        if "storage-" in name:
            assert containers(manifest)[0]["resources"]["limits"]["cpu"] == "250m"


@pytest.mark.parametrize("name", ["vision-node-minio", *S3_CLIENTS])
def test_pods_have_the_extra_env_volumes_and_labels(name: str) -> None:
    objects = rendered("extras")
    manifest = pod(objects, name)
    (container,) = containers(manifest)
    names = [variable["name"] for variable in container["env"]]

    assert len(names) == len(set(names)), "server-side apply rejects duplicate variable names"

    region = "MINIO_REGION" if name == "vision-node-minio" else "S3_REGION"
    assert {"name": region, "value": "eu-central-1"} in container["env"]
    assert {"name": "TZ", "value": "Europe/Vienna"} in container["env"]
    assert {"name": "more", "configMap": {"name": "more"}} in manifest["spec"]["volumes"]
    assert {"name": "more", "mountPath": "/more", "readOnly": True} in container["volumeMounts"]

    labels = manifest["metadata"]["labels"]
    assert labels["example.com/team"] == "vision"
    assert labels.get("app.kubernetes.io/component") != "mine", "selectors rely on this label"

    account = manifest["spec"]["serviceAccountName"]
    assert (
        "example.com/role" in of_kind(objects, "ServiceAccount")[account]["metadata"]["annotations"]
    )


def test_disruption_budget_exists_only_with_several_replicas() -> None:
    assert not of_kind(rendered("default"), "PodDisruptionBudget")
    assert of_kind(rendered("many"), "PodDisruptionBudget").keys() == {"vision-node-api"}


def test_minio_pod_has_the_configured_scheduling_fields() -> None:
    manifest = pod(rendered("placed"), "vision-node-minio")
    assert manifest["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert manifest["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert manifest["spec"]["tolerations"][0]["key"] == "images"
    assert "podAntiAffinity" in manifest["spec"]["affinity"]


@pytest.mark.parametrize("pixels", [1, 250_000_000])
def test_workers_and_the_api_have_the_same_pixel_limit(pixels: int) -> None:
    objects = template({"limits": {"imagePixels": pixels}})
    for name in ("vision-node-api", "worker-metadata"):
        (container,) = containers(pod(objects, name))
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert env.get("MAX_IMAGE_PIXELS") == str(pixels), name


@pytest.mark.parametrize(
    "change",
    [
        {"images": {"describer": "vision-node-describer:2"}},
        {"workers": {"extraEnv": [{"name": "OPENAI_BASE_URL", "value": "http://models"}]}},
        {"providerSecret": "keys"},
    ],
)
def test_api_notices_what_changes_the_results_of_all_workers(change: dict[str, Any]) -> None:
    def revision(values: dict[str, Any]) -> str:
        (api,) = containers(pod(template(values), "vision-node-api"))
        (found,) = (it["value"] for it in api["env"] if it["name"] == "WORKERS_REVISION")
        return str(found)

    usual = revision({})
    assert len(usual) == 16
    assert revision({"workers": {"podLabels": {"a": "b"}}}) == usual
    assert revision(change) != usual
