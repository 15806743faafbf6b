"""Fixtures for tests of actions: an API server, a bucket, a database and two replicas."""

import socket
from collections.abc import AsyncIterator

import pytest
from acting_fixture import Places, Replica, replica
from api_archive import Archive
from fakes.job_api import JobApi, serving_jobs
from fakes.s3 import S3
from history_database import SCHEMA
from vision_node_api.services.history.reader import HistoryReader
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube
from vision_node_contract.history.database import Database, DatabaseSettings


@pytest.fixture
async def kubernetes() -> AsyncIterator[tuple[JobApi, Kube]]:
    """An API server on a real socket, and a client for it."""
    async with serving_jobs() as found:
        yield found


@pytest.fixture
def api(kubernetes: tuple[JobApi, Kube]) -> JobApi:
    return kubernetes[0]


@pytest.fixture
def places(api: JobApi, s3: S3, archive: Archive) -> Places:
    return Places(api, s3, archive)


@pytest.fixture
async def one(
    kubernetes: tuple[JobApi, Kube], behind: tuple[S3, Bucket], reader: HistoryReader
) -> AsyncIterator[Replica]:
    """The replica that tests send most requests to."""
    async with replica(kubernetes[1], behind[1], reader) as found:
        yield found


@pytest.fixture
async def other(
    kubernetes: tuple[JobApi, Kube], behind: tuple[S3, Bucket], reader: HistoryReader
) -> AsyncIterator[Replica]:
    """Another replica, whose caches are its own."""
    async with replica(kubernetes[1], behind[1], reader) as found:
        yield found


@pytest.fixture
async def without_history(
    kubernetes: tuple[JobApi, Kube], behind: tuple[S3, Bucket]
) -> AsyncIterator[Replica]:
    """A replica of a release without a database."""
    async with replica(kubernetes[1], behind[1], None) as found:
        yield found


@pytest.fixture
async def away(
    kubernetes: tuple[JobApi, Kube], behind: tuple[S3, Bucket]
) -> AsyncIterator[Replica]:
    """A replica whose database refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = DatabaseSettings(f"postgresql://u@127.0.0.1:{port}/x")
    async with (
        Database.open(settings, SCHEMA) as database,
        replica(kubernetes[1], behind[1], HistoryReader(database)) as found,
    ):
        yield found
