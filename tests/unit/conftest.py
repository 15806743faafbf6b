"""A bucket behind the contract's client, for all unit tests."""

from collections.abc import AsyncIterator

import pytest
from fakes.s3 import S3, serving_s3
from vision_node_contract.clients.bucket import Bucket


@pytest.fixture
async def behind() -> AsyncIterator[tuple[S3, Bucket]]:
    """A server that speaks S3's protocol over a real socket, and a client of its bucket."""
    async with serving_s3() as (s3, settings), Bucket.open(settings) as store:
        yield s3, store


@pytest.fixture
def s3(behind: tuple[S3, Bucket]) -> S3:
    """The server."""
    return behind[0]
