"""A replica of the API for tests of actions, and ImageJobs at every place."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from api_archive import Archive, job_body, uid_of
from api_fakes import SETTINGS, picture
from api_health import health_of
from fakes.job_api import JobApi
from fakes.s3 import RELEASE_ID, S3
from vision_node_api.app import attach_services, build_app
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.acting.retry_failed import FailedRetry
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_api.watch.batch_follower import BatchFollower
from vision_node_api.watch.describer_cache import DescriberCache
from vision_node_api.watch.imagebatch_cache import ImageBatchCache
from vision_node_api.watch.imagejob_cache import ImageJobCache
from vision_node_api.watch.single_imagejobs import SingleImageJobs
from vision_node_api.web.http_settings import HttpSettings
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube, WatchEvent
from vision_node_contract.models.imagejob import ImageJob

DESCRIBERS = ("metadata", "local", "openai")
PICTURE = picture()
SHA256 = hashlib.sha256(PICTURE).hexdigest()


@dataclass
class Replica:
    """A process of the API. Its caches know what a test reports to them."""

    jobs: Jobs
    batches: Batches
    client: httpx.AsyncClient
    failed_retry: FailedRetry

    def report(self, body: dict[str, Any], kind: Any = "ADDED") -> None:
        """Let the watch report an ImageJob."""
        self.jobs.cache.observe(WatchEvent(kind, [body]))

    async def status(self, job: str) -> str:
        """Return the status of a job, or the reason why there is none."""
        answer = (await self.client.get(f"/status/{job}")).json()
        return str(answer.get("status") if "job_id" in answer else answer["reason"])


@asynccontextmanager
async def replica(
    kube: Kube, bucket: Bucket, reader: HistoryReader | None
) -> AsyncIterator[Replica]:
    """Start a process of the API."""
    imagejobs = SingleImageJobs(kube, "ns")
    describers = DescriberCache(kube, "ns")
    bodies: list[dict[str, Any]] = [{"metadata": {"name": name}} for name in DESCRIBERS]
    describers.observe(WatchEvent("PAGE", bodies))
    jobs = Jobs(imagejobs, ImageJobCache(imagejobs), describers, bucket, SETTINGS, reader)

    cache = ImageBatchCache(kube, "ns")
    follower = BatchFollower(kube, cache.path, cache.observe)
    follower.listed = True
    batches = Batches(cache, follower, bucket, jobs.storage, SETTINGS, reader)

    app = build_app()
    attach_services(app, jobs, batches, health_of(jobs), {})
    transport = httpx.ASGITransport(add_middleware(app, HttpSettings(), app.state.metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield Replica(jobs, batches, client, app.state.failed_retry)


@dataclass
class Places:
    """Puts jobs to where they may be: etcd, the history, or both."""

    api: JobApi
    s3: S3
    archive: Archive

    async def put(self, place: str, phase: str, number: int = 1, **changes: Any) -> dict[str, Any]:
        """Create the job `job-<number>` with its image at a place, and return it as JSON.

        The places are `live`, `archived` (in etcd and in the history) and `evicted`.
        """
        body = self.body(phase, number, **changes)
        self.store_image(body)
        if place != "evicted":
            self.api.put(body)
            body = self.api.bodies[body["metadata"]["name"]]
        if place != "live":
            await self.archive.add(body)
        return body

    def body(self, phase: str, number: int = 1, **changes: Any) -> dict[str, Any]:
        """Return a job; the phase `cancelled` is that of one that has failed for this reason."""
        if phase == "cancelled":
            changes = {"reason": "Cancelled", **changes}
        body = job_body(number, phase="failed" if phase == "cancelled" else phase, **changes)
        if reason := changes.get("reason"):
            body["status"]["error"]["reason"] = reason
        return body

    def store_image(self, body: dict[str, Any]) -> None:
        """Store the image of a job in the bucket, and say so in its spec."""
        image = body["spec"]["image"]
        self.s3.put(image["key"], PICTURE)
        image |= {"sha256": SHA256, "sizeBytes": len(PICTURE)}

    def job(self, name: str) -> ImageJob:
        """Return an ImageJob in etcd."""
        return ImageJob.model_validate(self.api.bodies[name])

    @property
    def images(self) -> set[str]:
        """Keys of all images in the bucket."""
        return {key for key in self.s3.objects if key.startswith(f"images/{RELEASE_ID}/")}


def uid(number: int = 1) -> str:
    """Return the uid of `job-<number>`."""
    return uid_of(number)
