"""What the chart makes of values: restricted pods, frugal with secrets and rights, named without clashes."""

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
"""The longest that Helm and Kubernetes allow."""

every_value_set = pytest.mark.parametrize("name", VALUES)


@every_value_set
def test_every_pod_is_restricted(name: str) -> None:
    for owner, made in pods(rendered(name)):
        security = made["spec"]["securityContext"]
        assert security["runAsNonRoot"], owner
        assert name == "openshift" or security["runAsUser"] > 0, owner
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
    assert list(env).index("MEMORY_LIMIT_MI") < list(env).index("GOMEMLIMIT"), (
        "or it isn't expanded"
    )


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
        a["automountServiceAccountToken"] is False
        for a in of_kind(objects, "ServiceAccount").values()
    )
    assert all(made["spec"]["automountServiceAccountToken"] is False for _, made in pods(objects))
    holders = {owner for owner, made in pods(objects) if "serviceAccountToken" in json.dumps(made)}
    assert holders == {
        *("vision-node-api", "vision-node-operator", "worker-metadata"),
        "vision-node-storage-credentials",
    }


@every_value_set
def test_two_renders_are_equal(name: str) -> None:
    """Otherwise tools that compare renders, such as Argo CD and Flux, would see differences forever."""
    renders = {run("template", "vision-node", CHART, values=VALUES[name]).stdout for _ in range(2)}
    assert len(renders) == 1


@every_value_set
def test_no_credential_is_rendered(name: str) -> None:
    """Manifests may end up in a repository, and the person who renders may not be allowed to read Secrets."""
    assert not of_kind(rendered(name), "Secret")


def test_nothing_rendered_depends_on_the_cluster() -> None:
    """`helm template` has no cluster, so lookups would render different objects from the same values."""
    for path in Path(CHART, "templates").iterdir():
        assert not re.search(
            r"\b(lookup|rand[A-Z]\w+|gen[A-Z]\w+|now|uuidv4|\.Capabilities)\b", path.read_text()
        ), path


def test_the_bundled_stores_credentials_are_made_before_anything_needs_them() -> None:
    objects = rendered("default")
    name = "vision-node-storage-credentials"
    weights = {}

    for kind in ("ServiceAccount", "Role", "RoleBinding", "Job"):
        notes = of_kind(objects, kind)[name]["metadata"]["annotations"]
        assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        weights[kind] = int(notes["helm.sh/hook-weight"])

    assert weights.pop("Job") > max(weights.values())
    create, named = of_kind(objects, "Role")[name]["rules"]
    assert (create["resources"], create["verbs"]) == (["secrets"], ["create"])
    assert named["resourceNames"] == ["vision-node-storage"]
    (container,) = containers(pod(objects, name))
    assert {"name": "STORAGE_SECRET", "value": "vision-node-storage"} in container["env"]
    for other in ("external-s3", "keyless-s3", "bundled-store-with-my-own-keys-and-claim"):
        assert name not in json.dumps(rendered(other))


def test_the_credentials_job_gets_through_its_network_policy() -> None:
    """During an upgrade the release's policies exist before the Job; its own is created with it."""
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


def test_a_changed_setup_is_another_job() -> None:
    """A Job's pod template is immutable: with the same name, an upgrade by `kubectl apply` would fail."""
    jobs = [storage_setup({}), storage_setup({"images": {"operator": "mine:2"}})]
    assert jobs[0]["spec"] != jobs[1]["spec"]
    assert jobs[0]["metadata"]["name"] != jobs[1]["metadata"]["name"]
    assert storage_setup({}) == jobs[0]


def test_the_bundled_store_takes_credentials_and_a_volume_of_ones_own() -> None:
    objects = rendered("bundled-store-with-my-own-keys-and-claim")
    assert "vision-node-storage" not in {
        variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
        for _, made in pods(objects)
        for container in containers(made)
        for variable in container.get("env", [])
    }
    assert storage_keys(pod(objects, "vision-node-minio")) == {"root-access-key", "root-secret-key"}
    store = of_kind(objects, "StatefulSet")["vision-node-minio"]["spec"]
    assert "volumeClaimTemplates" not in store
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "my-claim"}} in store[
        "template"
    ]["spec"]["volumes"]


def storage_keys(made: Object) -> set[str]:
    """Return the keys of the storage Secret that a pod's environment reads."""
    refs = [
        e.get("valueFrom", {}).get("secretKeyRef")
        for c in containers(made)
        for e in c.get("env", [])
    ]
    return {ref["key"] for ref in refs if ref}


@pytest.mark.parametrize("name", ["default", "external-s3"])
def test_each_component_has_its_own_storage_user_only(name: str) -> None:
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


def test_a_storage_of_ones_own_replaces_all_of_minio() -> None:
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


