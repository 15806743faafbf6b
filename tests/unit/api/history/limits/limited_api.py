"""An API with limits of owners, and a clock that tests set."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp
from vision_node_api.services.jobs import Jobs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.now = NOON

    def monotonic(self) -> float:
        return self.seconds

    def utc(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class LimitedApi:
    """An API with limits, and a client for it."""

    client: httpx.AsyncClient
    app: FastAPI
    served: ASGIApp
    jobs: Jobs
    clock: FakeClock


Start = Callable[..., AbstractAsyncContextManager[LimitedApi]]
