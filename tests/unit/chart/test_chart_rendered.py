"""Test what the chart renders: restricted pods, minimal secrets and permissions, unique names."""

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
from vision_node_api.web.http_settings import HttpSettings

CRDS = sorted(Path("crds").glob("*.yaml"))
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
LONG_RELEASE, LONG_NAMESPACE = "r" * 53, "n" * 63
"""The longest names that Helm and Kubernetes allow."""

every_value_set = pytest.mark.parametrize("name", VALUES)


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


def test_minio_collects_garbage_before_it_is_killed() -> None:
    """Go's limit must be below the container's, which also counts memory that Go does not."""
    (minio,) = containers(pod(rendered("default"), "vision-node-minio"))
    env = {variable["name"]: variable for variable in minio["env"]}
    field = {"resource": "limits.memory", "divisor": "1Mi"}

    assert env["MEMORY_LIMIT_MI"]["valueFrom"] == {"resourceFieldRef": field}
    assert env["GOMEMLIMIT"]["value"] == "$(MEMORY_LIMIT_MI)000000"
    assert list(env).index("MEMORY_LIMIT_MI") < list(env).index("GOMEMLIMIT"), (
        "a variable is expanded only if it comes first"
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
        *("vision-node-api", "vision-node-operator", "worker-metadata"),
        "vision-node-storage-credentials",
    }


@every_value_set
def test_two_renders_are_equal(name: str) -> None:
    """Otherwise Argo CD and Flux, which compare renders, would always see differences."""
    renders = {run("template", "vision-node", CHART, values=VALUES[name]).stdout for _ in range(2)}
    assert len(renders) == 1


@every_value_set
def test_no_secret_is_rendered(name: str) -> None:
    """Manifests may be committed, and the user who renders may have no access to Secrets."""
    assert not of_kind(rendered(name), "Secret")


def test_templates_do_not_depend_on_the_cluster() -> None:
    """`helm template` has no cluster, so with lookups it would render different objects."""
    for path in Path(CHART, "templates").iterdir():
        assert not re.search(
            r"\b(lookup|rand[A-Z]\w+|gen[A-Z]\w+|now|uuidv4|\.Capabilities)\b", path.read_text()
        ), path


