"""Fixtures for the tests of uploads of many images: a bucket and ImageBatches on real sockets."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import httpx
import pytest
from api_fakes import SETTINGS
from fakes.batch_api import BatchApi, serving_batches
from fakes.s3 import S3
from uploaded_batches import World
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.batches.creation import BatchCreation
from vision_node_api.services.jobs import Jobs
from vision_node_api.uploads.upload_limit import UploadLimiter
from vision_node_api.watch.batch_follower import BatchFollower
from vision_node_api.watch.imagebatch_cache import ImageBatchCache
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


@pytest.fixture
async def kubernetes() -> AsyncIterator[tuple[BatchApi, Kube]]:
    async with serving_batches() as served:
        yield served


@pytest.fixture
def api(kubernetes: tuple[BatchApi, Kube]) -> BatchApi:
    return kubernetes[0]


@pytest.fixture
def batches(kubernetes: tuple[BatchApi, Kube], jobs: Jobs) -> Batches:
    cache = ImageBatchCache(kubernetes[1], "ns")
    follower = BatchFollower(kubernetes[1], cache.path, cache.observe)
    follower.listed = True
    return Batches(cache, follower, jobs.bucket, jobs.storage, SETTINGS)


@pytest.fixture
def creation(jobs: Jobs, batches: Batches) -> BatchCreation:
    return BatchCreation(jobs, batches, batches.cache.client)


@pytest.fixture
async def web(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client


@pytest.fixture
def world(api: BatchApi, s3: S3) -> World:
    return World(api, s3)


@pytest.fixture
def limited(jobs: Jobs) -> Callable[[int], None]:
    """Function that limits the memory that uploads share, in bytes. The reserve stays."""

    def limit(shared_bytes: int) -> None:
        known = jobs.uploads.limits
        limits = replace(known, memory_bytes=known.largest_bytes + shared_bytes)
        object.__setattr__(jobs, "uploads", UploadLimiter(limits))

    return limit
