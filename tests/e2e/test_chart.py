"""The chart as installed, upgraded, installed once more beside itself, uninstalled and installed again."""

import base64
import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import releases
from conftest import NAMESPACE, Kubectl, wait_for
from pytest_kind import KindCluster
from releases import CHART, RELEASE, Elsewhere, Helm, helm

__all__ = ["helm"]  # the fixture

OTHER_NAMESPACE = "chart-test"

Json = dict[str, Any]


@pytest.fixture(scope="module")
def place(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster) -> Iterator[Elsewhere]:
    """A namespace for a second release, which uses the CRDs and images of the first one."""
    with releases.elsewhere(OTHER_NAMESPACE, helm, kubectl, kind_cluster) as made:
        yield made


@pytest.fixture(scope="module")
def elsewhere(place: Elsewhere) -> Kubectl:
    """Run kubectl there."""
    return place.kubectl


@pytest.fixture(scope="module")
def other(place: Elsewhere) -> str:
    """The second release's prefix of names."""
    place.install()
    return place.prefix


def stored_keys(kubectl: Kubectl, name: str) -> Json:
    """Return the generated credentials."""
    secret: Json = json.loads(kubectl("get", "secret", f"{name}-storage", "-o", "json"))
    keys: Json = secret["data"]
    return keys


def test_every_pod_passes_pod_security_restricted(kubectl: Kubectl) -> None:
    """The namespace enforces it: that pods of every component run is the proof; workers come by demand."""
    labels = json.loads(kubectl("get", "namespace", NAMESPACE, "-o", "jsonpath={.metadata.labels}"))
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert {"api", "operator", "minio"} <= components


def test_helm_lists_the_release(helm: Helm) -> None:
    (release,) = json.loads(helm("list", "-n", NAMESPACE, "-o", "json").partition("\n")[0])
    assert (release["name"], release["status"]) == (RELEASE, "deployed")


def test_helm_test_describes_a_picture(helm: Helm) -> None:
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


def test_uploads_are_not_for_kubectls_users(refused: Callable[..., str]) -> None:
    """Not even for an administrator: only the API knows whose they are."""
    said = refused("create", "-f", "-", input=imagejob_manifest("nosy", "images/of-somebody"))
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


def test_the_values_describers_come_and_go_and_others_stay(place: Elsewhere, other: str) -> None:
    mine = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": "mine"},
    }
    place.apply({**mine, "spec": {"provider": "metadata"}})

    def described_by() -> set[str]:
        path = "jsonpath={.items[*].metadata.name}"
        return set(place.kubectl("get", "describers", "-o", path).split())

    def default() -> str:
        path = 'jsonpath={..env[?(@.name=="DEFAULT_DESCRIBER")].value}'
        return place.kubectl("get", "deployments", "-o", path)

    place.kubectl(
        "create", "secret", "generic", "keys", "--from-literal=OPENAI_API_KEY=sk-0123456789"
    )
    further = {"further": {"provider": "metadata"}, "openai": {"enabled": True}}
    place.install({"describers": further, "providerSecret": "keys"})
    wait_for(described_by, lambda names: names == {"metadata", "openai", "further", "mine"})
    assert default() == "openai"
    place.install()
    wait_for(described_by, lambda names: names == {"metadata", "mine"})
    assert default() == "metadata"
    place.kubectl("delete", "secret", "keys")
    place.kubectl("delete", "describer", "mine")


LEFT_TO_KUBERNETES = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
KINDS = (
    "all,describers,cm,secret,pvc,sa,role,rolebinding,lease,endpointslice,networkpolicy,ingress,pdb"
)


def test_uninstalled_it_leaves_what_it_should_and_takes_that_up_again(
    helm: Helm, place: Elsewhere, elsewhere: Kubectl, other: str
) -> None:
    """Only the images (volume), their keys (Secret) and the ImageJobs stay; workers go, too."""
    assert "Succeeded" in place.describes()
    assert elsewhere("get", "jobs", "-l", "app.kubernetes.io/component=worker", "-o", "name")
    (described,) = elsewhere("get", "imagejobs", "-o", "name").split()
    keys = stored_keys(elsewhere, other)

    helm("uninstall", place.release, "-n", OTHER_NAMESPACE)
    wait_for(
        lambda: set(elsewhere("get", KINDS, "-o", "name").split()) - LEFT_TO_KUBERNETES,
        lambda left: (
            left == {f"secret/{other}-storage", f"persistentvolumeclaim/data-{other}-minio-0"}
        ),
    )
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    assert f"{OTHER_NAMESPACE}." not in elsewhere("get", policies, "-o", "name")
    assert "imagejobs.vision-node.dev" in elsewhere("get", "crds", "-o", "name")

    place.install()
    assert stored_keys(elsewhere, other) == keys
    assert "Succeeded" in place.describes()
    assert described in elsewhere("get", "imagejobs", "-o", "name")


