"""Tests of Describers that a user applies, changes and deletes with kubectl."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import wait_for

Json = dict[str, Any]
Apply = Callable[..., None]


@pytest.fixture
def apply(kubectl: Callable[..., str]) -> Iterator[Apply]:
    """Return a function that applies a Describer.

    After the test, delete the Describers and wait until their workers have been deleted.
    """
    names = []

    def run(name: str, **spec: Any) -> None:
        names.append(name)
        body = {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "Describer",
            "metadata": {"name": name},
        }
        kubectl(
            "apply", "-f", "-", input=json.dumps({**body, "spec": {"provider": "metadata", **spec}})
        )

    yield run

    for name in set(names):
        kubectl("delete", "describer", name, "--ignore-not-found")
        wait_for(lambda name=name: workers(kubectl, name), lambda remaining: not remaining)  # type: ignore[misc]


def workers(kubectl: Callable[..., str], describer: str) -> list[Json]:
    """Return the Jobs of a Describer's workers."""
    selector = f"app.kubernetes.io/component=worker,vision-node.dev/describer={describer}"
    found: list[Json] = json.loads(kubectl("get", "jobs", "-l", selector, "-o", "json"))["items"]
    return found


def api_image(kubectl: Callable[..., str]) -> str:
    """Return the API's container image. The tests also use it to run their own servers."""
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl("get", "deployment", "vision-node-api", "-o", path)


def condition(kubectl: Callable[..., str], describer: str, kind: str) -> Json:
    """Return a condition of a Describer, or an empty dict if the condition is not set yet."""
    path = f'jsonpath={{.status.conditions[?(@.type=="{kind}")]}}'
    output = kubectl("get", "describer", describer, "-o", path)
    found: Json = json.loads(output or "{}")
    return found


def ready(kubectl: Callable[..., str], describer: str) -> Json:
    """Return the condition Ready of a Describer."""
    return condition(kubectl, describer, "Ready")


def test_describer_of_the_chart_is_listed(kubectl: Callable[..., str], api: httpx.Client) -> None:
    heads, line = kubectl("get", "describer", "metadata").splitlines()

    assert heads.split() == [
        "NAME",
        "PROVIDER",
        "READY",
        "REASON",
        "WORKERS",
        "QUEUED",
        "PROCESSING",
        "AGE",
    ]
    assert line.split()[:3] == ["metadata", "metadata", "True"]

    assert "MESSAGE" in kubectl("get", "describers", "-o", "wide").splitlines()[0]
    (found,) = [d for d in api.get("/describers").json()["describers"] if d["name"] == "metadata"]
    assert (found["provider"], found["ready"], found["default"]) == ("metadata", True, False)


def test_applied_describer_is_used_immediately(
    kubectl: Callable[..., str],
    apply: Apply,
    api: httpx.Client,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    apply("mine", minWorkers=1)
    status = ended(submit(photo.read_bytes(), describer="mine"))

    assert (status["status"], status["describer"]) == ("done", "mine")
    assert api.get(f"/result/{status['job_id']}").json()["describer"] == "mine"

    kubectl("wait", "--for=condition=Ready", "describer/mine", "--timeout=30s")
    listed = {d["name"]: d for d in api.get("/describers").json()["describers"]}
    assert (listed["mine"]["workers"], listed["mine"]["default"]) == (1, False)


def test_changed_describer_gets_new_workers(
    kubectl: Callable[..., str],
    apply: Apply,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    apply("changing", minWorkers=1)
    ended(submit(photo.read_bytes(), describer="changing"))
    (before,) = [job["metadata"]["uid"] for job in workers(kubectl, "changing")]

    apply("changing", minWorkers=1, options={"anything": "else"})
    wait_for(
        lambda: [job["metadata"]["uid"] for job in workers(kubectl, "changing")],
        lambda now: len(now) == 1 and before not in now,
    )

    assert ended(submit(photo.read_bytes(), describer="changing"))["status"] == "done"


def submit_many(submit: Callable[..., str], photo: Path, count: int, describer: str) -> list[str]:
    data = photo.read_bytes()
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: submit(data, describer=describer), range(count)))


def test_dedicated_isolation_uses_one_worker_per_image(
    apply: Apply,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    imagejob: Callable[[str], Json],
) -> None:
    apply("alone", isolation="dedicated", concurrency=4)
    jobs = submit_many(submit, photo, 4, "alone")
    assert [(ended(job)["status"], ended(job)["attempts"]) for job in jobs] == [("done", 1)] * 4
    assert len({imagejob(job)["status"]["worker"] for job in jobs}) == 4


def test_worker_at_its_image_limit_is_replaced_without_losses(
    apply: Apply,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    imagejob: Callable[[str], Json],
) -> None:
    apply("recycled", maxImagesPerWorker=5, maxWorkers=1)
    jobs = submit_many(submit, photo, 12, "recycled")
    assert [(ended(job)["status"], ended(job)["attempts"]) for job in jobs] == [("done", 1)] * 12
    used = [imagejob(job)["status"]["worker"] for job in jobs]
    assert sorted(used.count(worker) for worker in set(used)) == [2, 5, 5]


