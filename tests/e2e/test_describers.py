"""Describers by kubectl: applied and used at once, isolated, recycled, short of room, deleted."""

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
    """Apply a Describer; it is deleted after the test, and its workers have gone."""
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
        wait_for(lambda name=name: workers(kubectl, name), lambda left: not left)  # type: ignore[misc]


def workers(kubectl: Callable[..., str], describer: str) -> list[Json]:
    """Return the describer Jobs that there are."""
    selector = f"app.kubernetes.io/component=worker,vision-node.dev/describer={describer}"
    found: list[Json] = json.loads(kubectl("get", "jobs", "-l", selector, "-o", "json"))["items"]
    return found


def condition(kubectl: Callable[..., str], describer: str, kind: str) -> Json:
    """Return a Describer's condition, or nothing before it was written."""
    path = f'jsonpath={{.status.conditions[?(@.type=="{kind}")]}}'
    said = kubectl("get", "describer", describer, "-o", path)
    found: Json = json.loads(said or "{}")
    return found


def ready(kubectl: Callable[..., str], describer: str) -> Json:
    """Return the condition Ready."""
    return condition(kubectl, describer, "Ready")


def test_the_values_describer_is_there(kubectl: Callable[..., str], api: httpx.Client) -> None:
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
    assert (found["provider"], found["ready"], found["default"]) == ("metadata", True, True)


def test_an_applied_describer_is_used_at_once(
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


def test_a_changed_describer_gets_other_workers(
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


def test_dedicated_is_a_job_for_each_image(
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


def test_used_up_workers_are_replaced_and_nothing_is_lost(
    apply: Apply,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    imagejob: Callable[[str], Json],
) -> None:
    apply("recycled", maxImagesPerWorker=5, maxWorkers=1)
    jobs = submit_many(submit, photo, 12, "recycled")
    assert [(ended(job)["status"], ended(job)["attempts"]) for job in jobs] == [("done", 1)] * 12
    held = [imagejob(job)["status"]["worker"] for job in jobs]
    assert sorted(held.count(worker) for worker in set(held)) == [2, 5, 5]


@pytest.fixture
def no_more(kubectl: Callable[..., str]) -> Iterator[Callable[[str], None]]:
    """Have a ResourceQuota that keeps what is there and allows no further one."""

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
def test_without_room_it_says_so_and_goes_on(
    kubectl: Callable[..., str],
    apply: Apply,
    no_more: Callable[[str], None],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    resource: str,
    words: str,
) -> None:
    name = f"no-more-{resource[-4:]}".replace(".", "")
    apply(name, minWorkers=1)
    assert ended(submit(photo.read_bytes(), describer=name))["status"] == "done"
    no_more(resource)
    apply(name, minWorkers=2)
    condition = wait_for(
        lambda: ready(kubectl, name), lambda said: said.get("reason") == "InsufficientResources"
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
    wait_for(lambda: ready(kubectl, name), lambda said: said["reason"] == "Serving", seconds=120)


def test_an_image_that_cannot_be_pulled(kubectl: Callable[..., str], apply: Apply) -> None:
    apply("imageless", image="registry.invalid/nothing:1", minWorkers=1)
    condition = wait_for(
        lambda: ready(kubectl, "imageless"), lambda said: said.get("reason") == "ImagePullFailed"
    )
    assert condition["status"] == "False"
    assert "registry.invalid/nothing:1" in condition["message"]


def test_a_deleted_describer(
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
    wait_for(lambda: workers(kubectl, "passing"), lambda left: not left)
    answer = wait_for(
        lambda: api.post(
            "/submit", files={"file": photo.read_bytes()}, data={"describer": "passing"}
        ),
        lambda answer: answer.status_code != 202,
    )
    assert (answer.status_code, answer.json()["reason"]) == (422, "DescriberNotFound")


def test_a_failed_imagejob_has_one_event(
    kubectl: Callable[..., str],
    submit: Callable[..., str],
    ended: Callable[[str], Json],
    photo: Path,
) -> None:
    good = submit(photo.read_bytes())
    broken = submit(photo.read_bytes()[:5000])
    assert (ended(good)["status"], ended(broken)["status"]) == ("done", "failed")

    def told(name: str) -> list[str]:
        selector = f"involvedObject.kind=ImageJob,involvedObject.name={name}"
        return kubectl("get", "events", "--field-selector", selector, "-o", "name").split()

    assert len(wait_for(lambda: told(broken), bool)) == 1
    assert told(good) == []


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
def test_what_is_no_describer_is_refused(
    refused: Callable[..., str], name: str, spec: Json, words: str
) -> None:
    body = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": name},
    }
    assert words in refused("create", "-f", "-", input=json.dumps({**body, "spec": spec}))
