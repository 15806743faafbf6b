"""Tests of submissions whose response has the outcome, and of waits at another replica."""

import json
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from conftest import FAST_DESCRIBER, wait_for
from faults.faulty import SLOW, SLOW_SECONDS
from faults.load import draw
from releases import ExtraRelease
from vision_node_contract.json_types import Json

from waiting.conftest import Connect, api_pods

PREFER = {"Prefer": "wait=60"}
APPLIED = "Preference-Applied"

QUEUED_IMAGES = 50
"""Number of slow images in front of the one that a test waits for. They take ten seconds, in which
a pod is deleted."""


def curl(url: str, *arguments: str) -> tuple[str, Json]:
    """Run curl, and return the head of the response and its JSON."""
    command = ("curl", "-sS", "-D", "-", *arguments, f"{url}/submit")
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout
    # In text mode, Python has replaced the line ends of HTTP.
    head, _, body = printed.rpartition("\n\n")
    found: Json = json.loads(body)
    return head, found


def test_one_call_of_curl_returns_the_description(url: str, photo: Path) -> None:
    form = ("-F", f"file=@{photo}", "-F", f"describer={FAST_DESCRIBER}")
    head, described = curl(url, *form, "-H", "Prefer: wait=30")
    assert " 200 " in head.splitlines()[0]
    assert f"{APPLIED.lower()}: wait=30" in head.lower()
    assert described["status"] == "done"
    assert described["_generated_by"] == "vision-node-gpt"
    assert described == httpx.get(f"{url}/result/{described['job_id']}").json()


def test_one_call_of_curl_returns_the_error(url: str, photo: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photo.read_bytes()[: photo.stat().st_size // 4])
    form = ("-F", f"file=@{broken}", "-F", f"describer={FAST_DESCRIBER}")
    head, failed = curl(url, *form, "-H", "Prefer: wait=30")
    assert " 200 " in head.splitlines()[0]
    assert failed["status"] == "failed"
    assert {"reason", "message"} <= failed["error"].keys()


def submit(api: httpx.Client, describer: str, **headers: str) -> httpx.Response:
    """Submit an image that takes SLOW_SECONDS."""
    dice = random.Random(0)  # noqa: S311 (the images must only differ)
    image = draw((20, 30), dice, SLOW)
    return api.post(
        "/submit", files={"file": image}, data={"describer": describer}, headers=headers
    )


def test_job_is_submitted_at_one_replica_and_awaited_at_the_other(
    release: ExtraRelease, sluggish: str, connect: Connect
) -> None:
    first, second = api_pods(release)
    with connect(first) as one, connect(second) as other:
        for _ in range(5):
            job = submit(one, sluggish).json()["job_id"]
            answer = other.get(f"/status/{job}", headers=PREFER)
            assert (answer.status_code, answer.headers[APPLIED]) == (200, "wait=60")
            assert answer.json()["status"] == "done"

            answer = submit(one, sluggish, **PREFER)
            assert (answer.status_code, answer.json()["status"]) == (200, "done")


@pytest.mark.parametrize("how", [("--grace-period=0", "--force"), ()], ids=["killed", "stopped"])
def test_replica_that_goes_while_a_submission_waits_loses_nothing(
    release: ExtraRelease, sluggish: str, connect: Connect, how: tuple[str, ...]
) -> None:
    """The client sends its submission again, with its Idempotency-Key, as after any lost answer."""
    first, second = api_pods(release)
    headers = {**PREFER, "Idempotency-Key": f"waiting-{'-'.join(how) or 'stopped'}"}
    assert QUEUED_IMAGES * SLOW_SECONDS >= 10

    with connect(first) as one, connect(second) as other, ThreadPoolExecutor(1) as pool:
        for _ in range(QUEUED_IMAGES):
            submit(other, sluggish)
        cut = pool.submit(_submit_or_fail, one, sluggish, headers)
        _until_created(release, QUEUED_IMAGES + 1)
        release.kubectl("delete", "pod", first, "--wait=false", *how)

        early = cut.result(30)
        if early is not None:
            assert (early.status_code, early.json()["status"]) == (202, "queued")
            assert APPLIED not in early.headers

        answer = submit(other, sluggish, **headers)

    assert (answer.status_code, answer.json()["status"]) == (200, "done")
    if early is not None:
        assert answer.json()["job_id"] == early.json()["job_id"]
    assert len(_names(release)) == QUEUED_IMAGES + 1


def _submit_or_fail(
    api: httpx.Client, describer: str, headers: dict[str, str]
) -> httpx.Response | None:
    try:
        return submit(api, describer, **headers)
    except httpx.TransportError:
        return None


def _names(release: ExtraRelease) -> list[str]:
    return release.kubectl("get", "imagejobs", "-o", "name").split()


def _until_created(release: ExtraRelease, count: int) -> None:
    wait_for(lambda: len(_names(release)), lambda found: found == count)


@pytest.fixture(autouse=True)
def no_imagejobs(request: pytest.FixtureRequest) -> None:
    """Delete the ImageJobs of earlier tests from the release with two replicas."""
    if "release" in request.fixturenames:
        found: ExtraRelease = request.getfixturevalue("release")
        found.kubectl("delete", "imagejobs", "--all")
