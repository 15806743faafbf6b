"""Tests of the chart: upgrades, uninstallation, reinstallation, and the permissions of workers."""

import base64
import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import releases
from conftest import NAMESPACE, Kubectl, wait_for
from pytest_kind import KindCluster
from releases import CHART, RELEASE, ExtraRelease, Helm, helm
from vision_node_contract.json_types import Json

__all__ = ["helm"]  # pytest looks up the fixture in this module

OTHER_NAMESPACE = "chart-test"
BUILT_IN = ("local", "metadata", "ocr")


@pytest.fixture(scope="module")
def extra(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster) -> Iterator[ExtraRelease]:
    """Yield a second release, not yet installed, that uses the CRDs and images of the first."""
    with releases.extra_release(OTHER_NAMESPACE, helm, kubectl, kind_cluster) as made:
        yield made


@pytest.fixture(scope="module")
def other_kubectl(extra: ExtraRelease) -> Kubectl:
    """Return a function that runs kubectl in the namespace of the second release."""
    return extra.kubectl


@pytest.fixture(scope="module")
def other(extra: ExtraRelease) -> str:
    """Install the second release, and return the prefix of its objects' names."""
    extra.install()
    return extra.prefix


def stored_keys(kubectl: Kubectl, name: str) -> Json:
    """Return the generated credentials of the store, encoded in base64."""
    secret: Json = json.loads(kubectl("get", "secret", f"{name}-storage", "-o", "json"))
    keys: Json = secret["data"]
    return keys


def test_every_pod_passes_pod_security_restricted(kubectl: Kubectl) -> None:
    """The namespace enforces the standard, so a pod that violates it would not exist."""
    labels = json.loads(kubectl("get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.labels}"))
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert {"api", "operator", "archiver", "minio", "postgres"} <= components


def test_helm_lists_the_release(helm: Helm) -> None:
    (release,) = json.loads(helm("list", "-n", NAMESPACE, "-o", "json").partition("\n")[0])
    assert (release["name"], release["status"]) == (RELEASE, "deployed")


def test_helm_test_describes_an_image(helm: Helm) -> None:
    said = helm("test", RELEASE, "-n", NAMESPACE)
    assert "Succeeded" in said
    assert "Image Description:" in said
    assert "64x48 pixels" in said


def test_credentials_survive_an_upgrade(
    helm: Helm,
    kubectl: Kubectl,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    before = stored_keys(kubectl, RELEASE)

    wait = ("--wait", "--wait-for-jobs", "--timeout", "120s")
    helm("upgrade", RELEASE, CHART, "-n", NAMESPACE, "--reuse-values", *wait)

    assert stored_keys(kubectl, RELEASE) == before
    assert ended(submit(photo.read_bytes()))["status"] == "done"


def test_kubectl_users_cannot_use_uploads(refused: Callable[..., str]) -> None:
    """Even an administrator can't use them, because only the API knows who owns an upload."""
    said = refused("create", "-f", "-", input=imagejob_manifest("nosy", "images/of-another-user"))
    assert "spec.image.key must be under inbox/" in said


def imagejob_manifest(name: str, key: str) -> str:
    return json.dumps(
        {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": name},
            "spec": {"image": {"key": key}},
        }
    )


def test_upgrade_updates_describers_of_the_chart_and_keeps_others(
    extra: ExtraRelease, other: str
) -> None:
    mine = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": "mine"},
    }
    extra.apply({**mine, "spec": {"provider": "metadata"}})

    def describers() -> set[str]:
        path = "jsonpath={.items[*].metadata.name}"
        return set(extra.kubectl("get", "describers", "-o", path).split())

    def default() -> str:
        path = 'jsonpath={..env[?(@.name=="DEFAULT_DESCRIBER")].value}'
        return extra.kubectl("get", "deployments", "-o", path)

    extra.kubectl(
        "create", "secret", "generic", "keys", "--from-literal=OPENAI_API_KEY=sk-0123456789"
    )
    additional = {"further": {"provider": "metadata"}, "openai": {"enabled": True}}
    extra.install({"describers": additional, "providerSecret": "keys"})
    wait_for(describers, lambda names: names == {*BUILT_IN, "openai", "further", "mine"})
    assert default() == "openai"

    extra.install()
    wait_for(describers, lambda names: names == {*BUILT_IN, "mine"})
    assert default() == "local"

    extra.kubectl("delete", "secret", "keys")
    extra.kubectl("delete", "describer", "mine")


OWNED_BY_KUBERNETES = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
KINDS = (
    "all,describers,cm,secret,pvc,sa,role,rolebinding,lease,endpointslice,networkpolicy,ingress,pdb"
)