def test_minio_credentials_are_generated_before_the_pods_that_need_them() -> None:
    objects = rendered("default")
    name = "vision-node-storage-credentials"
    weights = {}

    for kind in ("ServiceAccount", "Role", "RoleBinding", "Job"):
        annotations = of_kind(objects, kind)[name]["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        weights[kind] = int(annotations["helm.sh/hook-weight"])

    assert weights.pop("Job") > max(weights.values())

    create, named = of_kind(objects, "Role")[name]["rules"]
    assert (create["resources"], create["verbs"]) == (["secrets"], ["create"])
    assert named["resourceNames"] == ["vision-node-storage"]

    (container,) = containers(pod(objects, name))
    assert {"name": "STORAGE_SECRET", "value": "vision-node-storage"} in container["env"]

    for other in ("external-s3", "keyless-s3", "bundled-store-with-my-own-keys-and-claim"):
        assert name not in json.dumps(rendered(other))


def test_network_policy_lets_the_credentials_job_reach_the_api_server() -> None:
    """During an upgrade, the release's policies exist before the Job, which adds its own policy."""
    policy = of_kind(rendered("network-policies"), "NetworkPolicy")[
        "vision-node-storage-credentials"
    ]
    assert policy["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert policy["spec"]["egress"] == [{"ports": [{"port": 443}, {"port": 6443}]}]


def storage_setup(values: Any) -> Object:
    """Return the Job that creates the bundled store's bucket and users."""
    (job,) = [
        job for name, job in of_kind(template(values), "Job").items() if "storage-setup" in name
    ]
    return job


def test_changed_storage_setup_gets_a_new_job_name() -> None:
    """A Job's pod template is immutable, so `kubectl apply` would fail with the same name."""
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
    """Return the keys of the storage Secret that a pod's environment reads."""
    refs = [
        e.get("valueFrom", {}).get("secretKeyRef")
        for c in containers(manifest)
        for e in c.get("env", [])
    ]
    return {ref["key"] for ref in refs if ref}


@pytest.mark.parametrize("name", ["default", "external-s3"])
def test_each_component_gets_only_its_own_storage_keys(name: str) -> None:
    users = {
        "vision-node-api": "api",
        "vision-node-operator": "operator",
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
    assert (
        not of_kind(objects, "StatefulSet") | of_kind(objects, "Secret") | of_kind(objects, "Job")
    )
    assert "minio" not in json.dumps(
        [o for o in objects if o["kind"] not in {"NetworkPolicy", *POLICIES}]
    )

    for owner in ("vision-node-api", "vision-node-operator", "worker-metadata"):
        env = {e["name"]: e for e in containers(pod(objects, owner))[0]["env"]}
        assert env["S3_ENDPOINT"]["value"] == "s3.example.com:9443"
        assert (env["S3_SECURE"]["value"], env["S3_REGION"]["value"]) == ("true", "eu-central-1")
        assert env["S3_SECRET_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "my-bucket"


def test_only_workers_get_the_provider_credentials() -> None:
    objects = rendered("provider")
    (worker,) = containers(pod(objects, "worker-metadata"))
    assert worker["envFrom"] == [{"secretRef": {"name": "my-provider", "optional": False}}]
    assert [
        owner for owner, manifest in pods(objects) if "my-provider" in json.dumps(manifest)
    ] == ["worker-metadata"]
    assert "envFrom" not in json.dumps(dict(pods(rendered("default"))))


S3_CLIENTS = ("vision-node-api", "vision-node-operator", "worker-metadata")
"""Pods that reach the S3 service; workers also reach providers."""


def test_all_components_use_the_ca_bundle_and_the_proxy() -> None:
    objects = rendered("private-network")
    for name in S3_CLIENTS:
        manifest = pod(objects, name)
        (container,) = containers(manifest)
        variables = {v["name"]: v.get("value") for v in container["env"]}
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
            assert variables[variable] == "/etc/vision-node/ca/ca.crt"

        assert (
            variables["HTTPS_PROXY"] == variables["HTTP_PROXY"] == "http://proxy.example.com:3128"
        )

        inside = [
            "localhost",
            "127.0.0.1",
            "::1",
            ".svc",
            ".cluster.local",
            "$(KUBERNETES_SERVICE_HOST)",
        ]
        assert variables["NO_PROXY"].split(",") == [*inside, "vision-node-minio", ".example.com"]

        (volume,) = [v for v in manifest["spec"]["volumes"] if v["name"] == "ca-bundle"]
        items = [{"key": "bundle.pem", "path": "ca.crt"}]
        assert volume["configMap"] == {"name": "my-authorities", "items": items}

        mount = {"name": "ca-bundle", "mountPath": "/etc/vision-node/ca", "readOnly": True}
        assert mount in container["volumeMounts"]

    policy = of_kind(objects, "NetworkPolicy")["vision-node-worker"]["spec"]["egress"]
    assert policy[-1] == {
        "to": [{"ipBlock": {"cidr": cidr}} for cidr in ("10.0.0.0/8", "fd00::/8")]
    }


def test_network_policies_use_the_api_server_and_dns_ports_of_the_values() -> None:
    policies = of_kind(rendered("private-network"), "NetworkPolicy")
    for component in ("api", "operator", "storage-credentials"):
        assert {"ports": [{"port": 443}, {"port": 16443}]} in policies[f"vision-node-{component}"][
            "spec"
        ]["egress"]
    dns = [{"port": 1053, "protocol": protocol} for protocol in ("UDP", "TCP")]
    assert policies["vision-node-default"]["spec"]["egress"] == [{"ports": dns}]


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://proxy.example.com:3128", 3128),
        ("http://me:secret@proxy.example.com:3128/", 3128),
        ("http://proxy.example.com", 80),
        ("https://proxy.example.com/", 443),
        ("http://[fd00::1]:8080", 8080),
    ],
)
def test_network_policies_allow_the_port_of_the_proxy(url: str, port: int) -> None:
    objects = template({"networkPolicies": {"enabled": True}, "proxy": {"url": url}})
    for component in ("api", "operator"):
        policy = of_kind(objects, "NetworkPolicy")[f"vision-node-{component}"]
        assert {"ports": [{"port": port}]} in policy["spec"]["egress"]


def test_keyless_storage_uses_service_accounts_instead_of_keys() -> None:
    objects = rendered("keyless-s3")
    accounts = of_kind(objects, "ServiceAccount")
    for name, account in zip(S3_CLIENTS, ("api", "operator", "worker"), strict=True):
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


def test_user_and_group_ids_can_be_omitted() -> None:
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
    """A quota for CPU limits rejects pods without one."""
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

    assert len(names) == len(set(names)), "server-side apply rejects duplicate names"

    region = "MINIO_REGION" if name == "vision-node-minio" else "S3_REGION"
    assert {"name": region, "value": "eu-central-1"} in container["env"]
    assert {"name": "TZ", "value": "Europe/Vienna"} in container["env"]
    assert {"name": "more", "configMap": {"name": "more"}} in manifest["spec"]["volumes"]
    assert {"name": "more", "mountPath": "/more", "readOnly": True} in container["volumeMounts"]

    labels = manifest["metadata"]["labels"]
    assert labels["example.com/team"] == "vision"
    assert labels.get("app.kubernetes.io/component") != "mine", "selectors rely on it"

    account = manifest["spec"]["serviceAccountName"]
    assert (
        "example.com/role" in of_kind(objects, "ServiceAccount")[account]["metadata"]["annotations"]
    )


@pytest.mark.parametrize(
    ("values", "described_by", "default"),
    [
        ({}, {"metadata"}, "metadata"),
        ({"providerSecret": "keys"}, {"metadata"}, "metadata"),
        ({"describers": {"openai": {"enabled": True}}}, {"metadata", "openai"}, "openai"),
        (
            {"describers": {"openai": {"enabled": True}}, "defaultDescriber": "metadata"},
            {"metadata", "openai"},
            "metadata",
        ),
        (
            {"describers": {"metadata": {"enabled": False}, "openai": {"enabled": True}}},
            {"openai"},
            "openai",
        ),
        ({"describers": {"mine": {"provider": "metadata"}}}, {"metadata", "mine"}, "metadata"),
        (
            {"describers": {"mine": {"provider": "metadata", "enabled": False}}},
            {"metadata"},
            "metadata",
        ),
        ({"describers": {"metadata": {"enabled": False}}, "defaultDescriber": "own"}, set(), "own"),
    ],
)
def test_describers_and_the_default_depend_only_on_values(
    values: Any, described_by: set[str], default: str
) -> None:
    objects = template(values)
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])

    assert specs.keys() == described_by
    assert not [name for name, spec in specs.items() if "enabled" in spec]

    api = pod(objects, "vision-node-api")["spec"]["containers"][0]
    assert {"name": "DEFAULT_DESCRIBER", "value": default} in api["env"]


