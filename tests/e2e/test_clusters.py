"""Tests with OpenShift's policies, quotas, a private certificate authority and an old release."""

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from conftest import Kubectl, wait_for
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm
from sweeps import sweep
from vision_node_contract.json_types import Json

__all__ = ["helm"]  # pytest looks up the fixture in this module

OLD_CHART = Path("tests/e2e/data/chart-9e9dc05.tgz")
"""Chart of an older revision. A test installs it and then upgrades to the current chart."""

UID = 1_000_650_000
"""A user ID like those that OpenShift assigns to namespaces."""

SECURITY = "object.spec.?securityContext"


def policy(kind: str, name: str, namespace: str, rules: Json) -> list[Json]:
    """Return an admission policy for new pods in a namespace, and the policy's binding."""
    api, meta = "admissionregistration.k8s.io/v1", {"name": f"{namespace}-{name}"}
    match = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "resources": ["pods"],
                "operations": ["CREATE"],
            }
        ],
    }

    binding = {"policyName": meta["name"]}
    if kind.startswith("Validating"):
        binding["validationActions"] = ["Deny"]  # type: ignore[assignment]

    return [
        {
            "apiVersion": api,
            "kind": kind,
            "metadata": meta,
            "spec": {"matchConstraints": match, **rules},
        },
        {"apiVersion": api, "kind": f"{kind}Binding", "metadata": meta, "spec": binding},
    ]


def openshift(namespace: str) -> list[Json]:
    """Return policies like OpenShift's restricted-v2, which allows only the namespace's user ID."""
    numbers = f"{{runAsUser: {UID}, fsGroup: {UID}}}"
    assigned = (
        f"Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{numbers}}}}}"
    )
    mutation = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConditions": [{"name": "unset", "expression": f"!{SECURITY}.?runAsUser.hasValue()"}],
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": assigned}},
        ],
    }

    own = f"c.?securityContext.?runAsUser.orValue({UID}) == {UID}"
    expressions = [
        *(f"{SECURITY}.?{field}.orValue({UID}) == {UID}" for field in ("runAsUser", "fsGroup")),
        f"object.spec.containers.all(c, {own})",
    ]
    message = "unable to validate against any security context constraint"
    validation = {"validations": [{"expression": each, "message": message} for each in expressions]}

    return [
        *policy("MutatingAdmissionPolicy", "sets-user-id", namespace, mutation),
        *policy("ValidatingAdmissionPolicy", "refuses-other-user-ids", namespace, validation),
    ]


QUOTA: Json = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "team"},
    "spec": {
        "hard": {
            "requests.cpu": "8",
            "limits.cpu": "16",
            "requests.memory": "8Gi",
            "limits.memory": "16Gi",
        },
    },
}
BOUNDS: Json = {
    "type": "Container",
    "max": {"cpu": "2", "memory": "2Gi"},
    "min": {"cpu": "10m", "memory": "16Mi"},
}
LIMIT_RANGE: Json = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "team"},
    "spec": {"limits": [BOUNDS]},
}
"""Bounds without defaults, so that each pod must set its own requests and limits."""

WITH_CPU_LIMITS: Json = {
    "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    "describers": {
        name: {"resources": {"limits": {"cpu": "1"}}} for name in ("local", "metadata", "ocr")
    },
    **{
        name: {"resources": {"limits": {"cpu": "1"}}}
        for name in ("api", "operator", "archiver", "minio", "postgres")
    },
}


@pytest.fixture(scope="module")
def strict(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster) -> Iterator[ExtraRelease]:
    """Install a release in a namespace with OpenShift's restrictions and resource quotas."""
    with extra_release("strict-test", helm, kubectl, kind_cluster) as extra:
        policies = openshift(extra.namespace)

        try:
            extra.apply(*policies, QUOTA, LIMIT_RANGE)
            wait_for(lambda: are_policies_in_effect(extra), bool)
            extra.install(WITH_CPU_LIMITS)
            yield extra
        finally:
            for each in policies:
                extra.kubectl("delete", each["kind"].lower(), each["metadata"]["name"])