def test_uninstall_keeps_data_and_reinstall_uses_it(
    helm: Helm, extra: ExtraRelease, other_kubectl: Kubectl, other: str
) -> None:
    """The images (in a volume), credentials, identity and ImageJobs are kept, and nothing else."""
    assert "Succeeded" in extra.run_helm_test()
    assert other_kubectl("get", "jobs", "-l", "app.kubernetes.io/component=worker", "-o", "name")
    (described,) = other_kubectl("get", "imagejobs", "-o", "name").split()
    keys = stored_keys(other_kubectl, other)

    helm("uninstall", extra.release, "-n", OTHER_NAMESPACE)
    wait_for(
        lambda: set(other_kubectl("get", KINDS, "-o", "name").split()) - OWNED_BY_KUBERNETES,
        lambda left: (
            left
            == {
                f"configmap/{other}-identity",
                f"secret/{other}-storage",
                f"secret/{other}-database",
                f"secret/{other}-webhooks",
                f"persistentvolumeclaim/data-{other}-minio-0",
                f"persistentvolumeclaim/data-{other}-postgres-0",
            }
        ),
    )
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    assert f"{OTHER_NAMESPACE}." not in other_kubectl("get", policies, "-o", "name")
    crds = other_kubectl("get", "crds", "-o", "name")
    assert {f"{name}.vision-node.dev" for name in ("describers", "imagejobs", "imagebatches")} <= {
        line.rpartition("/")[2] for line in crds.split()
    }

    extra.install()
    assert stored_keys(other_kubectl, other) == keys
    assert "Succeeded" in extra.run_helm_test()
    assert described in other_kubectl("get", "imagejobs", "-o", "name")


class Workers:
    """Sends requests to the API server with workers' tokens."""

    def __init__(self, kubectl: Kubectl, http: httpx.Client, account: str) -> None:
        self._kubectl = kubectl
        self._http = http
        self._account = account

    def create_pod(self, name: str) -> None:
        """Create a pod with the workers' service account.

        The pod never runs, but tokens can be bound to it.
        """
        restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec = {
            "serviceAccountName": self._account,
            "schedulingGates": [{"name": "example.com/never"}],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "worker", "image": "none", "securityContext": restricted}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self._kubectl("create", "-f", "-", input=json.dumps(pod))

    def assign(self, job: str, worker: str) -> None:
        """Assign an ImageJob to a worker, as the operator does."""
        status = {
            "phase": "processing",
            "worker": worker,
            "attempts": 1,
            "attemptDeadline": "2100-01-01T00:00:00Z",
            "startTime": "2026-01-01T00:00:00Z",
        }
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        self._kubectl("patch", "imagejob", job, *patch)

    def token(self, pod: str | None) -> str:
        """Create a token of the workers' service account. Bind it to the pod, if one is given."""
        bound = ("--bound-object-kind", "Pod", "--bound-object-name", pod) if pod else ()
        return self._kubectl("create", "token", self._account, *bound).strip()

    def write(self, job: str, status: Json, *, pod: str | None) -> tuple[int, str]:
        """Patch the status of an ImageJob, and return the HTTP status and the message.

        The token is bound to the pod, or to no pod if `pod` is None.
        """
        path = f"/apis/vision-node.dev/v1alpha1/namespaces/{OTHER_NAMESPACE}/imagejobs/{job}/status"
        headers = {
            "Authorization": f"Bearer {self.token(pod)}",
            "Content-Type": "application/merge-patch+json",
        }
        answer = self._http.patch(path, content=json.dumps({"status": status}), headers=headers)
        return answer.status_code, answer.json().get("message", "")

    def lease(self, method: str, name: str, *, pod: str | None) -> int:
        """Create (POST), renew (PATCH) or delete (DELETE) a Lease, and return the HTTP status.

        The token is bound to the pod, or to no pod if `pod` is None. If the name is empty, let the
        API server generate one.
        """
        path = f"/apis/coordination.k8s.io/v1/namespaces/{OTHER_NAMESPACE}/leases"
        metadata = {"name": name} if name else {"generateName": "lease-"}
        body = {"metadata": metadata, "spec": {"holderIdentity": name}}
        merge_patch, plain = "application/merge-patch+json", "application/json"
        headers = {
            "Authorization": f"Bearer {self.token(pod)}",
            "Content-Type": merge_patch if method == "PATCH" else plain,
        }

        url = path if method == "POST" else f"{path}/{name}"
        content = None if method == "DELETE" else json.dumps(body)
        return self._http.request(method, url, content=content, headers=headers).status_code


def test_worker_can_write_only_its_own_lease(workers: Workers) -> None:
    assert workers.lease("POST", "theirs", pod="mine") == 403
    assert workers.lease("POST", "", pod="mine") == 403
    assert workers.lease("POST", "", pod=None) == 403
    assert workers.lease("POST", "mine", pod="mine") == 201
    assert workers.lease("PATCH", "mine", pod="theirs") == 403
    assert workers.lease("DELETE", "mine", pod="theirs") == 403
    assert workers.lease("PATCH", "mine", pod="mine") == 200
    assert workers.lease("DELETE", "mine", pod="mine") == 200


