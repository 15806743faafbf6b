"""What the chart makes of values: restricted pods, frugal with secrets and rights, named without clashes."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import (
    CHART,
    VALUES,
    Object,
    containers,
    find,
    of_kind,
    pod,
    pods,
    rendered,
    run,
    template,
)
from vision_node_api.http_settings import HttpSettings

CRDS = sorted(Path("crds").glob("*.yaml"))
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
LONG_RELEASE, LONG_NAMESPACE = "r" * 53, "n" * 63
"""The longest that Helm and Kubernetes allow."""

every_value_set = pytest.mark.parametrize("name", VALUES)


@every_value_set
def test_every_pod_is_restricted(name: str) -> None:
    for owner, made in pods(rendered(name)):
        security = made["spec"]["securityContext"]
        assert security["runAsNonRoot"], owner
        assert security["runAsUser"] > 0, owner
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & made["spec"].keys(), owner
        assert not [v for v in made["spec"].get("volumes", []) if "hostPath" in v], owner
        for container in containers(made):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, owner


@every_value_set
def test_every_container_has_resources(name: str) -> None:
    for owner, made in pods(rendered(name)):
        for container in containers(made):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), owner
            assert "memory" in container["resources"]["limits"], owner


def test_minio_collects_garbage_before_it_is_killed() -> None:
    """At the limit itself the kernel would be first: a hard limit counts more than Go does."""
    (minio,) = containers(pod(rendered("default"), "vision-node-minio"))
    env = {variable["name"]: variable for variable in minio["env"]}
    field = {"resource": "limits.memory", "divisor": "1Mi"}
    assert env["MEMORY_LIMIT_MI"]["valueFrom"] == {"resourceFieldRef": field}
    assert env["GOMEMLIMIT"]["value"] == "$(MEMORY_LIMIT_MI)000000"
    assert list(env).index("MEMORY_LIMIT_MI") < list(env).index("GOMEMLIMIT"), "or it isn't expanded"


@every_value_set
def test_everything_that_serves_has_probes(name: str) -> None:
    objects = rendered(name)
    serving = [*of_kind(objects, "Deployment").values(), *of_kind(objects, "StatefulSet").values()]
    for made in serving:
        for container in containers(made["spec"]["template"]):
            assert {"startupProbe", "livenessProbe"} <= container.keys(), made["metadata"]["name"]


def test_tokens_go_only_to_those_who_talk_to_kubernetes() -> None:
    objects = rendered("default")
    assert all(
        a["automountServiceAccountToken"] is False for a in of_kind(objects, "ServiceAccount").values()
    )
    assert all(made["spec"]["automountServiceAccountToken"] is False for _, made in pods(objects))
    holders = {owner for owner, made in pods(objects) if "serviceAccountToken" in json.dumps(made)}
    assert holders == {"vision-node-api", "vision-node-operator", "worker-metadata"}


@every_value_set
def test_no_credential_stands_outside_secrets(name: str) -> None:
    objects = rendered(name)
    values = [
        v
        for secret in of_kind(objects, "Secret").values()
        for k, v in secret["data"].items()
        if "secret-key" in k
    ]
    others = json.dumps([o for o in objects if o["kind"] != "Secret"])
    for value in values:
        assert len(base64.b64decode(value)) >= 32
        assert value not in others
        assert base64.b64decode(value).decode() not in others


def storage_keys(made: Object) -> set[str]:
    """Return the keys of the storage Secret that a pod's environment reads."""
    refs = [e.get("valueFrom", {}).get("secretKeyRef") for c in containers(made) for e in c.get("env", [])]
    return {ref["key"] for ref in refs if ref}


@pytest.mark.parametrize("name", ["default", "external-s3"])
def test_each_component_has_its_own_storage_user_only(name: str) -> None:
    users = {"vision-node-api": "api", "vision-node-operator": "operator", "worker-metadata": "describer"}
    for owner, user in users.items():
        assert storage_keys(pod(rendered(name), owner)) == {f"{user}-access-key", f"{user}-secret-key"}
    assert storage_keys(pod(rendered(name), "vision-node-test")) == set()


