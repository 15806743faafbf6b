"""Fixtures for tests of the history of ImageBatches, with a real database."""

from datetime import timedelta

import pytest
from batch_history_world import HistoryWorld
from fakes.batch_api import BatchApi
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket
from vision_node_operator.archiver.batch_history import batch_history, evictions, live_batches
from vision_node_operator.archiver.batches import BatchClient
from vision_node_operator.archiver.folder_cleaner import FolderCleaner
from vision_node_operator.archiver.history.store import HistoryStore


@pytest.fixture(autouse=True)
def no_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do everything in each round, and retry soon."""
    for name in ("EVICT_SECONDS", "EXPIRE_SECONDS", "RECONCILE_SECONDS", "EVICT_RETRY_SECONDS"):
        monkeypatch.setattr(batch_history, name, 0.0)
    monkeypatch.setattr(evictions, "REFUSED_STAY", timedelta(0))
    monkeypatch.setattr(batch_history, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(batch_history, "RETRY_SECONDS", (0.001, 0.01))
    monkeypatch.setattr(live_batches, "RETRY_SECONDS", (0.0, 0.0))


@pytest.fixture
def world(
    api: BatchApi, client: BatchClient, s3: S3, bucket: Bucket, cleaner: FolderCleaner,
    history: HistoryStore, history_url: str,
) -> HistoryWorld:  # fmt: skip
    """A cluster, a bucket and a database, and a history of ImageBatches."""
    return HistoryWorld(api, client, s3, bucket, cleaner, history, history_url)
