"""Tests of the inbox, and of jobs that a user creates, reads and deletes with kubectl."""

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import NAMESPACE, wait_for
from pytest_kind import KindCluster
from sweeps import sweep

JOB = """
apiVersion: vision-node.dev/v1alpha1
kind: ImageJob
metadata: {name: by-hand}
spec:
  image: {key: inbox/photo.jpg}
"""


RELEASE_ID = "jsonpath={.data.id}"


@pytest.fixture
def watch(kind_cluster: KindCluster) -> Iterator[subprocess.Popen[str]]:
    """Run `kubectl get imagejobs -w` during the test, and yield its process."""
    command = [str(kind_cluster.kubectl_path), "--kubeconfig", str(kind_cluster.kubeconfig_path)]
    columns = "custom-columns=:.metadata.name,:.status.phase"
    command += ["-n", NAMESPACE, "get", "imagejobs", "-w", "-o", columns]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


def test_job_created_with_kubectl_is_described(
    kubectl: Callable[..., str],
    refused: Callable[..., str],
    watch: subprocess.Popen[str],
    api: httpx.Client,
    photo: Path,
) -> None:
    stored = api.post("/inbox/photo.jpg", files={"file": photo.read_bytes()})
    folder = f"inbox/{kubectl('get', 'configmap', 'vision-node-identity', '-o', RELEASE_ID)}/"
    assert (stored.is_success, stored.json()["key"]) == (True, f"{folder}photo.jpg")

    kubectl("apply", "-f", "-", input=JOB)
    kubectl("wait", "--for=condition=Complete", "imagejob/by-hand", "--timeout=60s")
    summary = kubectl("get", "imagejob", "by-hand", "-o", "jsonpath={.status.result.summary}")
    assert summary.startswith("Image Description:")
    default = kubectl("get", "imagejob", "by-hand", "-o", "jsonpath={.spec.describer}")
    assert default == "local"
    path = "jsonpath={.status.result.inline._generated_by} {.status.result.inline.facts.width}"
    assert kubectl("get", "imagejob", "by-hand", "-o", path) == "vision-node-gpt 640"

    kubectl("delete", "imagejob", "by-hand")
    assert "NotFound" in refused("get", "imagejob", "by-hand")
    assert phases(watch, "by-hand")[:3] == ["queued", "processing", "done"]


def test_inbox_objects_are_stored_listed_and_deleted(api: httpx.Client, photos: list[Path]) -> None:
    """Also check that the API has sufficient permissions in the bundled store."""
    first, second = (path.read_bytes() for path in photos[:2])
    assert put(api, "there/b.jpg", first) == (201, None)
    assert put(api, "there/a.jpg", first) == (201, None)
    assert put(api, "there/a.jpg", first) == (200, None)
    assert put(api, "there/a.jpg", second) == (409, "ObjectExists")
    assert put(api, "there/a.jpg?replace=true", second) == (200, None)

    found = api.get("/inbox", params={"prefix": "there/", "limit": 1}).json()
    assert [it["name"] for it in found["objects"]] == ["there/a.jpg"]
    query = {"prefix": "there/", "cursor": found["next_cursor"]}
    following = api.get("/inbox", params=query).json()
    assert [it["name"] for it in following["objects"]] == ["there/b.jpg"]
    assert api.get("/inbox/there/a.jpg").json()["sha256"] == hashlib.sha256(second).hexdigest()

    for name in ("there/a.jpg", "there/b.jpg"):
        assert api.delete(f"/inbox/{name}").status_code == 204

    assert api.delete("/inbox/there/a.jpg").json()["reason"] == "ObjectNotFound"
    assert api.get("/inbox", params={"prefix": "there/"}).json() == {
        "objects": [],
        "next_cursor": None,
    }


def test_only_one_of_many_simultaneous_uploads_with_one_name_succeeds(
    api: httpx.Client, photos: list[Path]
) -> None:
    with ThreadPoolExecutor(len(photos)) as pool:
        answers = list(pool.map(lambda path: put(api, "wanted.jpg", path.read_bytes()), photos))
    assert Counter(answers) == {(201, None): 1, (409, "ObjectExists"): len(photos) - 1}
    assert api.delete("/inbox/wanted.jpg").status_code == 204


def test_image_of_an_unfinished_job_cannot_be_deleted(
    api: httpx.Client, kubectl: Callable[..., str], photo: Path
) -> None:
    """A job with an unknown describer stays queued for a grace period of one minute."""
    job = JOB.replace("by-hand", "keeps").replace("photo.jpg", "kept.jpg")
    kubectl("create", "-f", "-", input=job + "  describer: unknown\n")

    def deleted() -> httpx.Response:
        # Store the image before each attempt. An earlier attempt may have deleted it, because the
        # watch may report the job with a delay.
        assert put(api, "kept.jpg", photo.read_bytes())[0] in {200, 201}
        return api.delete("/inbox/kept.jpg")

    refusal = wait_for(deleted, lambda answer: answer.status_code == 409)
    assert (refusal.json()["reason"], refusal.json()["imagejobs"]) == ("ObjectInUse", ["keeps"])
    kubectl("delete", "imagejob", "keeps")
    wait_for(lambda: api.delete("/inbox/kept.jpg").status_code, lambda status: status == 204)


