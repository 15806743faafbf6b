"""Write finished jobs and batches to the history, as the archiver does."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from api_fakes import Cluster
from vision_node_api.services.jobs import Jobs
from vision_node_contract.batch_objects import LineError, ResultLine
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.records import ImageRow, JobRow
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_operator.archiver.history.store import HistoryStore

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FOLDERS = BucketFolders("aaaabbbbcccc")
PNG_SHA256 = hashlib.sha256(b"png").hexdigest()


def uid_of(number: int) -> str:
    """Return a uid. Uids are in the order of their numbers."""
    return str(UUID(int=number))


def job_body(number: int, *, phase: str = "done", **changes: Any) -> dict[str, Any]:
    """Return an ImageJob that was created `number` seconds after START."""
    created = changes.get("created", START + timedelta(seconds=number))
    ended = phase in {"done", "failed"}
    status = {"phase": phase, "attempts": 1}
    if ended:
        status["completionTime"] = f"{created + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    if phase == "failed":
        message = "the describer refused it"
        status["error"] = {"reason": "ContentRefused", "message": message, "retryable": False}
    if phase == "done":
        inline = result_body(changes.get("caption", "A cat on a sofa"))
        status["result"] = {"describer": "local", "summary": "A cat", "inline": inline}

    labels = {"vision-node.dev/owner": changes["owner"]} if "owner" in changes else {}
    image = {"key": f"images/aaaabbbbcccc/{number}", "fileName": changes.get("file_name")}
    return {
        "metadata": {
            "name": changes.get("name", f"job-{number}"),
            "uid": uid_of(number),
            "resourceVersion": str(number),
            "creationTimestamp": f"{created:%Y-%m-%dT%H:%M:%SZ}",
            "labels": labels,
        },
        "spec": {"image": image, "describer": "local", **changes.get("spec", {})},
        "status": {**status, **changes.get("status", {})},
    }


def result_body(caption: str) -> dict[str, Any]:
    """Return a result."""
    return {
        "description": f"Image Description: {caption}.",
        "alt": f"Photo: {caption}",
        "caption": caption,
        "describer": "local",
        "seconds": 0.5,
    }


def batch_body(number: int, **status: Any) -> dict[str, Any]:
    """Return a finished ImageBatch."""
    return {
        "metadata": {
            "name": f"batch-{number}",
            "uid": uid_of(number),
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"prefix": "inbox/holiday/", "describer": "local"},
        "status": {"phase": "done", "completionTime": "2026-01-01T01:00:00Z", **status},
    }


class Archive:
    """Writes to the history.

    Args:
        store: The archiver's store.
    """

    def __init__(self, store: HistoryStore) -> None:
        self.store = store

    async def add(
        self, *bodies: dict[str, Any], result: dict[str, Any] | None = None, refused: str = ""
    ) -> None:
        """Archive ImageJobs, with the results in their statuses or with `result`.

        If `refused` is set, the rows are those that PostgreSQL refused with this message.
        """
        rows = []
        for body in bodies:
            job = ImageJob.model_validate(body)
            inline = (body["status"].get("result") or {}).get("inline")
            found = result or inline
            row = ImageRow.of_job(job, body, found, NOW)
            row = row.refused(refused) if refused else row
            rows.append((row, JobRow.of(job, FOLDERS, NOW, in_row=found is not None)))

        written = await self.store.add_jobs(rows, 1)
        assert (written.rows, written.refused) == (len(bodies), 0)

    async def add_batch(self, body: dict[str, Any]) -> None:
        """Archive an ImageBatch."""
        assert await self.store.add_batch(ImageBatch.model_validate(body), json.dumps(body))

    async def add_images(
        self, body: dict[str, Any], captions: dict[str, str | None], at: datetime
    ) -> None:
        """Archive images of a batch by customId. Those without caption have failed."""
        error = LineError(reason="ImageUnreadable", message="it is no image")
        lines = [
            ResultLine(index=index, custom_id=custom_id, result=result_body(caption))
            if caption
            else ResultLine(index=index, custom_id=custom_id, error=error)
            for index, (custom_id, caption) in enumerate(captions.items())
        ]
        batch = ImageBatch.model_validate(body)
        rows = [ImageRow.of_line(batch, line, at) for line in lines]
        assert (await self.store.add_batch_images(batch.metadata.uid, 0, rows)).rows == len(rows)


def report(jobs: Jobs, *bodies: dict[str, Any]) -> None:
    """Let the watch report ImageJobs."""
    jobs.cache.observe(WatchEvent("ADDED", list(bodies)))


def put_into_etcd(cluster: Cluster, body: dict[str, Any]) -> None:
    """Create an ImageJob that the watch has not reported."""
    job = ImageJob.model_validate(body)
    cluster.jobs[job.metadata.name] = job
