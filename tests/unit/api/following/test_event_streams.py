"""Tests of streams of events over real sockets."""

import asyncio
import socket
import time
from typing import Any

import httpx
import pytest
import uvicorn
from api_fakes import Cluster
from api_server import ask, until
from event_reader import Feed, job_body, last, stream
from fastapi import FastAPI
from http_requests import get
from metrics_lint import lint
from starlette.types import ASGIApp
from vision_node_api.__main__ import GRACE_SECONDS, server_options
from vision_node_api.app import following_of
from vision_node_api.services.following import all_stream, object_stream
from vision_node_api.services.metrics import Metrics
from vision_node_api.web import json_lines
from vision_node_api.web.http_settings import HttpSettings


async def test_job_is_followed_until_it_is_done(
    port: int, feed: Feed, client: httpx.AsyncClient
) -> None:
    feed.job("a", 101)
    async with stream(port, "/jobs/a/events") as events:
        assert events.status == 200
        assert events.headers["content-type"] == "text/event-stream"
        assert events.headers["cache-control"] == "no-cache"
        assert events.headers["x-accel-buffering"] == "no"
        assert await events.block() == "retry: 2000"

        first = await events.event()
        assert first is not None
        assert (first.name, first.id) == ("job", "101")
        assert first.data == (await client.get("/status/a")).json()

        feed.job("b", 102)
        feed.job("a", 103, "processing")
        assert await events.texts(1) == ["a processing"]
        feed.job("a", 104, "done")
        assert await events.rest() == ["a done"]
        assert events.last_id == "104"

    await until(lambda: feed.followers == 0)


async def test_batch_is_followed_until_it_has_failed(
    port: int, feed: Feed, client: httpx.AsyncClient
) -> None:
    feed.batch("x", 101)
    async with stream(port, "/batches/x/events") as events:
        first = await events.event()
        assert first is not None
        assert (first.name, first.id) == ("batch", "101")
        assert first.data == (await client.get("/batches/x")).json()
        feed.batch("x", 102, "failed")
        assert await events.rest() == ["x failed"]


@pytest.mark.parametrize("path", ["/jobs/a/events", "/batches/a/events"])
async def test_deleted_object_ends_its_stream(port: int, feed: Feed, path: str) -> None:
    feed.job("a", 101)
    feed.batch("a", 102)
    async with stream(port, path) as events:
        await events.event()
        feed.delete_job("a", 103)
        feed.delete_batch("a", 104)
        assert await events.rest() == ["deleted a"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/jobs/none/events", 404, "JobNotFound"),
        ("/batches/none/events", 404, "BatchNotFound"),
        ("/jobs/none.3/events", 404, "JobNotFound"),
        ("/events?lastEventId=abc", 400, "InvalidLastEventId"),
        ("/events?lastEventId=1-2-3", 400, "InvalidLastEventId"),
        ("/jobs/none/events?lastEventId=-1", 400, "InvalidLastEventId"),
        ("/events?label=team", 422, "InvalidRequest"),
        ("/events?phase=lost", 422, "InvalidRequest"),
    ],
)
async def test_request_that_cannot_be_followed_is_refused(
    port: int, feed: Feed, path: str, status: int, reason: str
) -> None:
    response = await ask(port, get(path))
    assert (response.status, response.json["reason"]) == (status, reason)
    assert response.is_problem


async def test_client_with_the_last_state_is_told_not_to_return(port: int, feed: Feed) -> None:
    feed.job("a", 101, "done")
    async with stream(port, "/jobs/a/events", last(101)) as events:
        assert events.status == 204
    async with stream(port, "/jobs/a/events", last(100)) as events:
        assert await events.rest() == ["a done"]


async def test_replica_that_lags_sends_no_older_state(port: int, feed: Feed) -> None:
    feed.job("a", 101)
    async with stream(port, "/jobs/a/events", last(103)) as events:
        await events.block()
        feed.job("a", 103, "processing")
        await asyncio.sleep(0)
        feed.job("a", 104, "done")
        assert await events.rest() == ["a done"]


