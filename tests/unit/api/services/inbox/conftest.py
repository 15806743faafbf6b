"""Fixtures for the inbox tests: a bucket on a fake S3 server, and an HTTP client for the API."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


@pytest.fixture
async def web(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client