def are_policies_in_effect(extra: ExtraRelease) -> bool:
    """Return whether the API server already enforces the policies."""
    security = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    numbers = {"cpu": "100m", "memory": "32Mi"}
    container = {
        "name": "probe",
        "image": "none",
        "securityContext": restricted,
        "resources": {"requests": numbers, "limits": numbers},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"securityContext": security, "containers": [container]},
    }

    try:
        extra.kubectl(
            "create", "--dry-run=server", "-f", "-", input=json.dumps(pod), stderr=subprocess.STDOUT
        )
    except subprocess.CalledProcessError as error:
        return "security context constraint" in str(error.output)

    return False


def test_release_works_on_openshift_with_quotas(strict: ExtraRelease) -> None:
    assert "64x48 pixels" in strict.run_helm_test()
    pods = strict.pods()
    assert {pod["spec"]["securityContext"].get("runAsUser") for pod in pods} == {UID}
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    bundled = {"minio", "postgres", "storage-setup"}
    assert {"api", "operator", "archiver", "worker"} | bundled <= components


def test_volume_is_enlarged_without_restarting_the_store(strict: ExtraRelease) -> None:
    """Replace only the StatefulSet, because its volume claim templates are immutable.

    The steps are the same as in docs/clusters.md.
    """
    store = f"{strict.prefix}-minio"
    uid = ("get", "pod", f"{store}-0", "-o", "jsonpath={.metadata.uid}")
    before = strict.kubectl(*uid)

    strict.kubectl("delete", "statefulset", store, "--cascade=orphan")
    minio = {**WITH_CPU_LIMITS["minio"], "persistence": {"size": "20Gi"}}
    strict.install({**WITH_CPU_LIMITS, "minio": minio})

    template = "jsonpath={.spec.volumeClaimTemplates[0].spec.resources.requests.storage}"
    assert strict.kubectl("get", "statefulset", store, "-o", template) == "20Gi"
    assert strict.kubectl(*uid) == before
    assert "64x48 pixels" in strict.run_helm_test()


S3 = "own-s3"
BUCKET = "pictures"

USERS = ("root", "api", "operator", "archiver", "describer")

RESTRICTED: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def key(name: str) -> Json:
    """Return the source of an environment variable: a key of the Secret with S3 credentials."""
    return {"valueFrom": {"secretKeyRef": {"name": "my-keys", "key": name}}}


def secret(name: str, data: dict[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def pod(name: str, container: Json) -> Json:
    """Return a pod with volumes for data, the certificate and the certificate authority."""
    volumes = [
        {"name": "data", "emptyDir": {}},
        {"name": "certs", "secret": {"secretName": "my-certificate"}},
        {"name": "ca", "configMap": {"name": "my-authorities"}},
    ]
    spec = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": False,
        "volumes": volumes,
        "restartPolicy": "OnFailure",
        "containers": [container],
    }

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }


def s3_server(image: str) -> Json:
    """Return a container that runs MinIO with TLS."""
    return {
        "name": "minio",
        "image": image,
        "args": ["server", "/data", "--address", ":9000", "--certs-dir", "/certs"],
        "env": [
            {"name": "HOME", "value": "/data"},
            {"name": "MINIO_ROOT_USER", **key("root-access-key")},
            {"name": "MINIO_ROOT_PASSWORD", **key("root-secret-key")},
        ],
        "securityContext": RESTRICTED,
        "readinessProbe": {"tcpSocket": {"port": 9000}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "certs", "mountPath": "/certs"},
        ],
    }


