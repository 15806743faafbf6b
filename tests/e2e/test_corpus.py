"""The corpus of odd files goes through `/submit` and through `inbox`: each has its exact outcome."""

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
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
    assert {name: wrong for name, case in CASES.items() if (wrong := case.differences(outcomes[name]))} == {}


def test_through_inbox(kubectl: Kubectl, tmp_path: Path) -> None:
    path = tmp_path / "odd.tar"
    path.write_bytes(archive())
    command = ("exec", "-i", "deploy/vision-node-api", "--", "inbox", "--tar", "odd")
    with path.open("rb") as tar, pytest.raises(subprocess.CalledProcessError) as some_are_refused:
        kubectl(*command, stdin=tar, stderr=subprocess.PIPE)
    stored, errors = some_are_refused.value.stdout, some_are_refused.value.stderr
    assert set(stored.split()) == {f"inbox/odd/{NAMES[name]}" for name in TAKEN}
    for name in CASES.keys() - TAKEN.keys():
        assert f"error: odd/{NAMES[name]}: " in errors, name

    kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": jobs()}))
    done = wait_for(lambda: statuses(kubectl), lambda found: all(map(is_finished, found.values())), 120)
    outcomes = {name: of_status(done[NAMES[name]]) for name in TAKEN}
    assert {name: wrong for name, case in TAKEN.items() if (wrong := case.differences(outcomes[name]))} == {}
    kubectl("delete", "imagejobs", "--selector", "corpus=odd", "--wait=false")


def archive() -> bytes:
    """Return the whole corpus as a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, case in CASES.items():
            member = tarfile.TarInfo(NAMES[name])
            member.size = len(case.data)
            tar.addfile(member, io.BytesIO(case.data))
    return buffer.getvalue()


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
    items = json.loads(kubectl("get", "imagejobs", "--selector", "corpus=odd", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item.get("status", {}) for item in items}


def is_finished(status: dict[str, Any]) -> bool:
    return status.get("phase") in {"done", "failed"}


def of_status(status: dict[str, Any]) -> Outcome:
    if status["phase"] == "failed":
        return Outcome(202, status["error"]["reason"], status["error"]["message"])
    result = status["result"]["inline"]
    return Outcome(202, None, result["description"], result["facts"])