def test_providers_credentials_go_to_workers_only() -> None:
    objects = rendered("provider")
    (worker,) = containers(pod(objects, "worker-metadata"))
    assert worker["envFrom"] == [{"secretRef": {"name": "my-provider", "optional": False}}]
    assert [owner for owner, made in pods(objects) if "my-provider" in json.dumps(made)] == [
        "worker-metadata"
    ]
    assert "envFrom" not in json.dumps(dict(pods(rendered("default"))))


TALKERS = ("vision-node-api", "vision-node-operator", "worker-metadata")
"""Pods that reach the S3 service; workers also reach providers."""


def test_all_trust_the_same_authorities_and_take_the_same_proxy() -> None:
    objects = rendered("private-network")
    for name in TALKERS:
        made = pod(objects, name)
        (container,) = containers(made)
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
        (volume,) = [v for v in made["spec"]["volumes"] if v["name"] == "ca-bundle"]
        items = [{"key": "bundle.pem", "path": "ca.crt"}]
        assert volume["configMap"] == {"name": "my-authorities", "items": items}
        mount = {"name": "ca-bundle", "mountPath": "/etc/vision-node/ca", "readOnly": True}
        assert mount in container["volumeMounts"]

    policy = of_kind(objects, "NetworkPolicy")["vision-node-worker"]["spec"]["egress"]
    assert policy[-1] == {
        "to": [{"ipBlock": {"cidr": cidr}} for cidr in ("10.0.0.0/8", "fd00::/8")]
    }


def test_ports_of_the_api_server_and_of_dns_are_values() -> None:
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
def test_network_policies_let_the_proxy_be_reached(url: str, port: int) -> None:
    objects = template({"networkPolicies": {"enabled": True}, "proxy": {"url": url}})
    for component in ("api", "operator"):
        policy = of_kind(objects, "NetworkPolicy")[f"vision-node-{component}"]
        assert {"ports": [{"port": port}]} in policy["spec"]["egress"]


def test_a_service_account_can_stand_for_the_keys() -> None:
    objects = rendered("keyless-s3")
    accounts = of_kind(objects, "ServiceAccount")
    for name, account in zip(TALKERS, ("api", "operator", "worker"), strict=True):
        notes = accounts[f"vision-node-{account}"]["metadata"]["annotations"]
        assert notes["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::111122223333:role/")
        made = pod(objects, name)
        assert storage_keys(made) == set()
        assert {"name": "S3_KEYLESS", "value": "true"} in containers(made)[0]["env"]
        policy = of_kind(objects, "NetworkPolicy")[f"vision-node-{account}"]
        agent = {"ipBlock": {"cidr": "169.254.170.23/32"}}
        assert any(agent in rule.get("to", []) for rule in policy["spec"]["egress"])


def test_numbers_of_users_and_groups_can_be_left_out() -> None:
    for owner, made in pods(rendered("openshift")):
        assert (
            not {"runAsUser", "runAsGroup", "fsGroup"} & made["spec"]["securityContext"].keys()
        ), owner
        for container in containers(made):
            assert "runAsUser" not in container["securityContext"], owner

    large = {"podSecurityContext": {"runAsUser": 1000650000, "fsGroup": 1000650000}}
    security = pod(template(large), "vision-node-api")["spec"]["securityContext"]
    assert (security["runAsUser"], security["fsGroup"]) == (1000650000, 1000650000)


def test_every_pod_can_be_given_limits_of_cpu() -> None:
    """A quota for CPU limits refuses pods without one."""
    for owner, made in pods(rendered("cpu-quota")):
        for container in containers(made):
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys(), owner
    setup: Any = {"minio": {"setup": {"resources": {"limits": {"cpu": "250m"}}}}}
    for name, made in pods(template(setup)):
        if "storage-" in name:
            assert containers(made)[0]["resources"]["limits"]["cpu"] == "250m"


@pytest.mark.parametrize("name", ["vision-node-minio", *TALKERS])
def test_pods_have_what_users_add(name: str) -> None:
    objects = rendered("extras")
    made = pod(objects, name)
    (container,) = containers(made)
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), "server-side apply refuses a name that is there twice"
    region = "MINIO_REGION" if name == "vision-node-minio" else "S3_REGION"
    assert {"name": region, "value": "eu-central-1"} in container["env"]
    assert {"name": "TZ", "value": "Europe/Vienna"} in container["env"]
    assert {"name": "more", "configMap": {"name": "more"}} in made["spec"]["volumes"]
    assert {"name": "more", "mountPath": "/more", "readOnly": True} in container["volumeMounts"]
    labels = made["metadata"]["labels"]
    assert labels["example.com/team"] == "vision"
    assert labels.get("app.kubernetes.io/component") != "mine", "selectors rely on it"
    account = made["spec"]["serviceAccountName"]
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
def test_describers_depend_on_values_alone(
    values: Any, described_by: set[str], default: str
) -> None:
    objects = template(values)
    data = of_kind(objects, "ConfigMap")["vision-node-describers"]["data"]
    specs = json.loads(data["describers.json"])
    assert specs.keys() == described_by
    assert not [name for name, spec in specs.items() if "enabled" in spec]
    api = pod(objects, "vision-node-api")["spec"]["containers"][0]
    assert {"name": "DEFAULT_DESCRIBER", "value": default} in api["env"]


