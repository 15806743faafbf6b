"""Tests of streams of events with owners, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from api_server import serving
from fastapi import FastAPI
from following.event_reader import Feed, batch_body, job_body, stream
from owner_world import ADMIN, ANNA, BEN, ActingAs, access_of
from starlette.types import ASGIApp
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.following import all_stream
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.names import OWNER_LABEL


@pytest.fixture
def feed(app: FastAPI, jobs: Jobs, batches: Batches) -> Feed:
    """Both watches, which have listed no objects at resourceVersion 100."""
    feed = Feed(app, jobs, batches)
    feed.list_jobs(100)
    feed.list_batches(100)
    return feed


@pytest.fixture
async def anna_port(served: ASGIApp) -> AsyncIterator[int]:
    """The port on which the API answers Anna."""
    async with serving(ActingAs(served, access_of(ANNA))) as port:
        yield port


@pytest.fixture
async def admin_port(served: ASGIApp) -> AsyncIterator[int]:
    """The port on which the API answers an administrator."""
    async with serving(ActingAs(served, ADMIN)) as port:
        yield port


def of(owner: str) -> dict[str, str]:
    return {OWNER_LABEL: owner} if owner else {}


def owned_batch(name: str, version: int, phase: str, owner: str) -> dict[str, Any]:
    body = batch_body(name, version, phase)
    body["metadata"]["labels"] = of(owner)
    return body


async def test_events_of_all_objects_are_those_of_the_owner(
    anna_port: int, admin_port: int, feed: Feed, batches: Batches
) -> None:
    async with stream(anna_port, "/events") as own, stream(admin_port, "/events") as every:
        for events in (own, every):
            assert await events.block() is not None

        for version, owner in ((101, BEN), (103, ""), (105, ANNA)):
            feed.job(f"job-{version}", version, "queued", **of(owner))
            body = owned_batch(f"batch-{version}", version + 1, "queued", owner)
            batches.cache.observe(WatchEvent("MODIFIED", [body]))

        assert await own.texts(2) == ["job-105 queued", "batch-105 queued"]
        assert sorted(await every.texts(6)) == sorted(
            f"{kind}-{version} queued" for kind in ("job", "batch") for version in (101, 103, 105)
        )


async def test_deletions_are_only_told_to_the_owner(anna_port: int, feed: Feed, jobs: Jobs) -> None:
    for version, owner in ((101, BEN), (102, ANNA)):
        feed.job(f"job-{version}", version, **of(owner))

    async with stream(anna_port, "/events") as events:
        assert await events.block() is not None
        for version, owner in ((103, BEN), (104, ANNA)):
            body = job_body(f"job-{version - 2}", version, **of(owner))
            jobs.cache.observe(WatchEvent("DELETED", [body]))
        assert await events.texts(1) == ["deleted job-102"]


async def test_deletions_that_a_list_reveals_are_only_told_to_the_owner(
    anna_port: int, feed: Feed
) -> None:
    kept = job_body("kept", 101, **of(ANNA))
    feed.job("kept", 101, **of(ANNA))
    feed.job("of-ben", 102, **of(BEN))
    feed.job("of-anna", 103, **of(ANNA))
    async with stream(anna_port, "/events") as events:
        assert await events.block() is not None
        feed.list_jobs(120, kept)
        assert await events.texts(1) == ["deleted of-anna"]

        feed.list_jobs(130)
        assert await events.texts(1) == ["deleted kept"]


async def test_object_that_gets_another_owner_is_no_longer_followed(
    anna_port: int, feed: Feed
) -> None:
    feed.job("mine", 101, **of(ANNA))
    async with stream(anna_port, "/jobs/mine/events") as one, stream(anna_port, "/events") as every:
        assert await one.texts(1) == ["mine queued"]
        assert await every.block() is not None

        feed.job("mine", 102, "processing", **of(BEN))
        feed.job("other", 103, **of(ANNA))
        assert await one.rest() == ["deleted mine"]
        assert await every.texts(1) == ["other queued"]


@pytest.mark.parametrize("path", ["/jobs/{}/events", "/batches/{}/events"])
async def test_objects_of_others_can_not_be_followed(
    anna_port: int, feed: Feed, batches: Batches, path: str
) -> None:
    feed.job("of-ben", 101, "done", **of(BEN))
    batches.cache.observe(WatchEvent("MODIFIED", [owned_batch("of-ben", 102, "done", BEN)]))

    answers = []
    for name in ("of-ben", "nobody"):
        async with stream(anna_port, path.format(name)) as events:
            body = await events.body()
            answers.append((events.status, {**body, "instance": body["instance"] != ""}))
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


async def test_heartbeats_are_sent_although_others_are_busy(
    anna_port: int, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_stream, "HEARTBEAT_SECONDS", 0.5)
    async with stream(anna_port, "/events") as events:
        assert await events.block() is not None

        blocks: list[str | None] = []

        async def read() -> None:
            blocks.append(await events.block())

        reading = asyncio.create_task(read())
        version = 101
        while not reading.done():
            feed.job("of-ben", version, **of(BEN))
            version += 1
            await asyncio.sleep(0.1)
        assert blocks == [": keep-alive"]