def test_new_provider_secret_revision_replaces_workers() -> None:
    def worker(values: Any) -> Object:
        return pod(template({"providerSecret": "keys", **values}), "worker-metadata")

    first, second = worker({"providerSecretRevision": "1"}), worker({"providerSecretRevision": "2"})
    assert first != second
    assert worker({"providerSecretRevision": 1}) == first
    assert worker({}) not in (first, second)


def test_disruption_budget_exists_only_with_several_replicas() -> None:
    assert not of_kind(rendered("default"), "PodDisruptionBudget")
    assert of_kind(rendered("many"), "PodDisruptionBudget").keys() == {"vision-node-api"}


def test_pods_have_the_scheduling_fields_of_the_values() -> None:
    manifest = pod(rendered("placed"), "vision-node-minio")
    assert manifest["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert manifest["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert manifest["spec"]["tolerations"][0]["key"] == "images"
    assert "podAntiAffinity" in manifest["spec"]["affinity"]


def test_describer_values_reach_its_spec_and_pods() -> None:
    """Values that are not set are omitted, so that the CRD's defaults apply."""
    objects = rendered("describers")
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])

    assert (specs["metadata"]["minWorkers"], specs["metadata"]["maxWorkers"]) == (1, 2)
    assert specs["gpt"].keys() == {
        *(
            "provider",
            "model",
            "image",
            "options",
            "env",
            "isolation",
            "requestsPerMinute",
            "fallback",
        ),
    }

    manifest = pod(objects, "worker-metadata")
    assert manifest["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert manifest["spec"]["nodeSelector"] == {"disk": "ssd"}

    (worker,) = containers(manifest)
    assert worker["resources"]["limits"] == {"memory": "2Gi"}
    assert {"name": "CONCURRENCY", "value": "8"} in worker["env"]

    (gpt,) = containers(pod(objects, "worker-gpt"))
    assert gpt["image"] == "registry.example.com/describer:1"


DESCRIBER = yaml.safe_load(Path("crds/describers.vision-node.dev.yaml").read_text())
SPEC = DESCRIBER["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
    "properties"
]


def test_values_and_crd_have_the_same_fields_and_defaults() -> None:
    values = yaml.safe_load(Path(CHART, "values.yaml").read_text())["describers"]["metadata"]
    placed = {"podAnnotations", "nodeSelector", "tolerations", "affinity"}
    assert values.keys() - {"pod", "enabled"} == SPEC.keys() - placed
    for name, value in values.items():
        if name not in {"pod", "enabled"} and value:
            assert value == SPEC[name]["default"], name


def test_ingress_has_class_host_and_tls() -> None:
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
def test_ingress_path_defaults_to_the_root_path(api: Any, path: str) -> None:
    ingress = {"enabled": True, "host": "example.com", **api.get("ingress", {})}
    found = of_kind(template({"api": {**api, "ingress": ingress}}), "Ingress")["vision-node-api"]
    (rule,) = found["spec"]["rules"]
    assert [(item["path"], item["pathType"]) for item in rule["http"]["paths"]] == [
        (path, "Prefix")
    ]


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
def test_api_gets_its_http_settings_from_the_values(
    name: str, expected: HttpSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (api,) = containers(pod(rendered(name), "vision-node-api"))
    for variable in api["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"])

    env = HttpSettings.from_env()
    assert replace(env, trusted_proxies=expected.trusted_proxies) == expected

    trusted = 2 if name == "below-a-path" else 0
    assert env.trusted_proxies.count_trusted(["192.0.2.1", "fd00::1", "10.0.0.1"]) == trusted


def test_notes_show_the_url_with_the_root_path() -> None:
    completed = run(
        "install", "vision-node", CHART, "--dry-run=client", values=VALUES["below-a-path"]
    )
    assert "curl -F file=@photo.jpg https://example.com/apps/vision/submit" in completed.stdout


def test_network_policies_select_every_pod() -> None:
    """A pod that no policy selects could only reach DNS."""
    for name in ("network-policies", "network-policies-external-s3"):
        objects = rendered(name)
        policies = of_kind(objects, "NetworkPolicy").values()
        component = "app.kubernetes.io/component"
        named = {p["spec"]["podSelector"]["matchLabels"].get(component) for p in policies} - {None}
        running = {
            manifest["metadata"]["labels"].get(component, "worker") for _, manifest in pods(objects)
        }

        assert named == running

    storage = of_kind(objects, "NetworkPolicy")["vision-node-api"]["spec"]["egress"][-1]
    assert storage == {"ports": [{"port": 80}]}


def test_crds_are_copies_of_the_sources() -> None:
    crds = of_kind(rendered("default"), "CustomResourceDefinition")
    assert [f"{name}.yaml" for name in sorted(crds)] == [path.name for path in CRDS]

    for path in CRDS:
        source = yaml.safe_load(path.read_text())
        assert crds[path.stem]["spec"] == source["spec"]
        assert crds[path.stem]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        # `make format` copies them: Helm reads no file outside the chart, and warns about symbolic
        # links at every install.
        assert Path(CHART, "files", path.name).read_bytes() == path.read_bytes()


def test_crds_are_not_kept_when_disabled() -> None:
    crds = of_kind(rendered("crds-not-kept"), "CustomResourceDefinition")
    assert crds.keys() == {path.stem for path in CRDS}
    assert not [crd for crd in crds.values() if "annotations" in crd["metadata"]]


def test_release_without_crds_and_policies_has_no_cluster_scoped_objects() -> None:
    kinds = {manifest["kind"] for manifest in rendered("second-release")}
    assert not kinds & {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", *POLICIES}


def test_cluster_scoped_names_are_unique_per_release() -> None:
    """Namespaces have no dots, so the part before the first dot tells a-b + c from a + b-c."""
    names = [
        {
            name
            for kind in POLICIES
            for name in of_kind(template(namespace=space, release=release), kind)
        }
        for space, release in (("a-b", "c"), ("a", "b-c"), ("a", "b.c"))
    ]
    shared = {"imagejobs-need-a-vision-node-release-in-their-namespace"}
    assert all(shared < found and len(found) == 4 for found in names)

    names = [found - shared for found in names]
    assert not names[0] & names[1]
    assert not names[0] & names[2]


def test_policy_rejects_imagejobs_in_namespaces_without_a_release() -> None:
    objects = rendered("default")
    name = "imagejobs-need-a-vision-node-release-in-their-namespace"
    policy, binding = (of_kind(objects, kind)[name] for kind in POLICIES)

    assert policy["spec"]["paramKind"] == {"apiVersion": "v1", "kind": "ConfigMap"}
    assert binding["spec"]["paramRef"] == {
        "name": "vision-node-release",
        "parameterNotFoundAction": "Deny",
    }

    for manifest in (policy, binding):
        assert manifest["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}, (
            "as long as the CRDs"
        )

    for values in ("default", "second-release"):
        assert "vision-node-release" in of_kind(rendered(values), "ConfigMap")

    assert name not in of_kind(template({"crds": {"install": False}}), POLICIES[0])


def test_admission_policies_apply_only_to_the_release_namespace() -> None:
    for name, policy in of_kind(template(namespace="mine"), POLICIES[0]).items():
        if not name.startswith("mine."):
            continue
        selector = policy["spec"]["matchConstraints"]["namespaceSelector"]
        assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "mine"}}