def test_a_new_revision_of_the_providers_secret_replaces_workers() -> None:
    def worker(values: Any) -> Object:
        return pod(template({"providerSecret": "keys", **values}), "worker-metadata")

    first, second = worker({"providerSecretRevision": "1"}), worker({"providerSecretRevision": "2"})
    assert first != second
    assert worker({"providerSecretRevision": 1}) == first
    assert worker({}) not in (first, second)


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
    made = pod(objects, "worker-metadata")
    assert made["metadata"]["annotations"] == {"example.com/team": "vision"}
    assert made["spec"]["nodeSelector"] == {"disk": "ssd"}
    (worker,) = containers(made)
    assert worker["resources"]["limits"] == {"memory": "2Gi"}
    assert {"name": "CONCURRENCY", "value": "8"} in worker["env"]
    (gpt,) = containers(pod(objects, "worker-gpt"))
    assert gpt["image"] == "registry.example.com/describer:1"


DESCRIBER = yaml.safe_load(Path("crds/describers.vision-node.dev.yaml").read_text())
SPEC = DESCRIBER["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
    "properties"
]


def test_the_values_and_the_crd_have_the_same_fields_and_defaults() -> None:
    values = yaml.safe_load(Path(CHART, "values.yaml").read_text())["describers"]["metadata"]
    placed = {"podAnnotations", "nodeSelector", "tolerations", "affinity"}
    assert values.keys() - {"pod", "enabled"} == SPEC.keys() - placed
    for name, value in values.items():
        if name not in {"pod", "enabled"} and value:
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
        # A copy (`make format`): Helm reads nothing outside a chart, and speaks of links at every
        # install.
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


def test_an_imagejob_needs_a_release_in_its_namespace() -> None:
    objects = rendered("default")
    name = "imagejobs-need-a-vision-node-release-in-their-namespace"
    policy, binding = (of_kind(objects, kind)[name] for kind in POLICIES)
    assert policy["spec"]["paramKind"] == {"apiVersion": "v1", "kind": "ConfigMap"}
    assert binding["spec"]["paramRef"] == {
        "name": "vision-node-release",
        "parameterNotFoundAction": "Deny",
    }

    for made in (policy, binding):
        assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}, (
            "as long as the CRDs"
        )

    for values in ("default", "second-release"):
        assert "vision-node-release" in of_kind(rendered(values), "ConfigMap")

    assert name not in of_kind(template({"crds": {"install": False}}), POLICIES[0])


def test_policies_hold_for_their_namespace_only() -> None:
    for name, policy in of_kind(template(namespace="mine"), POLICIES[0]).items():
        if not name.startswith("mine."):
            continue
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
            assert labels.keys() == {
                f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")
            }
            assert labels.items() <= made["spec"]["template"]["metadata"]["labels"].items()


@every_value_set
def test_every_object_has_the_recommended_labels(name: str) -> None:
    wanted = {"name", "instance", "component", "version", "managed-by", "part-of"}
    for made in rendered(name):
        labels = made["metadata"]["labels"]
        assert {f"app.kubernetes.io/{key}" for key in wanted} <= labels.keys(), made["metadata"][
            "name"
        ]


def test_the_longest_names_fit() -> None:
    values: Any = {
        "networkPolicies": {"enabled": True},
        "api": {"replicas": 2, "ingress": {"enabled": True}},
    }
    objects = template(values, release=LONG_RELEASE, namespace=LONG_NAMESPACE)

    for made in objects:
        limit = 253 if made["kind"] in {*POLICIES, "CustomResourceDefinition"} else 63
        assert len(made["metadata"]["name"]) <= limit

    strings = re.findall(r'"app.kubernetes.io/[a-z-]+": "([^"]*)"', json.dumps(objects))
    assert max(map(len, strings)) <= 63
    # What others add: Kubernetes a StatefulSet's revision, the operator a Job's describer and
    # number.
    assert len(f"{next(iter(of_kind(objects, 'StatefulSet')))}-0123456789") <= 63
    prefix = {
        e["name"]: e for e in containers(pod(objects, f"{LONG_RELEASE[:36]}-operator"))[0]["env"]
    }
    assert len(f"{prefix['JOB_PREFIX']['value']}-{'d' * 22}-999") <= 63


def test_lint_is_clean() -> None:
    done = run("lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout
    assert not re.search(r"\[(INFO|WARNING|ERROR)\]", done.stdout), done.stdout


@pytest.mark.skipif(not find("helm3"), reason="no helm3: `python3 -m cluster tool helm3` gets it")
@every_value_set
def test_helm_3_makes_the_same(name: str) -> None:
    def comparable(objects: list[Object]) -> list[str]:
        return sorted(json.dumps(o, sort_keys=True) for o in objects)

    assert comparable(template(VALUES[name], program="helm3")) == comparable(rendered(name))
