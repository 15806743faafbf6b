"""Fixtures for the API's tests: the API with fake dependencies, and HTTP clients for it."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from api_fakes import Cluster, FakeBucket, batches_of, jobs_of
from api_health import health_of
from api_server import serving
from declared_reasons import TABLE, undeclared
from fakes.keys_api import KeysApi
from fastapi import FastAPI
from history_database import API_ROLE, SCHEMA
from quick_app import quick_app
from secured import SecuredApi, secured
from starlette.types import ASGIApp, Scope
from vision_node_api.app import CONNECTIONS, attach_services
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.problems import Problem, ProblemResponse
from vision_node_contract.history.database import Database, DatabaseSettings, Limits


@pytest.fixture(autouse=True)
def each_reason_is_declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which a route answers with a reason that its description lacks."""
    missing: set[str] = set()
    respond = Problem.response_at

    def response_at(problem: Problem, scope: Scope) -> ProblemResponse:
        missing.update(undeclared(scope, problem))
        return respond(problem, scope)

    monkeypatch.setattr(Problem, "response_at", response_at)
    yield

    assert not missing, f"Add to REASONS in {TABLE}: {', '.join(sorted(missing))}"


@pytest.fixture
def bucket() -> FakeBucket:
    return FakeBucket()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def reader(history_url: str) -> AsyncIterator[HistoryReader]:
    """The history as the API reads it: with its own role and limits."""
    settings = DatabaseSettings(history_url.replace("postgres@", f"{API_ROLE}@"))
    async with Database.open(settings, SCHEMA, Limits(connections=CONNECTIONS)) as database:
        yield HistoryReader(database)


@pytest.fixture
def jobs(bucket: FakeBucket, cluster: Cluster) -> Jobs:
    return jobs_of(cluster, bucket)


@pytest.fixture
def batches(cluster: Cluster, jobs: Jobs) -> Batches:
    return batches_of(cluster, jobs)


@pytest.fixture
def app(jobs: Jobs, batches: Batches) -> FastAPI:
    app = quick_app()
    attach_services(app, jobs, batches, health_of(jobs), {})
    return app


@pytest.fixture
def served(app: FastAPI) -> ASGIApp:
    """The application with its middleware and the default settings."""
    return add_middleware(app, HttpSettings(), app.state.metrics)


@pytest.fixture
async def port(served: ASGIApp) -> AsyncIterator[int]:
    """The port of a real socket on which uvicorn serves the API."""
    async with serving(served) as port:
        yield port


@pytest.fixture
async def client(served: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


@pytest.fixture
async def secured_api(app: FastAPI) -> AsyncIterator[SecuredApi]:
    """The API, whose clients need a key or a token."""
    async with secured(app, KeysApi()) as api:
        yield api


@pytest.fixture
def make_key(secured_api: SecuredApi) -> Callable[..., str]:
    """Function that takes an owner and scopes, stores a key, and returns its text."""
    return secured_api.make_key