def test_worker_policy_mentions_every_status_field() -> None:
    """For each new field in the CRD, the policy must say whether a worker may write it."""
    policy = of_kind(rendered("default"), POLICIES[0])["vision-node.vision-node-workers"]
    text = json.dumps(policy["spec"]["validations"])
    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    named = set(re.findall(r"variables\.new\.\??(\w+)", text))
    assert schema["properties"].keys() - named == {"error"}


def test_result_has_only_fields_that_a_worker_may_write() -> None:
    """The policy lets only the assigned pod end the attempt and set the result; it checks `key`."""
    crd = of_kind(rendered("default"), "CustomResourceDefinition")["imagejobs.vision-node.dev"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    message = {"describer", "model", "summary", "inline", "fallback", "usage"}
    stored = {"key", "sha256", "sizeBytes"}
    assert schema["properties"]["result"]["properties"].keys() == message | stored


@pytest.mark.parametrize("pixels", [1, 250_000_000])
def test_workers_and_the_api_have_the_same_pixel_limit(pixels: int) -> None:
    objects = template({"limits": {"imagePixels": pixels}})
    for name in ("vision-node-api", "worker-metadata"):
        (container,) = containers(pod(objects, name))
        env = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert env.get("MAX_IMAGE_PIXELS") == str(pixels), name


def test_selectors_use_only_immutable_labels() -> None:
    objects = rendered("default")
    for kind in ("Deployment", "StatefulSet"):
        for manifest in of_kind(objects, kind).values():
            labels = manifest["spec"]["selector"]["matchLabels"]
            assert labels.keys() == {
                f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")
            }
            assert labels.items() <= manifest["spec"]["template"]["metadata"]["labels"].items()


@every_value_set
def test_every_object_has_the_recommended_labels(name: str) -> None:
    wanted = {"name", "instance", "component", "version", "managed-by", "part-of"}
    for manifest in rendered(name):
        labels = manifest["metadata"]["labels"]
        assert {f"app.kubernetes.io/{key}" for key in wanted} <= labels.keys(), manifest[
            "metadata"
        ]["name"]


def test_names_fit_with_the_longest_release_and_namespace() -> None:
    values: Any = {
        "networkPolicies": {"enabled": True},
        "api": {"replicas": 2, "ingress": {"enabled": True}},
    }
    objects = template(values, release=LONG_RELEASE, namespace=LONG_NAMESPACE)

    for manifest in objects:
        limit = 253 if manifest["kind"] in {*POLICIES, "CustomResourceDefinition"} else 63
        assert len(manifest["metadata"]["name"]) <= limit

    strings = re.findall(r'"app.kubernetes.io/[a-z-]+": "([^"]*)"', json.dumps(objects))
    assert max(map(len, strings)) <= 63
    # Kubernetes appends a StatefulSet's revision, and the operator a Job's describer and number.
    assert len(f"{next(iter(of_kind(objects, 'StatefulSet')))}-0123456789") <= 63

    prefix = {
        e["name"]: e for e in containers(pod(objects, f"{LONG_RELEASE[:36]}-operator"))[0]["env"]
    }
    assert len(f"{prefix['JOB_PREFIX']['value']}-{'d' * 22}-999") <= 63


def test_helm_lint_is_clean() -> None:
    completed = run("lint", "--strict", CHART)
    assert completed.returncode == 0, completed.stdout
    assert not re.search(r"\[(INFO|WARNING|ERROR)\]", completed.stdout), completed.stdout


@pytest.mark.skipif(not find("helm3"), reason="no helm3: `python3 -m cluster tool helm3` gets it")
@every_value_set
def test_helm_3_renders_the_same_objects(name: str) -> None:
    def comparable(objects: list[Object]) -> list[str]:
        return sorted(json.dumps(o, sort_keys=True) for o in objects)

    assert comparable(template(VALUES[name], program="helm3")) == comparable(rendered(name))