@pytest.fixture
def allow_no_more(kubectl: Callable[..., str]) -> Iterator[Callable[[str], None]]:
    """Return a function that creates a ResourceQuota that forbids new objects of a kind."""

    def run(resource: str) -> None:
        body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}}
        kubectl("apply", "-f", "-", input=json.dumps({**body, "spec": {"hard": {resource: "0"}}}))
        path = "jsonpath={.status.used}"
        wait_for(lambda: kubectl("get", "resourcequota", "tight", "-o", path), bool)

    yield run
    kubectl("delete", "resourcequota", "tight", "--ignore-not-found")


@pytest.mark.parametrize(
    ("resource", "words"),
    [("count/jobs.batch", "exceeded quota: tight"), ("pods", "kubectl describe job")],
)
def test_insufficient_resources_are_reported_while_existing_workers_continue(
    kubectl: Callable[..., str],
    apply: Apply,
    allow_no_more: Callable[[str], None],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    resource: str,
    words: str,
) -> None:
    name = f"no-more-{resource[-4:]}".replace(".", "")
    apply(name, minWorkers=1)
    assert ended(submit(photo.read_bytes(), describer=name))["status"] == "done"

    allow_no_more(resource)
    apply(name, minWorkers=2)
    condition = wait_for(
        lambda: ready(kubectl, name), lambda found: found.get("reason") == "InsufficientResources"
    )
    assert condition["status"] == "True"
    assert words in condition["message"]

    uid = kubectl("get", "describer", name, "-o", "jsonpath={.metadata.uid}")
    selector = f"involvedObject.uid={uid}"
    events = json.loads(kubectl("get", "events", "--field-selector", selector, "-o", "json"))[
        "items"
    ]
    assert [(event["type"], event["reason"]) for event in events] == [
        ("Warning", "InsufficientResources")
    ]
    assert ended(submit(photo.read_bytes(), describer=name))["status"] == "done"

    kubectl("delete", "resourcequota", "tight")
    wait_for(lambda: ready(kubectl, name), lambda found: found["reason"] == "Serving", seconds=120)


def test_submission_beyond_a_quota_is_refused_until_there_is_room(
    kubectl: Callable[..., str],
    allow_no_more: Callable[[str], None],
    api: httpx.Client,
    photo: Path,
    ended: Callable[[str], Json],
) -> None:
    key = {"Idempotency-Key": "beyond-a-quota"}
    files = {"file": photo.read_bytes()}
    allow_no_more("count/imagejobs.vision-node.dev")
    answer = api.post("/submit", files=files, headers=key)
    assert (answer.status_code, answer.json()["reason"]) == (429, "QuotaExceeded")
    assert "exceeded quota: tight" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0

    kubectl("delete", "resourcequota", "tight")
    accepted = wait_for(
        lambda: api.post("/submit", files=files, headers=key),
        lambda answer: answer.status_code == 202,
    )
    assert ended(accepted.json()["job_id"])["status"] == "done"


def test_image_that_cannot_be_pulled_is_reported(kubectl: Callable[..., str], apply: Apply) -> None:
    apply("imageless", image="registry.invalid/nothing:1", minWorkers=1)
    condition = wait_for(
        lambda: ready(kubectl, "imageless"), lambda found: found.get("reason") == "ImagePullFailed"
    )
    assert condition["status"] == "False"
    assert "registry.invalid/nothing:1" in condition["message"]


def test_deleted_describer_loses_its_workers_and_accepts_no_jobs(
    kubectl: Callable[..., str],
    apply: Apply,
    api: httpx.Client,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    apply("passing", minWorkers=1)
    ended(submit(photo.read_bytes(), describer="passing"))

    kubectl("delete", "describer", "passing")
    wait_for(lambda: workers(kubectl, "passing"), lambda remaining: not remaining)

    answer = wait_for(
        lambda: api.post(
            "/submit", files={"file": photo.read_bytes()}, data={"describer": "passing"}
        ),
        lambda answer: answer.status_code != 202,
    )
    assert (answer.status_code, answer.json()["reason"]) == (422, "DescriberNotFound")


def test_failed_imagejob_has_one_event(
    kubectl: Callable[..., str],
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    photo: Path,
) -> None:
    good = submit(photo.read_bytes())
    broken = submit(photo.read_bytes()[:5000])
    assert (ended(good)["status"], ended(broken)["status"]) == ("done", "failed")

    def events_of(name: str) -> list[str]:
        selector = f"involvedObject.kind=ImageJob,involvedObject.name={name}"
        return kubectl("get", "events", "--field-selector", selector, "-o", "name").split()

    assert len(wait_for(lambda: events_of(broken), bool)) == 1
    assert events_of(good) == []


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("a-name-of-23-characters", {}, "at most 22 characters"),
        ("dotted.name", {}, "at most 22 characters"),
        ("odd", {"minWorkers": 3}, "minWorkers can't be greater than maxWorkers"),
        ("odd", {"isolation": "total"}, "spec.isolation"),
        ("odd", {"provider": "../sh"}, "spec.provider"),
        (
            "odd",
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec"}}}]},
            "fieldRef",
        ),
        ("odd", {"resources": {"limits": {"memory": "much"}}}, "spec.resources.limits.memory"),
    ],
)
def test_invalid_describer_is_rejected(
    refused: Callable[..., str], name: str, spec: Json, words: str
) -> None:
    body = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": name},
    }
    assert words in refused("create", "-f", "-", input=json.dumps({**body, "spec": spec}))
