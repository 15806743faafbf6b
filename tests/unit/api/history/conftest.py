"""Fixtures for the API with a history in a real database."""

from dataclasses import replace

import pytest
from api_archive import Archive
from api_fakes import Cluster, FakeBucket, batches_of, jobs_of
from api_health import health_of
from fastapi import FastAPI
from quick_app import quick_app
from vision_node_api.app import attach_services
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.health import Health
from vision_node_api.services.history.history_check import HistoryCheck
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_operator.archiver.history.store import HistoryStore


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
