"""Fixtures for the tests of owners: a bucket on a fake S3 server, and clients of each owner."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fakes.s3 import S3
from owner_world import ADMIN, ANNA, BEN, access_of, client_as
from starlette.types import ASGIApp
from vision_node_contract.clients.bucket import Bucket


@pytest.fixture
def bucket(behind: tuple[S3, Bucket]) -> Bucket:
    return behind[1]


@pytest.fixture
async def anna(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with client_as(served, access_of(ANNA)) as client:
        yield client


@pytest.fixture
async def ben(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with client_as(served, access_of(BEN)) as client:
        yield client


@pytest.fixture
async def admin(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with client_as(served, ADMIN) as client:
        yield client
