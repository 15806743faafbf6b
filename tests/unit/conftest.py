"""Fixtures for all unit tests: a fake S3 server, and a client for its bucket."""

from collections.abc import AsyncIterator

import pytest
from fakes.s3 import S3, serving_s3
from vision_node_contract.clients.bucket import Bucket


@pytest.fixture
async def behind() -> AsyncIterator[tuple[S3, Bucket]]:
    """A fake S3 server on a real socket, and a client for its bucket."""
    async with serving_s3() as (s3, settings), Bucket.open(settings) as store:
        yield s3, store


@pytest.fixture
def s3(behind: tuple[S3, Bucket]) -> S3:
    """The fake S3 server from the fixture `behind`."""
    return behind[0]
