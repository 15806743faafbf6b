"""Fixtures for the work on single ImageJobs: an API server, a bucket, PostgreSQL, an archiver."""

from collections.abc import AsyncIterator

import pytest
from archive_place import Place
from fakes.job_api import serving_jobs
from fakes.s3 import S3
from postgres import Postgres
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.history.database import DatabaseSettings
from vision_node_operator.archiver.history import link
from vision_node_operator.archiver.jobs import (
    archive_queue,
    deletions,
    evictor,
    imagejob_watch,
    reconciliation,
    retention,
)
from vision_node_operator.archiver.settings import HistorySettings


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do everything soon."""
    monkeypatch.setattr(link, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(link, "RETRY_SECONDS", (0.01, 0.05))
    monkeypatch.setattr(imagejob_watch, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(archive_queue, "GROUP_SECONDS", 0.01)
    monkeypatch.setattr(retention, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(retention, "MIN_ROUND_SECONDS", 0.01)
    monkeypatch.setattr(evictor, "ROUND_SECONDS", 0.02)
    monkeypatch.setattr(deletions, "BUSY_SECONDS", 0.01)
    monkeypatch.setattr(reconciliation, "TOMBSTONE_SECONDS", 0.02)
    monkeypatch.setattr(reconciliation, "RECONCILE_SECONDS", 0.05)
    monkeypatch.setattr(reconciliation, "RETRY_SECONDS", 0.05)


@pytest.fixture
async def place(behind: tuple[S3, Bucket], postgres: Postgres) -> AsyncIterator[Place]:
    """An empty namespace, an empty bucket and an empty database."""
    database = postgres.create_database()
    settings = HistorySettings(DatabaseSettings(postgres.url(database)))
    async with serving_jobs() as (api, kube):
        place = Place(api, kube, *behind, postgres, database, settings)
        yield place
        place.close()
    postgres.drop_database(database)
