"""The corpus of odd files, sent to `/submit` and to `/inbox`: each file has its exact outcome."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from conftest import Kubectl, wait_for
from corpus import CASES
from corpus.case import Case, Outcome

AT_ONCE = 16
NAMES = {name: f"odd-{number}" for number, name in enumerate(CASES)}
TAKEN = {name: case for name, case in CASES.items() if case.status == 202}


def test_through_submit(api: httpx.Client, ended: Callable[[str], dict[str, Any]]) -> None:
    def outcome(case: Case) -> Outcome:
        answer = api.post("/submit", files={"file": ("odd.bin", case.data)})
        if answer.status_code != 202:
            problem = answer.json()
            return Outcome(answer.status_code, problem["reason"], problem["detail"])

        status = ended(answer.json()["job_id"])
        if status["status"] == "failed":
            return Outcome(202, status["error"]["reason"], status["error"]["message"])

        result = api.get(f"/result/{status['job_id']}").json()
        return Outcome(202, None, result["description"], result["facts"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = dict(zip(CASES, pool.map(outcome, CASES.values()), strict=True))

    assert {
        name: wrong for name, case in CASES.items() if (wrong := case.differences(outcomes[name]))
    } == {}


def test_through_inbox(api: httpx.Client, kubectl: Kubectl) -> None:
    def put(name: str) -> Outcome:
        answer = api.post(
            f"/inbox/odd/{NAMES[name]}", files={"file": ("odd.bin", CASES[name].data)}
        )
        if answer.is_success:
            assert answer.json()["spec"] == {"image": {"key": f"inbox/odd/{NAMES[name]}"}}
            return Outcome(202, None, "")

        problem = answer.json()
        return Outcome(answer.status_code, problem["reason"], problem["detail"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = dict(zip(CASES, pool.map(put, CASES), strict=True))

    assert {name for name, outcome in outcomes.items() if outcome.status == 202} == set(TAKEN)
    refused = CASES.keys() - TAKEN.keys()
    assert {
        name: wrong for name in refused if (wrong := CASES[name].differences(outcomes[name]))
    } == {}

    kubectl(
        "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs()})
    )
    done = wait_for(
        lambda: statuses(kubectl), lambda found: all(map(is_finished, found.values())), 120
    )
    outcomes = {name: of_status(done[NAMES[name]]) for name in TAKEN}
    assert {
        name: wrong for name, case in TAKEN.items() if (wrong := case.differences(outcomes[name]))
    } == {}
    kubectl("delete", "imagejobs", "--selector", "corpus=odd", "--wait=false")


def jobs() -> list[dict[str, Any]]:
    """Return an ImageJob for each file that is taken."""
    return [
        {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": NAMES[name], "labels": {"corpus": "odd"}},
            "spec": {"image": {"key": f"inbox/odd/{NAMES[name]}"}, "describer": "metadata"},
        }
        for name in TAKEN
    ]


def statuses(kubectl: Kubectl) -> dict[str, dict[str, Any]]:
    items = json.loads(kubectl("get", "imagejobs", "--selector", "corpus=odd", "-o", "json"))[
        "items"
    ]
    return {item["metadata"]["name"]: item.get("status", {}) for item in items}


def is_finished(status: dict[str, Any]) -> bool:
    return status.get("phase") in {"done", "failed"}


def of_status(status: dict[str, Any]) -> Outcome:
    if status["phase"] == "failed":
        return Outcome(202, status["error"]["reason"], status["error"]["message"])
    result = status["result"]["inline"]
    return Outcome(202, None, result["description"], result["facts"])
