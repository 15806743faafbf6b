"""Fixtures for the archiver's tests: a fake API server, and an archiver that is running."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from archiver_helpers import Frozen, frozen_lines
from fakes.batch_api import IDENTITY, NAMESPACE, BatchApi, serving_batches
from fakes.ownership import FakeOwnership
from fakes.s3 import S3
from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube
from vision_node_operator.archiver import freeze_queue, freezer, service
from vision_node_operator.archiver.batch_parts import BatchParts
from vision_node_operator.archiver.batches import BatchClient
from vision_node_operator.archiver.folder_cleaner import FolderCleaner
from vision_node_operator.archiver.freezer import Freezer
from vision_node_operator.archiver.history.link import Surroundings
from vision_node_operator.archiver.settings import Settings
from vision_node_operator.runtime.freshness import Heartbeat
from vision_node_operator.runtime.storage_ownership import StorageOwnership

Start = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry soon."""
    monkeypatch.setattr(freeze_queue, "RETRY_SECONDS", (0.001, 0.01))
    monkeypatch.setattr(freeze_queue, "RELIST_SECONDS", 0.001)
    monkeypatch.setattr(freeze_queue, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(freezer, "COMMIT_PAUSES", (0.001, 0.01))


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[BatchApi, Kube]]:
    """A fake API server, and a client for it."""
    async with serving_batches() as found:
        yield found


@pytest.fixture
def api(cluster: tuple[BatchApi, Kube]) -> BatchApi:
    """The fake API server from the fixture `cluster`."""
    return cluster[0]


@pytest.fixture
def client(cluster: tuple[BatchApi, Kube]) -> BatchClient:
    """A client for ImageBatches."""
    return BatchClient(cluster[1], NAMESPACE)


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    """A client for the fake bucket."""
    return behind[1]


@pytest.fixture
def ownership() -> FakeOwnership:
    """A check that says that the folders are ours."""
    return FakeOwnership()


@pytest.fixture
async def cleaner(bucket: Bucket, ownership: FakeOwnership) -> AsyncIterator[FolderCleaner]:
    """A cleaner that is running."""
    owner: Any = ownership
    cleaner = FolderCleaner(bucket, owner)
    running = asyncio.create_task(cleaner.run())
    yield cleaner
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def freezer_of(
    bucket: Bucket, client: BatchClient, cleaner: FolderCleaner
) -> Callable[..., Freezer]:
    """Return a function that makes a Freezer with a limit of images."""

    def make(max_images: int = 1_000_000) -> Freezer:
        return Freezer(bucket, client, cleaner, max_images)

    return make


@pytest.fixture
def archiver(behind: tuple[S3, Bucket], cluster: tuple[BatchApi, Kube]) -> Start:
    """Return a function that runs an archiver during a block."""

    @asynccontextmanager
    async def start(max_images: int = 1_000_000) -> AsyncIterator[None]:
        settings = Settings(NAMESPACE, IDENTITY, max_images)
        ownership = StorageOwnership(behind[1], cluster[1], settings)
        around = Surroundings(cluster[1], behind[1], ownership, settings)
        parts = BatchParts.of(around, settings)
        work = service.together(service.batch_work(around, settings, Heartbeat(), parts))
        task = asyncio.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    return start


@pytest.fixture
def frozen(s3: S3, api: BatchApi) -> Frozen:
    """Return a function that returns the lines of an ImageBatch's manifest."""

    def read(name: str) -> list[ManifestLine]:
        return frozen_lines(s3, api.batch(name))

    return read
