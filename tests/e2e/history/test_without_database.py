"""Tests of a release without a database: jobs are read, but not searched."""

import json
import subprocess
from collections.abc import Iterator

import pytest
from conftest import Forwarded, Kubectl
from pytest_kind import KindCluster
from releases import ExtraRelease, Helm, extra_release, helm

from history.release_history import ReleaseHistory, image_with, new_word

__all__ = ["helm"]  # pytest looks up the fixture in this module

MAX_IMAGEJOBS = 2


@pytest.fixture(scope="module")
def release(helm: Helm, kubectl: Kubectl, kind_cluster: KindCluster) -> Iterator[ExtraRelease]:
    """Install a release without a database, which accepts two ImageJobs."""
    with extra_release("no-history-test", helm, kubectl, kind_cluster) as extra:
        extra.install({"database": {"enabled": False}, "limits": {"imageJobs": MAX_IMAGEJOBS}})
        yield extra


@pytest.fixture(scope="module")
def plain(release: ExtraRelease, forwarded: Forwarded) -> Iterator[ReleaseHistory]:
    """Connect to the release's API."""
    with forwarded(release.namespace, f"{release.prefix}-api") as api:
        yield ReleaseHistory(release.kubectl, api, release.prefix)


def test_there_is_no_postgresql(release: ExtraRelease) -> None:
    names = [pod["metadata"]["name"] for pod in release.pods()]
    assert [name for name in names if "postgres" in name] == []
    assert any("archiver" in name for name in names)


def test_jobs_are_read_but_not_searched_and_their_number_is_limited(
    release: ExtraRelease, plain: ReleaseHistory
) -> None:
    """ImageJobs that have just ended are not deleted, so their number stays at the limit."""
    jobs = [plain.describe(image_with(new_word())) for _ in range(MAX_IMAGEJOBS)]
    for job in jobs:
        assert plain.status(job)["status"] == "done"
        assert "pixels" in plain.result(job)["description"]
    assert {job["job_id"] for job in plain.all_jobs()} == set(jobs)

    answer = plain.api.get("/jobs", params={"q": "image"})
    assert (answer.status_code, answer.json()["reason"]) == (501, "HistoryDisabled")
    assert plain.api.get("/readyz").status_code == 200

    answer = plain.submit(image_with(new_word()))
    assert (answer.status_code, answer.json()["reason"]) == (429, "TooManyImageJobs")
    assert {plain.live_uid(job) is not None for job in jobs} == {True}

    key = [key for key in plain.objects() if key.startswith(f"images/{plain.release_id}/")]
    assert len(key) == MAX_IMAGEJOBS
    release.kubectl("delete", "imagejobs", "--all")


@pytest.mark.parametrize("kind", ["ImageJob", "ImageBatch"])
def test_users_of_kubectl_are_warned_that_nothing_is_sent(release: ExtraRelease, kind: str) -> None:
    source = {"image": {"key": "inbox/no.jpg"}} if kind == "ImageJob" else {"prefix": "inbox/no/"}
    body = {
        "apiVersion": "vision-node.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "with-callback"},
        "spec": {**source, "callbackURL": "https://hooks.example.com/"},
    }
    output = release.kubectl("create", "-f", "-", input=json.dumps(body), stderr=subprocess.STDOUT)
    assert "Warning: " in output
    assert "CallbacksNotAvailable: nothing will be sent" in output
    assert "created" in output
    release.kubectl("delete", kind, "with-callback")