def test_inbox_objects_expire_unless_a_job_needs_them(
    api: httpx.Client, kubectl: Callable[..., str], photo: Path
) -> None:
    """Also check that the operator has sufficient permissions in the bucket."""
    for name in ("old.jpg", "needed.jpg"):
        assert put(api, name, photo.read_bytes())[0] in {200, 201}

    job = JOB.replace("by-hand", "needs").replace("photo.jpg", "needed.jpg")
    kubectl("create", "-f", "-", input=job + "  describer: unknown\n")
    assert sweep(kubectl, "vision-node") == "swept"
    found = [api.get(f"/inbox/{name}").status_code for name in ("old.jpg", "needed.jpg")]
    kubectl("delete", "imagejob", "needs")
    assert found == [404, 200]


def put(api: httpx.Client, name: str, data: bytes) -> tuple[int, str | None]:
    """Store an image in the inbox. Return the HTTP status, and the reason if it was refused."""
    answer = api.post(f"/inbox/{name}", files={"file": ("photo", data)})
    return answer.status_code, answer.json().get("reason")


def phases(watch: subprocess.Popen[str], name: str) -> list[str]:
    """Stop the watch, and return a job's phases in the order in which the watch printed them."""
    watch.terminate()
    lines = [line.split() for line in watch.communicate(timeout=10)[0].splitlines()]
    return [line[1] for line in lines if line and line[0] == name]


def test_image_is_deleted_with_its_job(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    imagejob: Callable[[str], dict[str, Any]],
) -> None:
    job_id = submit(photo.read_bytes())
    ended(job_id)
    key = imagejob(job_id)["spec"]["image"]["key"]
    assert exists(kubectl, key)

    kubectl("delete", "imagejob", job_id)
    wait_for(lambda: exists(kubectl, key), lambda found: not found)


def test_sweep_deletes_only_orphans(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    imagejob: Callable[[str], dict[str, Any]],
) -> None:
    """Also check that the archiver has sufficient permissions in the bucket."""
    job_id = submit(photo.read_bytes())
    ended(job_id)
    key = imagejob(job_id)["spec"]["image"]["key"]

    orphan, foreign = f"{key}-orphan", "images/foreign"
    for each in (orphan, foreign):
        in_bucket(kubectl, f"bucket.put({each!r}, b'x', 'image/png')")
    assert sweep(kubectl, "vision-node") == "swept"

    found = [exists(kubectl, each) for each in (orphan, foreign, key)]
    in_bucket(kubectl, f"bucket.delete({foreign!r})")
    assert found == [False, True, True]


def exists(kubectl: Callable[..., str], key: str) -> bool:
    """Return whether the bucket contains an object with this key."""
    said = in_bucket(kubectl, f"bucket.get({key!r}, 1)")
    assert said in {"done", "gone"}
    return said == "done"


def in_bucket(kubectl: Callable[..., str], call: str) -> str:
    """Run a call such as `bucket.delete('images/a')` in the API's pod.

    Return `done`, or `gone` if the object does not exist.
    """
    code = (
        "import asyncio\n"
        "from vision_node_contract.clients.bucket import *\n"
        "async def main():\n"
        "    async with Bucket.open(BucketSettings.from_env()) as bucket:\n"
        f"        await {call}\n"
        "try: asyncio.run(main())\n"
        "except ObjectNotFoundError: print('gone')\n"
        "else: print('done')\n"
    )

    return kubectl("exec", "deploy/vision-node-api", "--", "python", "-c", code).strip()


def test_finished_job_is_deleted_after_its_time_to_live(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
) -> None:
    job_id = submit(photo.read_bytes())
    ended(job_id)

    patch = '{"spec": {"ttlSecondsAfterFinished": 0}}'
    kubectl("patch", "imagejob", job_id, "--type=merge", "-p", patch)
    kubectl("wait", "--for=delete", f"imagejob/{job_id}", "--timeout=60s")


def test_submission_determines_how_long_the_job_is_kept(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    imagejob: Callable[[str], dict[str, Any]],
) -> None:
    """The job vanishes after the shortest time that a submission may ask for."""
    brief, other = (submit(photo.read_bytes(), **fields) for fields in ({"ttlSeconds": "60"}, {}))
    kept = {job: lifetime(ended(job)) for job in (brief, other)}
    assert kept == {brief: 60, other: 2_592_000}  # 30 days, the default with a database

    specs = {job: imagejob(job)["spec"] for job in (brief, other)}
    assert specs[brief]["ttlSecondsAfterFinished"] == 60
    assert "ttlSecondsAfterFinished" not in specs[other]

    kubectl("wait", "--for=delete", f"imagejob/{brief}", "--timeout=120s")
    wait_for(lambda: exists(kubectl, specs[brief]["image"]["key"]), lambda found: not found)
    assert exists(kubectl, specs[other]["image"]["key"])


def lifetime(status: dict[str, Any]) -> float:
    """Return for how many seconds a finished job is kept, according to its status."""
    completed, expires = (
        datetime.fromisoformat(status[name]) for name in ("completed_at", "expires_at")
    )
    return (expires - completed).total_seconds()


def test_cancelled_job_fails(kubectl: Callable[..., str]) -> None:
    """The describer does not exist, so the job is still queued when it is cancelled."""
    manifest = JOB.replace("by-hand", "unwanted") + "  describer: unknown\n"
    kubectl("create", "-f", "-", input=manifest)
    kubectl("patch", "imagejob", "unwanted", "--type=merge", "-p", '{"spec": {"cancel": true}}')
    kubectl("wait", "--for=condition=Failed", "imagejob/unwanted", "--timeout=60s")
    error = json.loads(kubectl("get", "imagejob", "unwanted", "-o", "jsonpath={.status.error}"))
    assert error["reason"] == "Cancelled"
    kubectl("delete", "imagejob", "unwanted")
