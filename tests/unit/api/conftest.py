"""The API over a real HTTP exchange, with fakes behind it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from api_fakes import SETTINGS, Bucket, Cluster
from vision_node_api.app import assemble
from vision_node_api.cache import JobCache
from vision_node_api.describers import Describers
from vision_node_api.jobs import Jobs
from vision_node_contract.kube import Event


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def jobs(bucket: Bucket, cluster: Cluster) -> Jobs:
    parts: Any = (cluster, JobCache(cluster), Describers(cluster, "ns"), bucket, SETTINGS)
    jobs = Jobs(*parts)
    jobs.describers.observe(Event("ADDED", [{"metadata": {"name": "metadata"}}]))
    return jobs


@pytest.fixture
async def client(jobs: Jobs) -> AsyncIterator[httpx.AsyncClient]:
    app = assemble()
    app.state.jobs = jobs
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client