def test_a_storage_of_ones_own_replaces_all_of_minio() -> None:
    objects = rendered("external-s3")
    assert not of_kind(objects, "StatefulSet") | of_kind(objects, "Secret") | of_kind(objects, "Job")
    assert "minio" not in json.dumps([o for o in objects if o["kind"] not in {"NetworkPolicy", *POLICIES}])
    for owner in ("vision-node-api", "vision-node-operator", "worker-metadata"):
        env = {e["name"]: e for e in containers(pod(objects, owner))[0]["env"]}
        assert env["S3_ENDPOINT"]["value"] == "s3.example.com:9443"
        assert (env["S3_SECURE"]["value"], env["S3_REGION"]["value"]) == ("true", "eu-central-1")
        assert env["S3_SECRET_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "my-bucket"


def test_providers_credentials_go_to_workers_only() -> None:
    objects = rendered("provider")
    (worker,) = containers(pod(objects, "worker-metadata"))
    assert worker["envFrom"] == [{"secretRef": {"name": "my-provider", "optional": False}}]
    assert [owner for owner, made in pods(objects) if "my-provider" in json.dumps(made)] == [
        "worker-metadata"
    ]
    assert "envFrom" not in json.dumps(dict(pods(rendered("default"))))


def test_workers_alone_have_the_way_to_providers() -> None:
    objects = rendered("private-network")
    worker = pod(objects, "worker-metadata")
    variables = {v["name"]: v.get("value") for v in worker["spec"]["containers"][0]["env"]}
    assert variables["SSL_CERT_FILE"] == "/etc/vision-node/ca/ca.crt"
    assert variables["HTTPS_PROXY"] == "http://proxy.example.com:3128"
    inside = ["localhost", "127.0.0.1", ".svc", ".cluster.local", "vision-node-minio"]
    assert variables["NO_PROXY"].split(",") == [*inside, "$(KUBERNETES_SERVICE_HOST)", ".example.com"]
    (volume,) = [v for v in worker["spec"]["volumes"] if v["name"] == "provider-ca"]
    items = [{"key": "bundle.pem", "path": "ca.crt"}]
    assert volume["configMap"] == {"name": "my-authorities", "items": items}
    others = [made for name, made in pods(objects) if not name.startswith("worker-")]
    assert "PROXY" not in json.dumps(others)
    policy = of_kind(objects, "NetworkPolicy")["vision-node-worker"]["spec"]["egress"]
    assert policy[-1] == {"to": [{"ipBlock": {"cidr": cidr}} for cidr in ("10.0.0.0/8", "fd00::/8")]}


def test_openai_is_there_with_a_key() -> None:
    """`helm template` sees no Secret; tests/e2e/test_openai.py tries the one of the cluster."""
    assert "worker-openai" not in dict(pods(rendered("provider")))
    keyed = {"describers": {"openai": {"envFrom": [{"secretRef": {"name": "mine"}}]}}}
    assert "worker-openai" in dict(pods(template(keyed)))
    for values, default in (({}, "metadata"), ({"defaultDescriber": "openai"}, "openai")):
        api = pod(template(values), "vision-node-api")["spec"]["containers"][0]
        assert {"name": "DEFAULT_DESCRIBER", "value": default} in api["env"]


def test_a_disruption_budget_needs_a_second_replica() -> None:
    assert not of_kind(rendered("default"), "PodDisruptionBudget")
    assert of_kind(rendered("many"), "PodDisruptionBudget").keys() == {"vision-node-api"}


def test_pods_are_placed_as_told() -> None:
    made = pod(rendered("placed"), "vision-node-minio")
    assert made["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert made["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert made["spec"]["tolerations"][0]["key"] == "images"
    assert "podAntiAffinity" in made["spec"]["affinity"]


def test_the_values_describers() -> None:
    """What a describer's values say reaches its pods; what they leave out is left to the CRD."""
    objects = rendered("describers")
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])
    assert (specs["metadata"]["minWorkers"], specs["metadata"]["maxWorkers"]) == (1, 2)
    assert specs["gpt"].keys() == {
        *("provider", "model", "image", "options", "env", "isolation", "requestsPerMinute", "fallback"),
    }
    made = pod(objects, "worker-metadata")
    assert made["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert made["spec"]["nodeSelector"] == {"disk": "ssd"}
    (worker,) = containers(made)
    assert worker["resources"]["limits"] == {"memory": "2Gi"}
    assert {"name": "CONCURRENCY", "value": "8"} in worker["env"]
    (gpt,) = containers(pod(objects, "worker-gpt"))
    assert gpt["image"] == "registry.example.com/describer:1"


DESCRIBER = yaml.safe_load(Path("crds/describers.vision-node.dev.yaml").read_text())
SPEC = DESCRIBER["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_the_values_and_the_crd_have_the_same_fields_and_defaults() -> None:
    values = yaml.safe_load(Path(CHART, "values.yaml").read_text())["describers"]["metadata"]
    placed = {"podAnnotations", "nodeSelector", "tolerations", "affinity"}
    assert values.keys() - {"pod"} == SPEC.keys() - placed
    for name, value in values.items():
        if name != "pod" and value:
            assert value == SPEC[name]["default"], name


def test_ingress() -> None:
    ingress = of_kind(rendered("ingress"), "Ingress")["vision-node-api"]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["rules"][0]["host"] == "images.example.com"
    assert ingress["spec"]["tls"] == [{"secretName": "images-tls", "hosts": ["images.example.com"]}]


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ({}, "/"),
        ({"rootPath": "/apps/vision"}, "/apps/vision"),
        ({"ingress": {"path": "/images"}}, "/images"),
        ({"rootPath": "/apps/vision", "ingress": {"path": "/"}}, "/"),
    ],
)
def test_the_ingress_leads_to_the_path_of_the_values(api: Any, path: str) -> None:
    ingress = {"enabled": True, "host": "example.com", **api.get("ingress", {})}
    found = of_kind(template({"api": {**api, "ingress": ingress}}), "Ingress")["vision-node-api"]
    (rule,) = found["spec"]["rules"]
    assert [(it["path"], it["pathType"]) for it in rule["http"]["paths"]] == [(path, "Prefix")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("default", HttpSettings()),
        (
            "below-a-path",
            HttpSettings(
                root_path="/apps/vision",
                cors_origins=("https://gallery.example.com", "http://localhost:5173"),
                keep_alive_seconds=400,
            ),
        ),
    ],
)
def test_the_api_is_told_of_its_surroundings(
    name: str, expected: HttpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (api,) = containers(pod(rendered(name), "vision-node-api"))
    for variable in api["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])
    told = HttpSettings.from_env()
    assert replace(told, trusted_proxies=expected.trusted_proxies) == expected
    trusted = 2 if name == "below-a-path" else 0
    assert told.trusted_proxies.count_trusted(["192.0.2.1", "fd00::1", "10.0.0.1"]) == trusted


def test_the_notes_name_the_address_below_a_path() -> None:
    done = run("install", "vision-node", CHART, "--dry-run=client", values=VALUES["below-a-path"])
    assert "curl -F file=@photo.jpg https://example.com/apps/vision/submit" in done.stdout


def test_network_policies_know_every_pod() -> None:
    """A pod that none of them names could only ask DNS."""
    for name in ("network-policies", "network-policies-external-s3"):
        objects = rendered(name)
        policies = of_kind(objects, "NetworkPolicy").values()
        component = "app.kubernetes.io/component"
        named = {p["spec"]["podSelector"]["matchLabels"].get(component) for p in policies} - {None}
        running = {made["metadata"]["labels"].get(component, "worker") for _, made in pods(objects)}
        assert named == running
    storage = of_kind(objects, "NetworkPolicy")["vision-node-api"]["spec"]["egress"][-1]
    assert storage == {"ports": [{"port": 80}]}


def test_crds_are_those_of_the_contract() -> None:
    crds = of_kind(rendered("default"), "CustomResourceDefinition")
    assert [f"{name}.yaml" for name in sorted(crds)] == [path.name for path in CRDS]
    for path in CRDS:
        source = yaml.safe_load(path.read_text())
        assert crds[path.stem]["spec"] == source["spec"]
        assert crds[path.stem]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        # A copy (`make format`): Helm reads nothing outside a chart, and speaks of links at every install.
        assert Path(CHART, "files", path.name).read_bytes() == path.read_bytes()


def test_crds_need_not_be_kept() -> None:
    crds = of_kind(rendered("crds-not-kept"), "CustomResourceDefinition")
    assert crds.keys() == {path.stem for path in CRDS}
    assert not [crd for crd in crds.values() if "annotations" in crd["metadata"]]


def test_a_release_can_do_without_cluster_scoped_objects() -> None:
    kinds = {made["kind"] for made in rendered("second-release")}
    assert not kinds & {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", *POLICIES}


def test_cluster_scoped_names_are_the_releases_own() -> None:
    """Namespaces have no dots: what comes before the first one tells a-b + c from a + b-c."""
    names = [
        {name for kind in POLICIES for name in of_kind(template(namespace=space, release=release), kind)}
        for space, release in (("a-b", "c"), ("a", "b-c"), ("a", "b.c"))
    ]
    assert all(len(found) == 3 for found in names)
    assert not names[0] & names[1]
    assert not names[0] & names[2]


def test_policies_hold_for_their_namespace_only() -> None:
    for policy in of_kind(template(namespace="mine"), POLICIES[0]).values():
        selector = policy["spec"]["matchConstraints"]["namespaceSelector"]
        assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "mine"}}


def test_the_workers_policy_speaks_of_every_field_of_the_status() -> None:
    """Whether a field that is new in the CRD is a worker's to write must be thought of, and said there."""
    policy = of_kind(rendered("default"), POLICIES[0])["vision-node.vision-node-workers"]
    text = json.dumps(policy["spec"]["validations"])
    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    named = set(re.findall(r"variables\.new\.\??(\w+)", text))
    assert schema["properties"].keys() - named == {"error"}


def test_every_field_of_a_result_is_its_worker_s_to_write() -> None:
    """Once it ends the attempt, which the policy allows to the assigned pod alone; key is checked besides."""
    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    said = {"describer", "model", "summary", "inline", "fallback", "usage"}
    stored = {"key", "sha256", "sizeBytes"}
    assert schema["properties"]["result"]["properties"].keys() == said | stored


@pytest.mark.parametrize("pixels", [1, 250_000_000])
def test_workers_read_as_many_pixels_as_the_api_accepts(pixels: int) -> None:
    objects = template({"limits": {"imagePixels": pixels}})
    for name in ("vision-node-api", "worker-metadata"):
        (container,) = containers(pod(objects, name))
        told = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert told.get("MAX_IMAGE_PIXELS") == str(pixels), name


def test_selectors_never_change() -> None:
    objects = rendered("default")
    for kind in ("Deployment", "StatefulSet"):
        for made in of_kind(objects, kind).values():
            labels = made["spec"]["selector"]["matchLabels"]
            assert labels.keys() == {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}
            assert labels.items() <= made["spec"]["template"]["metadata"]["labels"].items()


@every_value_set
def test_every_object_has_the_recommended_labels(name: str) -> None:
    wanted = {"name", "instance", "component", "version", "managed-by", "part-of"}
    for made in rendered(name):
        labels = made["metadata"]["labels"]
        assert {f"app.kubernetes.io/{key}" for key in wanted} <= labels.keys(), made["metadata"]["name"]


def test_the_longest_names_fit() -> None:
    values: Any = {"networkPolicies": {"enabled": True}, "api": {"replicas": 2, "ingress": {"enabled": True}}}
    objects = template(values, release=LONG_RELEASE, namespace=LONG_NAMESPACE)
    for made in objects:
        limit = 253 if made["kind"] in {*POLICIES, "CustomResourceDefinition"} else 63
        assert len(made["metadata"]["name"]) <= limit
    strings = re.findall(r'"app.kubernetes.io/[a-z-]+": "([^"]*)"', json.dumps(objects))
    assert max(map(len, strings)) <= 63
    # What others add: Kubernetes a StatefulSet's revision, the operator a Job's describer and number.
    assert len(f"{next(iter(of_kind(objects, 'StatefulSet')))}-0123456789") <= 63
    prefix = {e["name"]: e for e in containers(pod(objects, f"{LONG_RELEASE[:36]}-operator"))[0]["env"]}
    assert len(f"{prefix['JOB_PREFIX']['value']}-{'d' * 22}-999") <= 63


def test_lint_is_clean() -> None:
    done = run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout
    assert not re.search(r"\[(INFO|WARNING|ERROR)\]", done.stdout), done.stdout


@pytest.mark.skipif(not find("helm3"), reason="no helm3: `python3 -m cluster tool helm3` gets it")
@every_value_set
def test_helm_3_makes_the_same(name: str) -> None:
    def comparable(objects: list[Object]) -> list[str]:
        return sorted(json.dumps(o, sort_keys=True) for o in objects if o["kind"] != "Secret")

    assert comparable(template(VALUES[name], program="helm3")) == comparable(rendered(name))
