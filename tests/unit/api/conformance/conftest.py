"""Fixtures of the API with all of its parts: a bucket, a database, jobs and batches."""

import hashlib
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from api_fakes import Cluster, batches_of, jobs_of
from batches.batch_fixture import FOLDERS, NAME, Batch, manifest_line
from fakes.s3 import S3
from history.api_archive import job_body, result_body, uid_of
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_api.web import prefer
from vision_node_api.web.json_lines import json_line
from vision_node_contract.batch_objects import BatchFolder, IndexEntry
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob, ObjectMeta

DONE, FAILED, QUEUED = "job-1", "job-2", "job-3"
BATCHES = (NAME, "open")
PHOTO = "photo.png"


WAIT_SECONDS = 1
"""The longest wait for an outcome (`Prefer: wait=N`), so that nobody waits for what never ends."""


class LastingCluster(Cluster):
    """A cluster whose objects survive what is done to them, so that each request finds them."""

    async def cancel(self, known: ObjectMeta) -> ImageJob:
        """Return the ImageJob as it would be if it was cancelled."""
        job = await self.get(known.name)
        return job.model_copy(update={"spec": job.spec.model_copy(update={"cancel": True})})

    async def delete(self, known: ObjectMeta) -> None:
        """Replace the ImageJob with a new one, which has the same name."""
        job = await self.get(known.name)
        metadata = job.metadata.model_copy(update={"uid": str(uuid4())})
        self.jobs[known.name] = job.model_copy(update={"metadata": metadata})

    def _change_batch(self, method: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        known = {**self.batches}
        found = super()._change_batch(method, name, body)
        if method == "DELETE":
            self.batches = known
        return found


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the API wait for a second at most."""
    monkeypatch.setattr(prefer, "MAX_WAIT_SECONDS", WAIT_SECONDS)


@pytest.fixture
def cluster() -> Cluster:
    return LastingCluster()


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


@pytest.fixture
def jobs(bucket: Bucket, cluster: Cluster, reader: HistoryReader) -> Jobs:
    """Jobs in each phase."""
    jobs = replace(jobs_of(cluster, bucket), history=reader)  # type: ignore[arg-type]
    for number, phase in ((1, "done"), (2, "failed"), (3, "queued")):
        body = job_body(number, phase=phase)
        cluster.jobs[body["metadata"]["name"]] = ImageJob.model_validate(body)
        jobs.cache.observe(WatchEvent("ADDED", [body]))
    return jobs


def described(s3: S3, entry: IndexEntry) -> IndexEntry:
    """Store complete results in place of those of a shard, and return its new entry."""
    lines = [json.loads(manifest_line(index)) for index in range(5)]
    data = b"".join(json_line({**line, "result": result_body("A cat")}) for line in lines)
    s3.put(str(entry.key), data)
    digest = hashlib.sha256(data).hexdigest()
    return entry.model_copy(update={"sha256": digest, "size_bytes": len(data)})


@pytest.fixture
def batches(cluster: Cluster, jobs: Jobs, reader: HistoryReader, s3: S3) -> Batches:
    """An ImageBatch with results, and one to which images can be uploaded."""
    batches = replace(batches_of(cluster, jobs), history=reader)
    finished, uploaded = uid_of(1), uid_of(2)
    batch = Batch(s3, total=5, phase="done", folder=BatchFolder(FOLDERS, finished))
    batch.freeze()
    batch.count(described(s3, batch.shard(0, 4)))
    open_batch = batch.body(name="open", uid=uploaded) | {"spec": {"upload": {}}, "status": {}}
    for body in (batch.body(uid=finished), open_batch):
        cluster.batches[body["metadata"]["name"]] = body
        batches.cache.observe(WatchEvent("ADDED", [body]))
    return batches
