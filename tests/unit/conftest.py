"""Fixtures for all unit tests: a fake S3 server, a client for its bucket, and PostgreSQL."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fakes.s3 import S3, serving_s3
from postgres import Postgres, serving_postgres
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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server. It is started once; each test creates databases of its own."""
    with serving_postgres() as server:
        yield server