REPORT: Json = {"error": {"reason": "RateLimited", "message": "later", "retryable": True}}
CLEARED: Json = {"attemptDeadline": None, "nextAttemptTime": None, "duration": "1s"}
DONE: Json = {
    **CLEARED,
    "phase": "done",
    "error": None,
    "result": {"describer": "metadata", "summary": "x"},
}
FAILED: Json = {
    **CLEARED,
    "phase": "failed",
    "error": {"reason": "ImageUnreadable", "message": "no image", "retryable": False},
}
CONDITION: Json = {
    "type": "Complete",
    "status": "True",
    "reason": "Described",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def kubernetes(other_kubectl: Kubectl) -> Iterator[httpx.Client]:
    """Yield a client that sends requests with workers' tokens to the API server.

    It does not send kubectl's client certificate.
    """
    config = json.loads(other_kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    trust = ssl.create_default_context(cadata=authority)
    with httpx.Client(base_url=cluster["server"], verify=trust, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def workers(other_kubectl: Kubectl, kubernetes: httpx.Client, other: str) -> Workers:
    """Return workers of the second release. Stop its operator, so that only the workers write."""
    other_kubectl("scale", f"deployment/{other}-operator", "--replicas=0")
    pods = ("pod", "-l", "app.kubernetes.io/component=operator")
    other_kubectl("wait", *pods, "--for=delete", "--timeout=60s")

    created = Workers(other_kubectl, kubernetes, f"{other}-worker")
    for name in ("mine", "theirs"):
        created.create_pod(name)

    return created


@pytest.fixture
def assigned(other_kubectl: Kubectl, workers: Workers) -> str:
    """Create an ImageJob, assign it to the pod `mine`, and return its name."""
    name = f"job-{uuid.uuid4().hex}"
    other_kubectl("create", "-f", "-", input=imagejob_manifest(name, "inbox/x"))
    workers.assign(name, "mine")
    return name


@pytest.mark.parametrize("pod", ["theirs", None])
def test_worker_cannot_write_jobs_of_another_worker(
    workers: Workers, assigned: str, pod: str | None
) -> None:
    for status in (REPORT, DONE, FAILED):
        code, said = workers.write(assigned, status, pod=pod)
        assert code == 403, said
        assert "only ImageJobs that are processing and assigned to its own pod" in said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"worker": "theirs"}, "may not change the assignment"),
        ({"attempts": 0}, "may not change the assignment"),
        ({"startTime": None}, "may not change the assignment"),
        ({"losses": 1}, "may not change the assignment"),
        ({"lossesByCause": {"worker": 1}}, "may not change the assignment"),
        ({"suspect": True}, "may not change the assignment"),
        ({**DONE, "worker": None}, "may not change the assignment"),
        ({**FAILED, "attempts": 9}, "may not change the assignment"),
        ({"attemptDeadline": "2200-01-01T00:00:00Z"}, "may not set attemptDeadline"),
        ({"nextAttemptTime": "2200-01-01T00:00:00Z"}, "may not set attemptDeadline"),
        ({"attemptDeadline": None}, "report an error and change nothing else"),
        ({"phase": "queued"}, "report an error and change nothing else"),
        ({"result": DONE["result"]}, "report an error and change nothing else"),
        ({"conditions": [CONDITION]}, "report an error and change nothing else"),
    ],
)
def test_worker_can_change_only_the_outcome(
    workers: Workers, assigned: str, status: Json, words: str
) -> None:
    code, said = workers.write(assigned, status, pod="mine")
    assert (code, words in said) == (403, True), said


@pytest.mark.parametrize("status", [REPORT, DONE, FAILED], ids=["error report", "done", "failed"])
def test_worker_can_commit_its_own_job(workers: Workers, assigned: str, status: Json) -> None:
    assert workers.write(assigned, status, pod="mine") == (200, "")


def test_worker_can_name_only_the_result_of_its_own_attempt(
    workers: Workers, assigned: str, other_kubectl: Kubectl
) -> None:
    uid = other_kubectl("get", "imagejob", assigned, "-o", "jsonpath={.metadata.uid}")

    def commit(key: str) -> tuple[int, str]:
        stored = {"key": key, "sha256": "0" * 64, "sizeBytes": 5000}
        return workers.write(assigned, {**DONE, "result": {**DONE["result"], **stored}}, pod="mine")

    folder = "results/aaaabbbbcccc"
    for key in (
        *(f"results/{uuid.uuid4()}/1", f"{folder}/{uuid.uuid4()}/1"),
        *(f"results/{uid}/2", f"{folder}/{uid}/2", f"{folder}/{uid}/1/2"),
        *(f"results/a/{uid}/1", f"{folder}/{folder}/{uid}/1", "images/another", ""),
    ):
        code, said = commit(key)
        assert (code, "may name only its own attempt's result" in said) == (403, True), said

    assert commit(f"{folder}/{uid}/1") == (200, "")