async def test_image_of_a_batch_is_followed_until_the_batch_ends(
    port: int, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.services.following.following.IMAGE_SECONDS", 0.01)
    feed.batch_of_images("x", 101, "queued")
    async with stream(port, "/jobs/x.3/events") as events:
        assert await events.texts(1) == ["x.3 queued"]
        feed.batch_of_images("x", 102, "processing")
        assert await events.texts(1) == ["x.3 processing"]
        feed.batch_of_images("x", 103, "failed")
        assert await events.rest() == ["x.3 failed"]


async def test_all_changes_are_sent_in_order_and_nothing_old(port: int, feed: Feed) -> None:
    feed.job("old", 101)
    async with stream(port, "/events") as events:
        assert await events.block() == "retry: 2000\nid: 101-100"
        feed.job("a", 102)
        feed.batch("x", 103)
        feed.job("a", 104, "done")
        feed.delete_job("a", 105)
        feed.job("b", 106)
        assert await events.texts(3) == ["x queued", "deleted a", "b queued"]
        assert events.last_id == "106-103"


async def test_each_change_is_sent_once_after_reconnecting(port: int, feed: Feed) -> None:
    async with stream(port, "/events") as events:
        feed.job("a", 102)
        assert await events.texts(1) == ["a queued"]
        position = events.last_id

    feed.job("a", 103, "processing")
    feed.batch("x", 104)
    feed.job("b", 105)
    feed.delete_job("b", 106)
    feed.job("a", 107, "done")
    for headers, query in (((last(position),), ""), ((), f"?lastEventId={position}")):
        async with stream(port, f"/events{query}", *headers) as events:
            assert await events.texts(3) == ["x queued", "deleted b", "a done"]
            assert events.last_id == "107-104"

    async with stream(port, "/events", last("107-104")) as events:
        await events.block()
        feed.job("c", 108)
        assert await events.texts(1) == ["c queued"]


async def test_change_of_a_slower_watch_is_not_lost(port: int, feed: Feed) -> None:
    """The watch of batches reports 101 only after the watch of jobs has reported 105."""
    async with stream(port, "/events") as events:
        feed.job("a", 105)
        assert await events.texts(1) == ["a queued"]

    feed.batch("x", 101)
    async with stream(port, "/events", last(events.last_id)) as events:
        assert await events.texts(1) == ["x queued"]


@pytest.mark.parametrize(
    ("event_id", "reason"),
    [("99", "VersionTooOld"), ("100-99", "VersionTooOld"), ("500", "VersionUnknown")],
)
async def test_position_that_is_not_known_is_reset(
    port: int, feed: Feed, cluster: Cluster, event_id: str, reason: str
) -> None:
    cluster.version = 400
    feed.job("old", 101)
    async with stream(port, "/events", last(event_id)) as events:
        assert await events.texts(1) == [f"reset {reason}"]
        assert events.last_id == "101-100"
        feed.job("a", 102)
        assert await events.texts(1) == ["a queued"]


async def test_position_of_a_replica_that_is_ahead_is_not_reset(
    port: int, feed: Feed, cluster: Cluster
) -> None:
    cluster.version = 400
    async with stream(port, "/events", last(300)) as events:
        feed.job("a", 299)
        feed.job("b", 301)
        assert await events.texts(1) == ["b queued"]
        assert events.last_id == "301-300"


async def test_relist_sends_what_has_changed_and_what_is_gone(port: int, feed: Feed) -> None:
    for name, version in (("a", 101), ("b", 102), ("c", 103)):
        feed.job(name, version)
    async with stream(port, "/events") as events:
        await events.block()
        changed = (job_body("c", 120, "done"), job_body("d", 110))
        feed.list_jobs(130, job_body("a", 101), *changed)
        assert await events.texts(3) == ["deleted b", "d queued", "c done"]

    async with stream(port, "/events", last("129-100")) as events:
        assert await events.texts(1) == ["reset VersionTooOld"]


async def test_relist_resets_followers_that_were_ahead(
    port: int, feed: Feed, cluster: Cluster
) -> None:
    cluster.version = 400
    async with stream(port, "/events", last(300)) as events:
        await events.block()
        feed.list_jobs(350)
        assert await events.texts(1) == ["reset ChangesMissed"]


async def test_relist_of_a_restored_database_resets_all(port: int, feed: Feed) -> None:
    feed.job("a", 200)
    async with stream(port, "/events") as events:
        await events.block()
        feed.list_jobs(150, job_body("a", 120))
        assert await events.texts(1) == ["reset ChangesMissed"]
        feed.job("a", 151, "done")
        assert await events.texts(1) == ["a done"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("phase=done", ["b done", "deleted c", "end done"]),
        ("batch=x", ["x queued", "x done"]),
        ("describer=metadata", ["b done", "a queued", "deleted c", "end done"]),
        ("label=team=web&label=tier=gold", ["a queued", "end done"]),
    ],
)
async def test_filters_select_changes(
    port: int, feed: Feed, query: str, expected: list[str]
) -> None:
    feed.batch("x", 101)
    feed.job("b", 102, "done", team="web")
    feed.job("a", 103, team="web", tier="gold")
    feed.delete_job("c", 104)
    feed.job("end", 105, "done", team="web", tier="gold")
    async with stream(port, f"/events?{query}", last(100)) as events:
        if "batch" in query:
            assert await events.texts(1) == expected[:1]
            feed.batch("x", 106, "done")
            assert await events.texts(1) == expected[1:]
        else:
            assert await events.texts(len(expected)) == expected


async def test_slow_reader_gets_the_newest_states_and_no_backlog(
    port: int, feed: Feed, app: FastAPI
) -> None:
    """A connection that is not read is full after a while. Then only the newest states follow."""
    async with stream(port, "/events") as events:
        await events.block()
        version = 100
        for _ in range(400):
            for number in range(10):
                version += 1
                feed.job(f"job-{number}", version, "processing", filler="x" * 200)
            await asyncio.sleep(0)
        for number in range(10):
            version += 1
            feed.job(f"job-{number}", version, "done")

        seen: list[str] = []
        while f"job-{9} done" not in seen:
            seen += await events.texts(1)
        assert len(seen) < 2000
        assert seen[-10:] == [f"job-{number} done" for number in range(10)]


