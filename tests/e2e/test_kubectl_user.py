"""Somebody who has kubectl and nothing else: puts an image under inbox/, watches, waits, reads, deletes."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NAMESPACE, wait_for
from pytest_kind import KindCluster

JOB = """
apiVersion: vision-node.dev/v1alpha1
kind: ImageJob
metadata: {name: by-hand}
spec:
  image: {key: inbox/photo.jpg}
"""


@pytest.fixture
def watch(kind_cluster: KindCluster) -> Iterator[subprocess.Popen[str]]:
    """`kubectl get imagejobs -w`, running beside the test."""
    command = [str(kind_cluster.kubectl_path), "--kubeconfig", str(kind_cluster.kubeconfig_path)]
    command += [
        "-n",
        NAMESPACE,
        "get",
        "imagejobs",
        "-w",
        "-o",
        "custom-columns=:.metadata.name,:.status.phase",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.terminate()


def test_a_job_by_hand(
    kubectl: Callable[..., str],
    refused: Callable[..., str],
    watch: subprocess.Popen[str],
    photo: Path,
) -> None:
    with photo.open("rb") as image:
        said = kubectl("exec", "-i", "deploy/vision-node-api", "--", "inbox", "photo.jpg", stdin=image)
    assert said.strip() == "inbox/photo.jpg"
    kubectl("apply", "-f", "-", input=JOB)
    kubectl("wait", "--for=condition=Complete", "imagejob/by-hand", "--timeout=60s")
    summary = kubectl("get", "imagejob", "by-hand", "-o", "jsonpath={.status.result.summary}")
    assert summary.startswith("Image Description: - Dimensions: 640x427 pixels")
    path = "jsonpath={.status.result.inline._generated_by} {.status.result.inline.facts.width}"
    assert kubectl("get", "imagejob", "by-hand", "-o", path) == "vision-node-gpt 640"
    kubectl("delete", "imagejob", "by-hand")
    assert "NotFound" in refused("get", "imagejob", "by-hand")
    assert phases(watch, "by-hand")[:3] == ["queued", "processing", "done"]


@pytest.mark.parametrize(
    ("arguments", "data", "words"),
    [
        (["../photo.jpg"], b"x" * 100_000, "can't be used"),
        (["my photo.jpg"], b"x", "can't be used"),
        (["photo.jpg"], b"", "no bytes came on standard input"),
        (["photo.jpg"], b"no image" * 100_000, "no supported image format"),
        ([], b"x" * 1_000_000, "usage: inbox"),
    ],
)
def test_the_inbox_says_what_is_wrong_and_ends(
    refused: Callable[..., str], tmp_path: Path, arguments: list[str], data: bytes, words: str
) -> None:
    (tmp_path / "in").write_bytes(data)
    with (tmp_path / "in").open("rb") as image:
        said = refused(
            "exec", "-i", "deploy/vision-node-api", "--", "inbox", *arguments, stdin=image, timeout=60
        )
    assert words in said
    assert "Traceback" not in said


def phases(watch: subprocess.Popen[str], name: str) -> list[str]:
    """Return the phases that the watch has shown, in order."""
    watch.terminate()
    lines = [line.split() for line in watch.communicate(timeout=10)[0].splitlines()]
    return [line[1] for line in lines if line and line[0] == name]


def test_deleting_a_job_removes_its_image(
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
    wait_for(lambda: exists(kubectl, key), lambda there: not there)


SWEEP = """
import asyncio, datetime
from vision_node_contract.imagejobs import ImageJobs
from vision_node_contract.kube import Kube
from vision_node_contract.store import Store, StoreSettings
from vision_node_operator.garbage import Garbage
async def main():
    async with Kube.connect('test') as kube, Store.open(StoreSettings.from_env()) as store:
        garbage = Garbage(store, ImageJobs(kube, 'vision-node'), kube)
        # As if it were tomorrow: what is an hour old is swept.
        await garbage.sweep(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
asyncio.run(main())
"""


def test_the_sweep_takes_orphans_and_nothing_else(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
    imagejob: Callable[[str], dict[str, Any]],
) -> None:
    """With the operator's own rights in the bucket."""
    job_id = submit(photo.read_bytes())
    ended(job_id)
    key = imagejob(job_id)["spec"]["image"]["key"]
    in_bucket(kubectl, "store.put('images/orphan', b'x', 'image/png')")
    kubectl("exec", "deploy/vision-node-operator", "--", "python", "-c", SWEEP)
    assert (exists(kubectl, "images/orphan"), exists(kubectl, key)) == (False, True)


def exists(kubectl: Callable[..., str], key: str) -> bool:
    said = in_bucket(kubectl, f"store.get({key!r}, 1)")
    assert said in {"done", "gone"}
    return said == "done"


def in_bucket(kubectl: Callable[..., str], call: str) -> str:
    """Do something with the bucket from the API's pod; say whether the object was there."""
    code = (
        "import asyncio\n"
        "from vision_node_contract.store import *\n"
        "async def main():\n"
        "    async with Store.open(StoreSettings.from_env()) as store:\n"
        f"        await {call}\n"
        "try: asyncio.run(main())\n"
        "except ObjectNotFoundError: print('gone')\n"
        "else: print('done')\n"
    )
    return kubectl("exec", "deploy/vision-node-api", "--", "python", "-c", code).strip()


def test_jobs_expire(
    kubectl: Callable[..., str],
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], dict[str, Any]],
) -> None:
    job_id = submit(photo.read_bytes())
    ended(job_id)
    kubectl("patch", "imagejob", job_id, "--type=merge", "-p", '{"spec": {"ttlSecondsAfterFinished": 0}}')
    kubectl("wait", "--for=delete", f"imagejob/{job_id}", "--timeout=60s")


def test_cancel(kubectl: Callable[..., str]) -> None:
    """Nobody has the describer, so that the job is still queued when it is cancelled."""
    manifest = JOB.replace("by-hand", "unwanted") + "  describer: nobody\n"
    kubectl("create", "-f", "-", input=manifest)
    kubectl("patch", "imagejob", "unwanted", "--type=merge", "-p", '{"spec": {"cancel": true}}')
    kubectl("wait", "--for=condition=Failed", "imagejob/unwanted", "--timeout=60s")
    error = json.loads(kubectl("get", "imagejob", "unwanted", "-o", "jsonpath={.status.error}"))
    assert error["reason"] == "Cancelled"
    kubectl("delete", "imagejob", "unwanted")
