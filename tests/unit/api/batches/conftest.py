"""Fixtures for the tests of ImageBatches: a bucket on a fake S3 server, and an HTTP client."""

from collections.abc import AsyncIterator

import httpx
import pytest
from batch_fixture import Batch
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


@pytest.fixture
def batch(s3: S3) -> Batch:
    found = Batch(s3)
    found.freeze()
    return found


@pytest.fixture
async def web(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client