BATCH_UID = "5f0e8c1a-0000-4000-8000-000000000000"
BATCH_LABEL = "vision-node.dev/batch"


def shard_manifest(name: str) -> str:
    """Return the manifest of a shard of an ImageBatch, which need not exist."""
    images = {
        "batch": "holiday",
        "batchUID": BATCH_UID,
        "manifest": f"batches/aaaabbbbcccc/{BATCH_UID}/m1/",
        "first": 0,
        "count": 5,
    }
    return json.dumps(
        {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": name, "labels": {BATCH_LABEL: BATCH_UID}},
            "spec": {"images": images},
        }
    )


@pytest.fixture
def shard(other_kubectl: Kubectl, workers: Workers, other: str) -> str:
    """Create a shard as the operator, assign it to the pod `mine`, and return its name."""
    name = f"shard-{uuid.uuid4().hex}"
    account = f"system:serviceaccount:{OTHER_NAMESPACE}:{other}-operator"
    other_kubectl("create", "--as", account, "-f", "-", input=shard_manifest(name))
    workers.assign(name, "mine")
    return name


def test_only_the_operator_can_create_shards_and_set_their_label(
    kubectl: Kubectl, refused: Kubectl
) -> None:
    said = refused("create", "-f", "-", input=shard_manifest("forged"))
    assert "only the operator may create shards" in said

    labeled = json.loads(imagejob_manifest("labeled", "inbox/x"))
    labeled["metadata"]["labels"] = {BATCH_LABEL: BATCH_UID}
    said = refused("create", "-f", "-", input=json.dumps(labeled))
    assert "only the operator may set or remove the label" in said

    kubectl("create", "-f", "-", input=imagejob_manifest("unlabeled", "inbox/x"))
    said = refused("label", "imagejob", "unlabeled", f"{BATCH_LABEL}={BATCH_UID}")
    assert "only the operator may set or remove the label" in said
    kubectl("delete", "imagejob", "unlabeled")


def test_worker_can_name_only_the_results_of_its_own_attempt_at_a_shard(
    workers: Workers, shard: str, other_kubectl: Kubectl
) -> None:
    uid = other_kubectl("get", "imagejob", shard, "-o", "jsonpath={.metadata.uid}")

    def commit(key: str) -> tuple[int, str]:
        outcome = {"done": 5, "failed": 0, "key": key, "sha256": "0" * 64, "sizeBytes": 5000}
        return workers.write(shard, {**CLEARED, "phase": "done", "images": outcome}, pod="mine")

    folder = f"batches/aaaabbbbcccc/{BATCH_UID}"
    for key in (
        f"{folder}/results/000000000-{uid}-2",
        f"{folder}/results/000000000-{uuid.uuid4()}-1",
        f"{folder}/index/000000000-{uid}-1",
        f"batches/aaaabbbbcccc/{uuid.uuid4()}/results/000000000-{uid}-1",
    ):
        code, said = commit(key)
        assert (code, "may name only its own attempt's results" in said) == (403, True), said

    assert commit(f"{folder}/results/000000000-{uid}-1") == (200, "")


IMAGES: Json = {"images": {"done": 0, "failed": 0, "rest": "0-4"}}


def test_worker_can_report_only_the_outcome_that_fits_its_job(
    workers: Workers, shard: str, assigned: str
) -> None:
    for job, status in ((shard, DONE), (assigned, {**CLEARED, "phase": "done", **IMAGES})):
        code, said = workers.write(job, status, pod="mine")
        assert (code, "status.images only on a shard" in said) == (403, True), said

    code, said = workers.write(shard, {**REPORT, **IMAGES}, pod="mine")
    assert (code, "report an error and change nothing else" in said) == (403, True), said
    assert workers.write(shard, REPORT, pod="mine") == (200, "")


def test_worker_cannot_write_queued_jobs(workers: Workers, other_kubectl: Kubectl) -> None:
    other_kubectl("create", "-f", "-", input=imagejob_manifest("queued", "inbox/x"))
    code, said = workers.write("queued", FAILED, pod="mine")
    assert code == 403, said


def test_no_container_has_restarted(kubectl: Kubectl) -> None:
    path = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    restarts = kubectl(
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/component in (api,operator,archiver,minio,postgres)",
        "-o",
        path,
    )
    assert set(restarts.split()) == {"0"}
