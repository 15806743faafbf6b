"""Tests of labels, priority and reuse on a real API server, with the release's history."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import FAST_DESCRIBER, Kubectl, wait_for
from history.release_history import EARLY, ReleaseHistory, image_with, new_word

LABELS = {"example.com/team": "web", "tier": "gold"}
LABELS_TEXT = ",".join(f"{key}={value}" for key, value in LABELS.items())


@pytest.fixture(scope="module")
def history(kubectl: Kubectl, api: httpx.Client) -> ReleaseHistory:
    """Return the release's history."""
    return ReleaseHistory(kubectl, api)


@pytest.fixture
def image() -> bytes:
    """An image that has never been submitted before."""
    return image_with(new_word())


def test_labels_and_priority_are_those_of_the_imagejob(
    history: ReleaseHistory, imagejob: Callable[[str], dict[str, Any]], image: bytes
) -> None:
    answer = history.submit(image, labels=LABELS_TEXT, priority="-10")
    assert answer.status_code == 202, answer.text
    found = imagejob(answer.json()["job_id"])
    assert LABELS.items() <= found["metadata"]["labels"].items()
    assert found["spec"]["priority"] == -10


def test_labels_select_imagejobs(history: ReleaseHistory, kubectl: Kubectl, image: bytes) -> None:
    word = new_word()
    job = history.submit(image, labels=f"word={word}").json()["job_id"]
    selected = kubectl("get", "imagejobs", "--selector", f"word={word}", "-o", "name")
    assert selected.split() == [f"imagejob.vision-node.dev/{job}"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"labels": "vision-node.dev/batch=x"}, "vision-node.dev/batch"),
        ({"labels": "te am=web"}, "te am"),
        ({"priority": "11"}, "priority"),
    ],
)
def test_invalid_option_is_refused(
    history: ReleaseHistory, image: bytes, fields: dict[str, str], named: str
) -> None:
    answer = history.submit(image, **fields)
    assert (answer.status_code, answer.json()["reason"]) == (422, "OptionsInvalid")
    assert named in answer.json()["detail"]


def test_labels_of_a_batch_are_those_of_the_imagebatch(api: httpx.Client, kubectl: Kubectl) -> None:
    answer = api.post("/batches", json={"upload": {}, "labels": LABELS})
    assert answer.status_code == 202, answer.text
    name = answer.json()["name"]
    try:
        found = json.loads(kubectl("get", "imagebatch", name, "-o", "json"))
        assert LABELS.items() <= found["metadata"]["labels"].items()
    finally:
        api.delete(f"/batches/{name}")


def test_result_is_reused_before_and_after_its_eviction(
    history: ReleaseHistory, image: bytes
) -> None:
    first = history.submit(image, reuse="true")
    assert (first.status_code, first.json()["reused"]) == (202, False)
    job = first.json()["job_id"]
    history.until_done(job)
    expected = {"job_id": job, "status": "done", "reused": True}

    objects = history.objects()
    again = wait_for(lambda: history.submit(image, reuse="true"), lambda it: it.status_code == 200)
    assert (again.json(), again.headers["Location"]) == (expected, f"/status/{job}")
    assert history.objects() <= objects

    with history.archiver_with(EARLY):
        history.until_evicted(job)
        evicted = history.submit(image, reuse="true")
    assert (evicted.status_code, evicted.json()) == (200, expected)
    assert history.result(job)["describer"] == FAST_DESCRIBER


def test_result_is_not_reused_for_other_options_or_another_image(
    history: ReleaseHistory, image: bytes
) -> None:
    history.describe(image)
    for data, fields in ((image, {"maxLength": "77"}), (image_with(new_word()), {})):
        answer = history.submit(data, reuse="true", **fields)
        assert (answer.status_code, answer.json()["reused"]) == (202, False)


def test_result_is_not_reused_after_a_change_to_its_describer(
    history: ReleaseHistory, api: httpx.Client, kubectl: Kubectl, image: bytes
) -> None:
    name = "changing"
    manifest = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": "Describer",
        "metadata": {"name": name},
        "spec": {"provider": FAST_DESCRIBER, "env": [{"name": "REVISION", "value": "1"}]},
    }
    kubectl("apply", "-f", "-", input=json.dumps(manifest))
    try:
        wait_for(lambda: api.get("/describers").text, lambda text: name in text)
        job = history.describe(image, describer=name)
        reused = history.submit(image, describer=name, reuse="true").json()
        assert (reused["job_id"], reused["reused"]) == (job, True)

        change = {"spec": {"env": [{"name": "REVISION", "value": "2"}]}}
        kubectl("patch", "describer", name, "--type=merge", "-p", json.dumps(change))
        answer = wait_for(
            lambda: history.submit(image, describer=name, reuse="true").json(),
            lambda it: it["job_id"] != job,
        )
        assert answer["reused"] is False
    finally:
        kubectl("delete", "describer", name, "--wait=false")


def test_deleted_job_is_not_reused(history: ReleaseHistory, kubectl: Kubectl, image: bytes) -> None:
    job = history.describe(image)
    kubectl("delete", "imagejob", job)
    assert history.submit(image, reuse="true").json()["reused"] is False
