"""Fixtures for all unit tests: a fake S3 server, a client for its bucket, and PostgreSQL."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from unittest.mock import patch

import pytest
from fakes.s3 import S3, serving_s3
from history_database import make_template, open_database
from postgres import Postgres, memory_folder, serving_postgres
from vision_node_contract.clients import outbound
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.history.database import Database
from vision_node_operator.archiver.history.store import HistoryStore


@pytest.fixture(scope="session")
def authorities() -> ssl.SSLContext:
    """The trusted authorities. Reading them takes 30 ms of CPU time, and no test needs them."""
    return outbound.tls()


@pytest.fixture
async def behind(authorities: ssl.SSLContext) -> AsyncIterator[tuple[S3, Bucket]]:
    """A fake S3 server on a real socket, and a client for its bucket."""
    async with serving_s3() as (s3, settings), AsyncExitStack() as stack:
        with patch.object(outbound, "tls", return_value=authorities):
            store = await stack.enter_async_context(Bucket.open(settings))
        yield s3, store


@pytest.fixture
def s3(behind: tuple[S3, Bucket]) -> S3:
    """The fake S3 server from the fixture `behind`."""
    return behind[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests of a process; each test creates databases of its own."""
    with serving_postgres(parent=memory_folder()) as server:
        yield server


@pytest.fixture(scope="session")
def history_template(postgres: Postgres) -> str:
    """The name of a database with the history's tables, for copies of it."""
    return make_template(postgres)


@pytest.fixture
def history_url(postgres: Postgres, history_template: str) -> Iterator[str]:
    """The URL of a new database with the history's empty tables, for its superuser."""
    name = postgres.create_database(history_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
async def history_database(history_url: str) -> AsyncIterator[Database]:
    """A pool of connections to a new database with the history's empty tables."""
    async with open_database(history_url) as database:
        yield database


@pytest.fixture
def history(history_database: Database) -> HistoryStore:
    """The store of a new, empty history that has an owner."""
    return HistoryStore(history_database)
