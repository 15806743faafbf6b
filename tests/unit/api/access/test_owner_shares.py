"""No owner holds all of what a replica does at the same time: others find room.

Requests come over real sockets, on a port for each client.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from api_fakes import picture
from api_server import Connection, RawResponse, ask, post, serving, until
from fastapi import FastAPI
from following.event_reader import Feed, stream
from http_requests import get
from owner_world import ADMIN, ANNA, BEN, OPS, ActingAs, access_of
from owners_of_requests import acting
from starlette.types import ASGIApp
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.images.images import Images
from vision_node_api.services.jobs import Jobs
from vision_node_api.services.one_at_a_time import OneAtATime
from vision_node_api.web.owner_share import OwnerShare
from vision_node_api.web.problems import Problem
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.names import OWNER_LABEL

PNG = picture()


@dataclass(frozen=True)
class Ports:
    """The ports on which the API answers each client."""

    anna: int
    ben: int
    admin: int
    anyone: int
    """Authentication is off."""


@pytest.fixture
async def ports(served: ASGIApp) -> AsyncIterator[Ports]:
    async with AsyncExitStack() as stack:
        apps = [ActingAs(served, access_of(ANNA)), ActingAs(served, access_of(BEN))]
        apps += [ActingAs(served, ADMIN)]
        found = [await stack.enter_async_context(serving(it)) for it in (*apps, served)]
        yield Ports(*found)


@pytest.fixture
def feed(app: FastAPI, jobs: Jobs, batches: Batches) -> Feed:
    feed = Feed(app, jobs, batches)
    feed.list_jobs(100)
    feed.list_batches(100)
    return feed


def is_share_used(response: RawResponse) -> bool:
    return (response.status, response.json["reason"]) == (429, "OwnerShareUsed")


@asynccontextmanager
async def upload_in_progress(port: int) -> AsyncIterator[None]:
    async with Connection.open(port) as connection:
        head = f"POST /submit HTTP/1.1\r\nHost: api\r\nContent-Length: {len(PNG)}\r\n"
        await connection.send(head.encode() + b"Content-Type: image/png\r\n\r\n" + PNG[:9])
        yield


async def test_streams_of_events(ports: Ports, feed: Feed) -> None:
    followers = feed.following.followers
    followers.share.limit = 2
    async with stream(ports.anna, "/events") as first, stream(ports.anna, "/events") as second:
        await first.block()
        await second.block()
        refused = await ask(ports.anna, get("/events"))
        assert is_share_used(refused)
        assert refused.headers["retry-after"] == "10"
        assert "with 2 streams of events" in refused.json["detail"]

        for port in (ports.ben, ports.admin, ports.anyone):
            async with stream(port, "/events") as events:
                assert events.status == 200

    await until(lambda: followers.count == 0)
    assert followers.share.owners == 0
    async with stream(ports.anna, "/events") as events:
        assert events.status == 200


async def test_administrators_have_a_share_too(ports: Ports, feed: Feed) -> None:
    feed.following.followers.share.limit = 1
    async with stream(ports.admin, "/events") as events:
        await events.block()
        assert is_share_used(await ask(ports.admin, get("/events")))


async def test_nothing_is_counted_without_authentication(ports: Ports, feed: Feed) -> None:
    followers = feed.following.followers
    followers.share.limit = 1
    async with AsyncExitStack() as stack:
        for _ in range(3):
            events = await stack.enter_async_context(stream(ports.anyone, "/events"))
            await events.block()
        assert (followers.count, followers.share.owners) == (3, 0)


async def test_uploads(ports: Ports, jobs: Jobs) -> None:
    uploads = jobs.uploads
    uploads.share.limit = 1
    submission = post(PNG, "Content-Type: image/png")
    async with upload_in_progress(ports.anna):
        await until(lambda: uploads.uploads == 1)
        refused = await ask(ports.anna, submission)
        assert is_share_used(refused)
        assert refused.headers["retry-after"] == "5"
        assert (await ask(ports.ben, submission)).status == 202

    await until(lambda: uploads.uploads == 0)
    assert uploads.share.owners == 0
    assert (await ask(ports.anna, submission)).status == 202


async def test_waits_beyond_the_share_are_answered_at_once(
    ports: Ports, app: FastAPI, jobs: Jobs
) -> None:
    """The request may have created something, so it must not be refused."""
    waits = app.state.waits
    waits.share.limit = 1
    for owner in (ANNA, BEN):
        metadata = {"name": f"job-{owner}", "uid": owner, "labels": {OWNER_LABEL: owner}}
        body = {
            "metadata": metadata,
            "spec": {"image": {"key": "k"}},
            "status": {"phase": "queued"},
        }
        jobs.cache.observe(WatchEvent("MODIFIED", [body]))

    async with Connection.open(ports.anna) as one, Connection.open(ports.ben) as other:
        await one.send(get(f"/status/job-{ANNA}", b"Prefer: wait=30"))
        await until(lambda: waits.waiting == 1)

        at_once = await ask(ports.anna, get(f"/status/job-{ANNA}", b"Prefer: wait=30"))
        assert (at_once.status, at_once.json["status"]) == (200, "queued")
        assert "preference-applied" not in at_once.headers

        await other.send(get(f"/status/job-{BEN}", b"Prefer: wait=30"))
        await until(lambda: waits.waiting == 2)

    await until(lambda: waits.waiting == 0)
    assert waits.share.owners == 0


async def test_results_of_batches(ports: Ports, batches: Batches) -> None:
    labels = {OWNER_LABEL: ANNA}
    body = {
        "metadata": {"name": "holiday", "uid": "u", "resourceVersion": "2", "labels": labels},
        "spec": {"prefix": "inbox/x/"},
        "status": {"phase": "processing"},
    }
    batches.cache.observe(WatchEvent("MODIFIED", [body]))
    limit = batches.limits.followers
    limit.share.limit = 1
    path = "/batches/holiday/results?follow=true"
    async with Connection.open(ports.anna) as following:
        await following.send(get(path))
        await until(lambda: limit.streams == 1)
        refused = await ask(ports.anna, get(path))
        assert is_share_used(refused)
        assert "1 streams of results of running batches" in refused.json["detail"]

        async with Connection.open(ports.admin) as other:
            await other.send(get(path))
            await until(lambda: limit.streams == 2)
        assert limit.share.limit == 1

    await until(lambda: limit.streams == 0)
    assert limit.share.owners == 0


async def test_exports(ports: Ports, app: FastAPI, feed: Feed) -> None:
    streams = app.state.job_export.streams
    streams.share.limit = 1
    with acting(ANNA), streams.streaming():
        refused = await ask(ports.anna, get("/jobs/export"))
        async with Connection.open(ports.ben) as other:
            await other.send(get("/jobs/export"))
            assert (await other.response(head=True)).status == 200

    assert is_share_used(refused)
    assert "1 streams of exports" in refused.json["detail"]


async def test_downloads_and_thumbnails(ports: Ports, app: FastAPI) -> None:
    images: Images = app.state.images
    created = await ask(ports.anna, post(PNG, "Content-Type: image/png"))
    path = f"/jobs/{created.json['job_id']}"

    shares: dict[str, OwnerShare] = {
        f"{path}/image": images.downloads.share,
        f"{path}/thumbnail": images.thumbnails.share,
    }
    for url, share in shares.items():
        with acting(ANNA), share.holding(share.limit):
            refused = await ask(ports.anna, get(url))
            assert is_share_used(refused), url
            assert refused.headers["retry-after"] == "2"
            assert (await ask(ports.admin, get(url))).status == 200

        assert (await ask(ports.anna, get(url))).status == 200
        assert share.owners == 0


async def test_retries_of_two_owners_run_at_the_same_time() -> None:
    turn = OneAtATime("Busy.")
    with ExitStack() as running:
        for owner in (ANNA, BEN):
            with acting(owner):
                running.enter_context(turn.running())
                assert is_refused(turn), "one of an owner"

        with acting(OPS):
            assert is_refused(turn), "two in all"

    with acting(ANNA), turn.running():
        pass
    with turn.running():
        assert is_refused(turn), "one without authentication"


def is_refused(turn: OneAtATime) -> bool:
    try:
        with turn.running():
            return False
    except Problem as problem:
        return problem.reason == "TooManyRetries"


async def test_thumbnails_of_owners_take_turns(app: FastAPI) -> None:
    """One owner's page with many thumbnails delays one of another owner by two images."""
    thumbnails = app.state.images.thumbnails
    order: list[str] = []

    def reader(name: str) -> Callable[[], object]:
        async def read() -> bytes:
            order.append(name)
            await asyncio.sleep(0)
            return PNG

        return read

    async def show(owner: str, name: str) -> None:
        with acting(owner):
            await thumbnails.get(name, reader(name))

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(show(ANNA, f"anna-{number}"))
        group.create_task(show(BEN, "ben"))

    assert order.index("ben") == 2, "one is being made, and one has come before"
    assert thumbnails.share.owners == 0
