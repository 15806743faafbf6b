"""Fixtures for tests of owners' limits: an API whose clients have owners, and a clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from acting_as import ActingAs
from api_fakes import SETTINGS, Cluster, FakeBucket, batches_of, jobs_of
from api_health import health_of
from limited_api import FakeClock, LimitedApi, Start
from quick_app import quick_app
from vision_node_api.app import attach_services
from vision_node_api.middleware.stack import add_middleware
from vision_node_api.owner_limits import LimitsByOwner, OwnerLimits
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.rate_limit import RateLimiter


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limited_api(bucket: FakeBucket, cluster: Cluster, clock: FakeClock) -> Start:
    """Return a function that starts an API with these limits by default, and those of owners."""

    @asynccontextmanager
    async def start(
        default: OwnerLimits | None = None,
        history: HistoryReader | None = None,
        replicas: int = 1,
        **owners: OwnerLimits,
    ) -> AsyncIterator[LimitedApi]:
        limits = LimitsByOwner(default or OwnerLimits(), owners, replicas)
        fakes = jobs_of(cluster, bucket)
        settings = replace(SETTINGS, owner_limits=limits)
        jobs = replace(fakes, settings=settings, history=history)
        jobs.quotas.now = clock.utc
        app = quick_app()
        batches = replace(batches_of(cluster, jobs), history=history)
        attach_services(app, jobs, batches, health_of(jobs), {})
        app.state.rate_limiter = RateLimiter(limits, clock.monotonic)
        app.state.usage = replace(app.state.usage, now=clock.utc)

        served = ActingAs(add_middleware(app, HttpSettings(), app.state.metrics))
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield LimitedApi(client, app, served, jobs, clock)

    return start
