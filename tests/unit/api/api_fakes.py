"""Fakes for the API's unit tests: a bucket and a cluster that keep their objects in dicts."""

import io
import random
from datetime import UTC, datetime
from typing import Any, cast

import pillow_heif
from PIL import Image
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.settings import Settings
from vision_node_api.watch.batch_follower import BatchFollower
from vision_node_api.watch.describer_cache import DescriberCache
from vision_node_api.watch.imagebatch_cache import ImageBatchCache
from vision_node_api.watch.imagejob_cache import ImageJobCache
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket, ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.bucket_objects import ObjectPage, StoredObject
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    ConflictError,
    Kube,
    NotFoundError,
    WatchEvent,
)
from vision_node_contract.models.imagejob import ImageJob, ImageJobSpec, ObjectMeta

pillow_heif.register_heif_opener()

LIMIT = 50_000
MODIFIED = datetime(2026, 1, 1, tzinfo=UTC)
"""Modification time of every object in the fake bucket."""
SETTINGS = Settings(
    "ns",
    max_image_bytes=LIMIT,
    max_image_pixels=1_000_000,
    max_unfinished_jobs=100,
    max_imagejobs=150,
)

_CONDITIONS = {"PATCH": "metadata", "DELETE": "preconditions"}
"""The part of a request's body that names the uid, by method."""


def picture(
    kind: str = "PNG", size: tuple[int, int] = (8, 6), mode: str = "RGB", noise: int = 0
) -> bytes:
    """Return an image, followed by `noise` random bytes."""
    out = io.BytesIO()
    Image.new(mode, size).save(out, kind)
    return out.getvalue() + random.Random(1).randbytes(noise)  # noqa: S311 (not a secret)


class FakeBucket:
    """A bucket that keeps objects in a dict, and refuses writes while `unavailable` is set."""

    def __init__(self) -> None:
        self.folders = BucketFolders("aaaabbbbcccc")
        self.objects: dict[str, bytes] = {}
        self.unavailable = False

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        assert media_type.startswith("image/")
        if self.unavailable:
            raise StoreUnavailableError("unavailable")
        self.objects[key] = data

    async def put_if(
        self, key: str, data: bytes, media_type: str, sha256: str, etag: str | None
    ) -> None:
        await self.put(key, data, media_type, sha256)

    async def delete(self, key: str) -> None:
        del self.objects[key]

    async def stat(self, key: str) -> StoredObject:
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return StoredObject(key, len(self.objects[key]), MODIFIED)

    async def list_page(self, prefix: str, after: str, max_objects: int) -> ObjectPage:
        return ObjectPage(
            [await self.stat(key) for key in self.objects if key.startswith(prefix)], is_last=True
        )

    async def get(self, key: str, max_bytes: int) -> bytes:
        if key not in self.objects:
            raise ObjectNotFoundError(key)
        return self.objects[key]


class Cluster:
    """A cluster that keeps ImageJobs in a dict.

    If `create_fails` is set, `create` raises that error instead of creating the ImageJob. If
    `lose_response` is also set, `create` creates the ImageJob and then raises the error.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, ImageJob] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        """ImageBatches by name, as JSON."""
        self.batch_reads = 0
        """Number of requests for ImageBatches."""
        self.batch_changes: list[tuple[str, str, dict[str, Any]]] = []
        """Method, name and body of each request that changes or deletes an ImageBatch."""
        self.batch_refusals: list[Exception] = []
        """Errors of the next such requests."""
        self.create_fails: Exception | None = None
        self.lose_response = False
        self.get_fails: Exception | None = None
        self.version = 0
        """The current resourceVersion."""

    async def current_version(self) -> int:
        return self.version

    async def create(self, name: str, spec: ImageJobSpec, labels: dict[str, str]) -> ImageJob:
        job = ImageJob(metadata=ObjectMeta(name=name, uid=name, labels=labels), spec=spec)
        if self.create_fails and not self.lose_response:
            raise self.create_fails
        if name in self.jobs:
            raise AlreadyExistsError(409, "AlreadyExists", name)

        self.jobs[name] = job
        if self.create_fails:
            raise self.create_fails

        return job

    async def request(
        self, method: str, path: str, *, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Respond like an API server with one Describer, `newest`, which no watch has reported.

        It also has the ImageBatches in `batches`.
        """
        if self.get_fails:
            raise self.get_fails
        if path.endswith("/imagebatches"):
            return self._create_batch(body or {})
        if "/imagebatches/" in path:
            if method != "GET":
                return self._change_batch(method, path.rpartition("/")[2], body or {})
            return self._batch(path.rpartition("/")[2])
        name = path.removeprefix("/apis/vision-node.dev/v1alpha1/namespaces/ns/describers/")
        if (method, name) != ("GET", "newest"):
            raise NotFoundError(404, "NotFound", name)
        return {"metadata": {"name": name}}

    def _batch(self, name: str) -> dict[str, Any]:
        self.batch_reads += 1
        if name not in self.batches:
            raise NotFoundError(404, "NotFound", name)
        return self.batches[name]

    def _create_batch(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["metadata"]["name"]
        self.batch_changes.append(("POST", name, body))
        if self.batch_refusals:
            raise self.batch_refusals.pop(0)
        if name in self.batches:
            raise AlreadyExistsError(409, "AlreadyExists", name)

        self.batches[name] = {**body, "metadata": {**body["metadata"], "uid": f"uid-of-{name}"}}
        return self.batches[name]

    def _change_batch(self, method: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.batch_changes.append((method, name, body))
        if self.batch_refusals:
            raise self.batch_refusals.pop(0)
        if name not in self.batches:
            raise NotFoundError(404, "NotFound", name)

        found = self.batches[name]
        if body[_CONDITIONS[method]]["uid"] != found["metadata"]["uid"]:
            raise ConflictError(409, "Conflict", name)
        if method == "DELETE":
            return self.batches.pop(name)

        self.batches[name] = {**found, "spec": {**found["spec"], **body["spec"]}}
        return self.batches[name]

    async def get(self, name: str) -> ImageJob:
        if self.get_fails:
            raise self.get_fails
        if name not in self.jobs:
            raise NotFoundError(404, "NotFound", name)
        return self.jobs[name]


def jobs_of(cluster: Cluster, bucket: FakeBucket) -> Jobs:
    """Return a Jobs service that uses the fakes and knows only the default describer."""
    imagejobs = cast("ImageJobClient", cluster)
    describers = DescriberCache(cast("Kube", cluster), "ns")
    describers.observe(WatchEvent("ADDED", [{"metadata": {"name": "metadata"}}]))

    return Jobs(imagejobs, ImageJobCache(imagejobs), describers, cast("Bucket", bucket), SETTINGS)


def batches_of(cluster: Cluster, jobs: Jobs) -> Batches:
    """Return a Batches service that uses the fakes, and whose watch has listed all ImageBatches."""
    kube = cast("Kube", cluster)
    cache = ImageBatchCache(kube, "ns")
    follower = BatchFollower(kube, cache.path, cache.observe)
    follower.listed = True

    return Batches(cache, follower, jobs.bucket, jobs.storage, SETTINGS)
