"""Tests that the API server refuses changes and ImageJobs that the CRDs forbid."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def done(photo: Path, submit: Callable[..., str], ended: Callable[[str], dict[str, Any]]) -> str:
    """Return the name of a finished ImageJob."""
    job_id = submit(photo.read_bytes())
    assert ended(job_id)["status"] == "done"
    return job_id


@pytest.mark.parametrize(
    "patch",
    [
        {"phase": "queued"},
        {"phase": "failed"},
        {"attempts": 7},
        {"result": {"summary": "something else"}},
        {"result": {"inline": {"alt": "something else"}}},
        {"result": {"inline": {"facts": {"width": 1}}}},
        {"result": {"inline": {"facts": {"more": 1}}}},
        {"conditions": []},
        {"worker": None},
    ],
)
def test_finished_status_is_final(done: str, refused: Callable[..., str], patch: Any) -> None:
    change = json.dumps({"status": patch})
    said = refused("patch", "imagejob", done, "--subresource=status", "--type=merge", "-p", change)
    assert "a finished ImageJob's status is final" in said


@pytest.mark.parametrize(
    "patch",
    [
        {"image": {"key": "inbox/other"}},
        {"describer": "other"},
        {"priority": 9},
        {"options": {"prompt": "say something else"}},
        {"retryOf": "another"},
    ],
)
def test_spec_is_immutable(done: str, refused: Callable[..., str], patch: Any) -> None:
    said = refused("patch", "imagejob", done, "--type=merge", "-p", json.dumps({"spec": patch}))
    assert "spec is immutable" in said


def test_cancel_and_time_to_live_can_be_set_later(
    done: str, kubectl: Callable[..., str], refused: Callable[..., str]
) -> None:
    change = '{"spec": {"ttlSecondsAfterFinished": 99999, "cancel": true}}'
    assert "patched" in kubectl("patch", "imagejob", done, "--type=merge", "-p", change)
    said = refused("patch", "imagejob", done, "--type=merge", "-p", '{"spec": {"cancel": false}}')
    assert "cancel can't be undone" in said


@pytest.mark.parametrize(
    "key", ["secrets/x", "results/x/1", "inbox/../images/x", "/inbox/x", "inbox/", ""]
)
def test_keys_outside_inbox_and_images_are_refused(refused: Callable[..., str], key: str) -> None:
    said = refused("create", "-f", "-", input=manifest("elsewhere", {"image": {"key": key}}))
    assert "spec.image.key" in said


def test_queued_job_cannot_become_done(
    kubectl: Callable[..., str], refused: Callable[..., str]
) -> None:
    """With an unknown describer, the ImageJob stays queued for a grace period of one minute."""
    spec = {"image": {"key": "inbox/x"}, "describer": "unknown"}
    kubectl("create", "-f", "-", input=manifest("undone", spec))

    try:
        change = '{"status": {"phase": "done"}}'
        said = refused(
            "patch", "imagejob", "undone", "--subresource=status", "--type=merge", "-p", change
        )
        assert "phase can change to done only from processing" in said
    finally:
        kubectl("delete", "imagejob", "undone")


def manifest(name: str, spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "vision-node.dev/v1alpha1",
            "kind": "ImageJob",
            "metadata": {"name": name},
            "spec": spec,
        }
    )