def s3_setup(image: str, host: str) -> Json:
    """Return a container that creates the bucket and its users."""
    return {
        "name": "setup",
        "image": image,
        "command": ["python", "-m", "vision_node_operator.storage_setup"],
        "env": [
            {"name": "S3_ENDPOINT", "value": f"{host}:9000"},
            {"name": "S3_BUCKET", "value": BUCKET},
            {"name": "S3_SECURE", "value": "true"},
            {"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"},
            {"name": "S3_ACCESS_KEY", **key("root-access-key")},
            {"name": "S3_SECRET_KEY", **key("root-secret-key")},
            *(
                {"name": f"{user}-{kind}".upper().replace("-", "_"), **key(f"{user}-{kind}")}
                for user in USERS[1:]
                for kind in ("access-key", "secret-key")
            ),
        ],
        "securityContext": RESTRICTED,
        "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    }


def own_s3(extra: ExtraRelease, images: Json, authority: trustme.CA) -> list[Json]:
    """Return the manifests of an S3 service with a certificate from a private authority."""
    host = f"{S3}.{extra.namespace}.svc"
    issued = authority.issue_cert(host)
    chain = "".join(pem.bytes().decode() for pem in issued.cert_chain_pems)
    files = {"public.crt": chain, "private.key": issued.private_key_pem.bytes().decode()}
    keys = {f"{user}-access-key": f"my-{user}" for user in USERS}
    keys |= {f"{user}-secret-key": secrets.token_urlsafe(24) for user in USERS}

    return [
        secret("my-keys", keys),
        secret("my-certificate", files),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "my-authorities"},
            "data": {"ca.crt": authority.cert_pem.bytes().decode()},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": S3},
            "spec": {"selector": {"app": S3}, "ports": [{"port": 9000}]},
        },
        pod(S3, s3_server(images["minio"])),
        pod("own-setup", s3_setup(images["operator"], host)),
    ]


def test_external_s3_service_with_a_private_authority_works(
    helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster
) -> None:
    with extra_release("own-s3-test", helm, kubectl, kind_cluster) as extra:
        extra.apply(*own_s3(extra, extra.base["images"], trustme.CA()))
        extra.kubectl(
            "wait", "pod/own-setup", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s"
        )

        storage = {
            "endpoint": f"{S3}.{extra.namespace}.svc:9000",
            "bucket": BUCKET,
            "existingSecret": "my-keys",
        }
        extra.install(
            {"storage": storage, "caBundle": {"configMap": "my-authorities", "key": "ca.crt"}}
        )

        assert "64x48 pixels" in extra.run_helm_test()
        assert not any("minio" in pod["metadata"]["name"] for pod in extra.pods())


def keys_of(extra: ExtraRelease) -> dict[str, str]:
    """Return the credentials of the bundled store."""
    found = extra.secret(f"{extra.prefix}-storage")
    return {key: base64.b64decode(value).decode() for key, value in found.items()}


def release_marker(extra: ExtraRelease) -> Json:
    """Return the ConfigMap that an older release needs before the CRDs are upgraded.

    See docs/clusters.md.
    """
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    notes = {
        "meta.helm.sh/release-name": extra.release,
        "meta.helm.sh/release-namespace": extra.namespace,
    }
    metadata = {"name": "vision-node-release", "labels": labels, "annotations": notes}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


SUBMIT = """
import base64, sys, urllib.request
image = base64.b64decode(sys.stdin.read())
headers = {"Content-Type": "image/jpeg"}
request = urllib.request.Request("http://127.0.0.1:8000/submit", image, headers)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


def submit_inside(extra: ExtraRelease, photo: Path) -> str:
    """Submit a photograph from inside the API's pod, and return the ID of the job."""
    command = ("exec", "-i", f"deploy/{extra.prefix}-api", "--", "python", "-c", SUBMIT)
    answer = extra.kubectl(*command, input=base64.b64encode(photo.read_bytes()).decode())
    return str(json.loads(answer)["job_id"])


def describers(extra: ExtraRelease) -> set[str]:
    """Return the names of the Describers."""
    names = "jsonpath={.items[*].metadata.name}"
    return set(extra.kubectl("get", "describers", "-o", names).split())


IS_STORED = """
import asyncio, sys
from vision_node_contract.clients.bucket import *
async def main():
    async with Bucket.open(BucketSettings.from_env()) as bucket:
        await bucket.stat(sys.argv[1])
try:
    asyncio.run(main())
except ObjectNotFoundError:
    print("gone")
"""


def is_stored(extra: ExtraRelease, key: str) -> bool:
    """Return whether the bucket has an object with this key."""
    command = ("exec", f"deploy/{extra.prefix}-api", "--", "python", "-c", IS_STORED, key)
    return extra.kubectl(*command).strip() != "gone"


def image_key(extra: ExtraRelease, job: str) -> str:
    """Return the key of an ImageJob's image, which is in the folder of older releases."""
    key = extra.kubectl("get", "imagejob", job, "-o", "jsonpath={.spec.image.key}")
    assert key.count("/") == 1
    return key


