"""Tests that each file of the corpus has the expected outcome via `/submit` and `/inbox`."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from conftest import FAST_DESCRIBER, Kubectl, wait_for
from corpus import CASES
from corpus.case import Case, Outcome

CONCURRENCY = 16
NAMES = {name: f"odd-{number}" for number, name in enumerate(CASES)}
ACCEPTED = {name: case for name, case in CASES.items() if case.status == 202}


def test_corpus_files_have_the_expected_outcome_via_submit(
    api: httpx.Client, ended: Callable[[str], dict[str, Any]]
) -> None:
    def outcome(case: Case) -> Outcome:
        files = {"file": ("odd.bin", case.data)}
        answer = api.post("/submit", files=files, data={"describer": FAST_DESCRIBER})
        if answer.status_code != 202:
            problem = answer.json()
            return Outcome(answer.status_code, problem["reason"], problem["detail"])

        status = ended(answer.json()["job_id"])
        if status["status"] == "failed":
            return Outcome(202, status["error"]["reason"], status["error"]["message"])

        result = api.get(f"/result/{status['job_id']}").json()
        return Outcome(202, None, result["description"], result["facts"])

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        outcomes = dict(zip(CASES, pool.map(outcome, CASES.values()), strict=True))

    assert {
        name: wrong for name, case in CASES.items() if (wrong := case.differences(outcomes[name]))
    } == {}


def test_corpus_files_have_the_expected_outcome_via_inbox(
    api: httpx.Client, kubectl: Kubectl
) -> None:
    def put(name: str) -> Outcome:
        answer = api.post(
            f"/inbox/odd/{NAMES[name]}", files={"file": ("odd.bin", CASES[name].data)}
        )
        if answer.is_success:
            assert answer.json()["name"] == f"odd/{NAMES[name]}"
            return Outcome(202, None, "")

        problem = answer.json()
        return Outcome(answer.status_code, problem["reason"], problem["detail"])

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        outcomes = dict(zip(CASES, pool.map(put, CASES), strict=True))

    assert {name for name, outcome in outcomes.items() if outcome.status == 202} == set(ACCEPTED)
    refused = CASES.keys() - ACCEPTED.keys()
    assert {
        name: wrong for name in refused if (wrong := CASES[name].differences(outcomes[name]))
    } == {}

    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs()})
    kubectl("apply", "-f", "-", input=manifests)
    done = wait_for(
        lambda: statuses(kubectl), lambda found: all(map(is_finished, found.values())), 120
    )
    outcomes = {name: outcome_of(done[NAMES[name]]) for name in ACCEPTED}
    assert {
        name: wrong
        for name, case in ACCEPTED.items()
        if (wrong := case.differences(outcomes[name]))
    } == {}
    kubectl("delete", "imagejobs", "--selector", "corpus=odd", "--wait=false")


def jobs() -> list[dict[str, Any]]:
    """Return the manifest of an ImageJob for each file that the API accepts."""
    return [
        {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": NAMES[name], "labels": {"corpus": "odd"}},
            "spec": {"image": {"key": f"inbox/odd/{NAMES[name]}"}, "describer": FAST_DESCRIBER},
        }
        for name in ACCEPTED
    ]


def statuses(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    listed = json.loads(kubectl("get", "imagejobs", "--selector", "corpus=odd", "-o", "json"))
    items = listed["items"]
    return {item["metadata"]["name"]: item.get("status", {}) for item in items}


def is_finished(status: dict[str, Any]) -> bool:
    return status.get("phase") in {"done", "failed"}


def outcome_of(status: dict[str, Any]) -> Outcome:
    if status["phase"] == "failed":
        return Outcome(202, status["error"]["reason"], status["error"]["message"])

    result = status["result"]["inline"]
    return Outcome(202, None, result["description"], result["facts"])
