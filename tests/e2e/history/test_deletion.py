"""Tests that deletion is real: nothing of a deleted job is left anywhere."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from conftest import Kubectl, wait_for
from faults.database.psql import DATABASE
from pytest_kind import KindCluster

from history.etcd import Etcd
from history.release_history import EARLY, ReleaseHistory, image_with, new_word

GREP_OBJECTS = """
import asyncio, json, sys
from vision_node_contract.clients.bucket import Bucket, BucketSettings, ObjectNotFoundError
words = json.load(sys.stdin)
async def main():
    found = set()
    async with Bucket.open(BucketSettings.from_env()) as bucket:
        folders = bucket.folders
        for folder in (folders.images, folders.inbox, folders.results, folders.batches):
            async for page in bucket.list_all(folder):
                for it in page:
                    found |= {word for word in words if word in it.key}
                    try:
                        data = await bucket.get(it.key, it.size_bytes)
                    except ObjectNotFoundError:
                        continue
                    found |= {word for word in words if word.encode() in data}
    print(json.dumps(sorted(found)))
asyncio.run(main())
"""
"""Program that prints which words are in the objects of the release's folders, or their keys."""


@dataclass(frozen=True)
class Planted:
    """Words that only one job has: in its image, its result, its options and its file name."""

    image: str
    prompt: str
    file_name: str

    @property
    def words(self) -> list[str]:
        """All words."""
        return [self.image, self.prompt, self.file_name]


@pytest.fixture
def etcd(kind_cluster: KindCluster) -> Etcd:
    return Etcd(f"{kind_cluster.name}-control-plane")


@pytest.fixture
def planted() -> Planted:
    return Planted(new_word(), new_word(), new_word())


def describe(history: ReleaseHistory, quoting: str, planted: Planted) -> str:
    """Submit an image with the planted words, and return the id of its job."""
    image, name = image_with(planted.image), f"{planted.file_name}.jpg"
    return history.describe(image, name, describer=quoting, prompt=planted.prompt)


def in_postgres(history: ReleaseHistory, words: list[str]) -> list[str]:
    """Return which words the release's schema has, in rows or in its index of words."""
    history.in_postgres("psql", "--username=postgres", f"--dbname={DATABASE}", "--command=VACUUM")
    pg_dump = ("pg_dump", "--username=postgres", f"--schema={history.schema}", DATABASE)
    copy = history.in_postgres(*pg_dump)
    assert "dump complete" in copy
    return [word for word in words if word in copy]


def in_bucket(kubectl: Kubectl, words: list[str]) -> list[str]:
    """Return which words the release's objects have."""
    command = ("exec", "-i", "deploy/vision-node-api", "--", "python", "-c", GREP_OBJECTS)
    found: list[str] = json.loads(kubectl(*command, input=json.dumps(words)))
    return found


def in_logs(kubectl: Kubectl, words: list[str]) -> list[str]:
    """Return which words are in the logs of the namespace's pods, or in its Events."""
    pods = kubectl("get", "pods", "-o", "name").split()
    texts = [kubectl("get", "events", "-o", "json"), *(log_of(kubectl, pod) for pod in pods)]
    assert any(texts[1:])
    return [word for word in words if any(word in text for text in texts)]


def log_of(kubectl: Kubectl, pod: str) -> str:
    """Return the log of a pod; an empty text if it is starting or gone."""
    try:
        return kubectl("logs", pod, "--all-containers", stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError:
        return ""


def in_etcd(etcd: Etcd, words: list[str]) -> list[str]:
    """Return which words the newest versions of all objects have."""
    etcd.forget_old_versions()
    return [word for word in words if etcd.has(word)]


def test_deleted_job_leaves_no_word_anywhere(
    history: ReleaseHistory, quoting: str, planted: Planted, etcd: Etcd, kubectl: Kubectl
) -> None:
    job = describe(history, quoting, planted)
    row, words = history.until_archived(job), planted.words
    # All places know the words that are looked for below.
    assert in_postgres(history, words) == words
    wait_for(lambda: in_etcd(etcd, words), lambda found: found == words)
    assert in_bucket(kubectl, words) == [planted.image]
    assert row["image_key"] in history.objects()

    kubectl("delete", "imagejob", job)
    wait_for(lambda: history.rows(job), lambda rows: not rows)
    wait_for(history.objects, lambda keys: row["image_key"] not in keys)
    assert history.api.get(f"/status/{job}").status_code == 404
    assert [history.found(word) for word in words] == [[]] * 3

    # etcd writes its file some time after the change.
    wait_for(lambda: in_etcd(etcd, words), lambda found: not found)
    left = {
        "PostgreSQL": in_postgres(history, words),
        "bucket": in_bucket(kubectl, words),
        "logs": in_logs(kubectl, words),
    }
    assert left == {"PostgreSQL": [], "bucket": [], "logs": []}


@pytest.fixture
def evicted(
    history: ReleaseHistory, quoting: str, planted: Planted
) -> Iterator[tuple[str, str, str]]:
    """Describe an image and evict its job; yield the job's name and uid, and the image's key."""
    with history.archiver_with(EARLY):
        job = describe(history, quoting, planted)
        row = history.until_evicted(job)
        yield job, row["uid"], row["image_key"]


def test_tombstone_deletes_an_evicted_job(
    history: ReleaseHistory,
    planted: Planted,
    evicted: tuple[str, str, str],
    kubectl: Kubectl,
) -> None:
    """The API's role may write tombstones, and nothing else."""
    job, uid, image_key = evicted
    assert image_key in history.objects()
    history.psql(f"SET LOCAL ROLE vision_node_api; INSERT INTO tombstones (uid) VALUES ('{uid}');")  # noqa: S608

    wait_for(lambda: history.rows(job), lambda rows: not rows)
    assert history.api.get(f"/status/{job}").status_code == 404
    wait_for(history.objects, lambda keys: image_key not in keys)
    assert in_postgres(history, planted.words) == []
    assert in_bucket(kubectl, planted.words) == []


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM jobs", "UPDATE jobs SET evicted_at = now()", "DELETE FROM tombstones"],
)
def test_api_may_not_change_the_history(
    history: ReleaseHistory, refused: Callable[..., str], statement: str
) -> None:
    sql = f"SET search_path TO {history.schema}; SET ROLE vision_node_api; {statement};"
    pod = "statefulset/vision-node-postgres"
    psql = ("psql", "--username=postgres", f"--dbname={DATABASE}", "--set=ON_ERROR_STOP=1")
    assert "permission denied" in refused("exec", "-i", pod, "--", *psql, input=sql)