class Workers:
    """Who holds a worker's token, and what the API server lets them write."""

    def __init__(self, kubectl: Kubectl, http: httpx.Client, account: str) -> None:
        self._kubectl = kubectl
        self._http = http
        self._account = account

    def make_pod(self, name: str) -> None:
        """Have a pod with the workers' account; it need not run for a token to be bound to it."""
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
        """As the operator does."""
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
        bound = ("--bound-object-kind", "Pod", "--bound-object-name", pod) if pod else ()
        return self._kubectl("create", "token", self._account, *bound).strip()

    def write(self, job: str, status: Json, *, pod: str | None) -> tuple[int, str]:
        """Patch the status as that pod; None: with a token that is bound to no pod."""
        path = f"/apis/vision-node.dev/v1alpha1/namespaces/{OTHER_NAMESPACE}/imagejobs/{job}/status"
        headers = {
            "Authorization": f"Bearer {self.token(pod)}",
            "Content-Type": "application/merge-patch+json",
        }
        answer = self._http.patch(path, content=json.dumps({"status": status}), headers=headers)
        return answer.status_code, answer.json().get("message", "")

    def lease(self, method: str, name: str, *, pod: str | None) -> int:
        """Create (POST), renew (PATCH) or withdraw (DELETE) a Lease as that pod; the answer's status.

        Without a name, the API server is to generate one.
        """
        path = f"/apis/coordination.k8s.io/v1/namespaces/{OTHER_NAMESPACE}/leases"
        metadata = {"name": name} if name else {"generateName": "lease-"}
        body = {"metadata": metadata, "spec": {"holderIdentity": name}}
        headers = {
            "Authorization": f"Bearer {self.token(pod)}",
            "Content-Type": "application/merge-patch+json"
            if method == "PATCH"
            else "application/json",
        }
        url = path if method == "POST" else f"{path}/{name}"
        content = None if method == "DELETE" else json.dumps(body)

        return self._http.request(method, url, content=content, headers=headers).status_code


def test_a_worker_says_only_of_itself_that_it_serves(workers: Workers) -> None:
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
def kubernetes(elsewhere: Kubectl) -> Iterator[httpx.Client]:
    """The API server, for those who bring their own token: kubectl would show its certificate."""
    config = json.loads(elsewhere("config", "view", "--raw", "--minify", "-o", "json"))
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    trust = ssl.create_default_context(cadata=authority)
    with httpx.Client(base_url=cluster["server"], verify=trust, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def workers(elsewhere: Kubectl, kubernetes: httpx.Client, other: str) -> Workers:
    """Workers of the second release, whose operator is away from now on: nobody else writes."""
    elsewhere("scale", f"deployment/{other}-operator", "--replicas=0")
    pods = ("pod", "-l", "app.kubernetes.io/component=operator")
    elsewhere("wait", *pods, "--for=delete", "--timeout=60s")
    made = Workers(elsewhere, kubernetes, f"{other}-worker")
    for name in ("mine", "theirs"):
        made.make_pod(name)
    return made


@pytest.fixture
def assigned(elsewhere: Kubectl, workers: Workers) -> str:
    """An ImageJob in processing that is assigned to the pod `mine`."""
    name = f"job-{uuid.uuid4().hex}"
    elsewhere("create", "-f", "-", input=imagejob_manifest(name, "inbox/x"))
    workers.assign(name, "mine")
    return name


@pytest.mark.parametrize("pod", ["theirs", None])
def test_a_worker_commits_nothing_of_anothers(
    workers: Workers, assigned: str, pod: str | None
) -> None:
    for status in (REPORT, DONE, FAILED):
        code, said = workers.write(assigned, status, pod=pod)
        assert code == 403, said
        assert "only ImageJobs in processing that are assigned to its own pod" in said


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
        ({"attemptDeadline": None}, "reports an error and changes nothing else"),
        ({"phase": "queued"}, "reports an error and changes nothing else"),
        ({"result": DONE["result"]}, "reports an error and changes nothing else"),
        ({"conditions": [CONDITION]}, "reports an error and changes nothing else"),
    ],
)
def test_a_worker_changes_only_the_outcome(
    workers: Workers, assigned: str, status: Json, words: str
) -> None:
    code, said = workers.write(assigned, status, pod="mine")
    assert (code, words in said) == (403, True), said


@pytest.mark.parametrize("status", [REPORT, DONE, FAILED], ids=["reports", "done", "failed"])
def test_a_worker_commits_its_own(workers: Workers, assigned: str, status: Json) -> None:
    assert workers.write(assigned, status, pod="mine") == (200, "")


def test_a_worker_names_no_result_but_its_own(
    workers: Workers, assigned: str, elsewhere: Kubectl
) -> None:
    uid = elsewhere("get", "imagejob", assigned, "-o", "jsonpath={.metadata.uid}")

    def commit(key: str) -> tuple[int, str]:
        stored = {"key": key, "sha256": "0" * 64, "sizeBytes": 5000}
        return workers.write(assigned, {**DONE, "result": {**DONE["result"], **stored}}, pod="mine")

    for key in (f"results/{uuid.uuid4()}/1", f"results/{uid}/2", "images/another", ""):
        code, said = commit(key)
        assert (code, "may name only its own attempt's result" in said) == (403, True), said

    assert commit(f"results/{uid}/1") == (200, "")


def test_what_is_queued_is_nobodys(workers: Workers, elsewhere: Kubectl) -> None:
    elsewhere("create", "-f", "-", input=imagejob_manifest("queued", "inbox/x"))
    code, said = workers.write("queued", FAILED, pod="mine")
    assert code == 403, said


def test_nothing_restarts(kubectl: Kubectl) -> None:
    path = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    restarts = kubectl(
        "get", "pods", "-l", "app.kubernetes.io/component in (api,operator,minio)", "-o", path
    )
    assert set(restarts.split()) == {"0"}
