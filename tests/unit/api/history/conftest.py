"""Fixtures for the API with a history in a real database."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from api_archive import Archive
from api_fakes import Cluster, FakeBucket, batches_of, jobs_of
from api_health import health_of
from fastapi import FastAPI
from history_database import API_ROLE, SCHEMA
from quick_app import quick_app
from vision_node_api.app import CONNECTIONS, attach_services
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.health import Health
from vision_node_api.services.history.history_check import HistoryCheck
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_contract.history.database import Database, DatabaseSettings, Limits
from vision_node_operator.archiver.history.store import HistoryStore


@pytest.fixture
async def reader(history_url: str) -> AsyncIterator[HistoryReader]:
    """The history as the API reads it: with its own role and limits."""
    settings = DatabaseSettings(history_url.replace("postgres@", f"{API_ROLE}@"))
    async with Database.open(settings, SCHEMA, Limits(connections=CONNECTIONS)) as database:
        yield HistoryReader(database)


@pytest.fixture
def archive(history: HistoryStore) -> Archive:
    """Writes jobs to the history, as the archiver does."""
    return Archive(history)


@pytest.fixture
def jobs(bucket: FakeBucket, cluster: Cluster, reader: HistoryReader) -> Jobs:
    return replace(jobs_of(cluster, bucket), history=reader)


@pytest.fixture
def batches(cluster: Cluster, jobs: Jobs, reader: HistoryReader) -> Batches:
    return replace(batches_of(cluster, jobs), history=reader)


@pytest.fixture
def health(jobs: Jobs, reader: HistoryReader) -> Health:
    return replace(health_of(jobs), history=HistoryCheck(reader))


@pytest.fixture
def app(jobs: Jobs, batches: Batches, health: Health) -> FastAPI:
    app = quick_app()
    attach_services(app, jobs, batches, health, {})
    return app