async def test_follower_that_does_not_read_is_dropped(
    port: int, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "STALLED_SECONDS", 0.2)
    monkeypatch.setattr("vision_node_api.services.following.followers.PACE_SECONDS", 0.0)
    async with stream(port, "/events") as events:
        await events.block()
        version = 100
        async with asyncio.timeout(20):
            while feed.followers:
                for number in range(500):
                    version += 1
                    feed.job(f"job-{number}", version)
                await asyncio.sleep(0.005)


async def test_forgotten_changes_reset_a_follower(port: int, feed: Feed, app: FastAPI) -> None:
    log = feed.following.log
    log.max_changes = 3
    for number in range(6):
        feed.job(f"job-{number}", 101 + number)
    async with stream(port, "/events", last("101-100")) as events:
        assert await events.texts(1) == ["reset VersionTooOld"]
    async with stream(port, "/events", last("103-100")) as events:
        assert await events.texts(3) == ["job-3 queued", "job-4 queued", "job-5 queued"]
    async with stream(port, "/events") as events:
        await events.block()
        for number in range(6):
            feed.job(f"new-{number}", 201 + number)
        assert await events.texts(1) == ["reset ChangesMissed"]


@pytest.mark.parametrize("path", ["/events", "/jobs/a/events"])
async def test_heartbeats_keep_the_connection(
    port: int, feed: Feed, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(object_stream, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(all_stream, "HEARTBEAT_SECONDS", 0.05)
    feed.job("a", 101)
    async with stream(port, path) as events:
        await events.block()
        blocks = [await events.block() for _ in range(3)]
        assert blocks[-2:] == [": keep-alive", ": keep-alive"]


async def test_followers_beyond_the_limit_are_refused(port: int, feed: Feed) -> None:
    feed.following.followers.limit = 1
    async with stream(port, "/events") as events:
        await events.block()
        refused = await ask(port, get("/events"))
        assert (refused.status, refused.json["reason"]) == (429, "TooManyFollowers")
        assert refused.headers["retry-after"] == "10"

    await until(lambda: feed.followers == 0)
    async with stream(port, "/events") as events:
        assert events.status == 200


async def test_head_has_no_body_and_holds_no_follower(port: int, feed: Feed) -> None:
    async with stream(port, "/events", method="HEAD") as events:
        assert events.status == 200
        assert events.headers["content-type"] == "text/event-stream"
    await until(lambda: feed.followers == 0)


async def test_followers_are_counted_and_no_slow_requests(
    port: int, feed: Feed, app: FastAPI
) -> None:
    metrics: Metrics = app.state.metrics
    feed.job("a", 101)
    async with stream(port, "/jobs/a/events") as events:
        await events.event()
        assert "vision_node_followers 1.0" in metrics.text().decode()
        await asyncio.sleep(0.3)
        feed.job("a", 102, "done")
        assert await events.rest() == ["a done"]

    def has_ended() -> bool:
        return "vision_node_followers 0.0" in metrics.text().decode()

    await until(has_ended)
    text = metrics.text().decode()
    labels = 'method="GET",route="/jobs/{job_id}/events",status="200"'
    assert f'request_duration_seconds_bucket{{le="0.25",{labels}}} 1.0' in text
    assert lint(text) == []


async def test_list_must_be_known_before_all_can_be_followed(
    port: int, feed: Feed, app: FastAPI, jobs: Any, batches: Any
) -> None:
    app.state.following = following_of(jobs, batches, app.state.batch_images)
    response = await ask(port, get("/events"))
    assert (response.status, response.json["reason"]) == (503, "KubernetesUnavailable")

    # A cluster without ImageBatches has jobs.
    batches.follower.refusal = "The cluster has no ImageBatches."
    feed.list_jobs(100)
    async with stream(port, "/events") as events:
        assert events.status == 200


async def test_batch_events_have_links_below_the_proxys_path(app: FastAPI, feed: Feed) -> None:
    feed.batch("x", 101, "done")
    transport = httpx.ASGITransport(app, root_path="/vision")
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        response = await client.get("/vision/batches/x/events")
    assert '"results":"/vision/batches/x/results"' in response.text


async def test_streams_end_at_once_when_the_replica_stops(served: ASGIApp, feed: Feed) -> None:
    feed.job("a", 101)
    options = {**server_options(HttpSettings()), "lifespan": "off"}
    config = uvicorn.Config(served, **options)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    listening = socket.create_server(("127.0.0.1", 0))
    await server.startup(sockets=[listening])
    await server.on_tick(0)
    port = listening.getsockname()[1]

    async with stream(port, "/events") as every, stream(port, "/jobs/a/events") as one:
        await every.block()
        await one.event()
        started = time.monotonic()
        await server.shutdown(sockets=[listening])
        assert time.monotonic() - started < GRACE_SECONDS / 2
        assert (await every.rest(), await one.rest()) == ([], [])
        assert feed.followers == 0