def imagejobs(extra: ExtraRelease) -> dict[str, Json]:
    """Return the UID and the status of each ImageJob by name."""
    listed = json.loads(extra.kubectl("get", "imagejobs", "-o", "json"))["items"]
    return {
        job["metadata"]["name"]: {"uid": job["metadata"]["uid"], **job["status"]} for job in listed
    }


def test_upgrade_from_an_old_chart_keeps_jobs_images_and_credentials(
    helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster, photo: Path
) -> None:
    with extra_release("upgrade-test", helm, kubectl, kind_cluster) as extra:
        extra.apply(release_marker(extra))
        extra.install(chart=OLD_CHART)
        assert "64x48 pixels" in extra.run_helm_test()
        done, keys = imagejobs(extra), keys_of(extra)

        extra.kubectl("scale", f"deployment/{extra.prefix}-operator", "--replicas=0")
        extra.kubectl("wait", "pod", "-l", "app.kubernetes.io/component=operator", "--for=delete")
        queued = submit_inside(extra, photo)

        extra.upgrade()

        # The upgrade adds the keys of users that the old chart did not have.
        assert keys.items() <= keys_of(extra).items()
        wait_for(lambda: describers(extra), lambda names: names == {"local", "metadata", "ocr"})
        extra.kubectl("wait", f"imagejob/{queued}", "--for=condition=Complete", "--timeout=60s")
        after = imagejobs(extra)
        assert after.pop(queued)["phase"] == "done"
        assert after == done

        # The old objects are kept until their ImageJobs are deleted, because no sweep lists them.
        assert sweep(extra.kubectl, extra.prefix) == "swept"
        (old,) = done
        images = {name: image_key(extra, name) for name in (old, queued)}
        assert all(is_stored(extra, key) for key in images.values())
        extra.kubectl("delete", "imagejob", old)
        wait_for(lambda: is_stored(extra, images[old]), lambda found: not found)
        assert is_stored(extra, images[queued])


PLURALS = {"ImageJob": "imagejobs", "ImageBatch": "imagebatches"}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [("ImageJob", {"image": {"key": "inbox/x"}}), ("ImageBatch", {"prefix": "inbox/x/"})],
)
def test_object_in_a_namespace_without_a_release_is_refused(
    kubectl: Kubectl, refused: Any, kind: str, spec: Json
) -> None:
    manifest = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "lost"},
        "spec": spec,
    }
    said = refused("create", "--namespace", "default", "-f", "-", input=json.dumps(manifest))
    plural = PLURALS[kind]
    assert f"{plural}-need-a-vision-node-release-in-their-namespace" in said
    kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(manifest))


CONNECT = """
import socket, sys
for address in sys.argv[1:]:
    host, _, port = address.partition(":")
    socket.create_connection((host, int(port)), timeout=2).close()
"""


def is_reachable(kubectl: Kubectl, *addresses: str) -> bool:
    """Return whether a pod can connect to all addresses."""
    command = ("exec", "deploy/vision-node-api", "--", "python", "-c", CONNECT, *addresses)
    try:
        kubectl(*command, stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError:
        return False

    return True


@pytest.mark.parametrize("time", ["first", "second"])
def test_services_are_reachable_after_kube_proxy_wrote_all_rules_again(
    kubectl: Kubectl, time: str
) -> None:
    """kube-proxy does that when it starts and once an hour, each time after it has read the rules.

    A new Service shows that it has finished.
    """
    in_system = ("--namespace", "kube-system")
    kubectl("delete", "pod", *in_system, "-l", "k8s-app=kube-proxy")
    kubectl("rollout", "status", *in_system, "daemonset/kube-proxy", "--timeout=60s")

    name = f"probe-{time}"
    labels = {"app.kubernetes.io/name": "vision-node", "app.kubernetes.io/component": "api"}
    spec = {"selector": labels, "ports": [{"port": 80, "targetPort": 8000}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    kubectl("create", "-f", "-", input=json.dumps(service))
    try:
        wait_for(lambda: is_reachable(kubectl, f"{name}:80"), bool)
        assert is_reachable(kubectl, "kubernetes.default:443", "vision-node-minio:9000")
    finally:
        kubectl("delete", "service", name)
