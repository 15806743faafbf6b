"""Tests of `Prefer: wait` over real sockets."""

import asyncio
import json
import time
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from api_fakes import Cluster, FakeBucket, picture
from api_server import Connection, RawResponse, ask, post, until
from fastapi import FastAPI
from http_requests import get
from starlette.types import ASGIApp
from vision_node_api.__main__ import server_options
from vision_node_api.services.batches.batches import Batches
from vision_node_api.services.jobs import Jobs
from vision_node_api.uploads import form
from vision_node_api.watch.just_created import JustCreated
from vision_node_api.web.http_settings import HttpSettings
from vision_node_api.web.waiting import WaitLimit
from vision_node_contract.clients.kube import UnavailableError, WatchEvent

PNG = picture()
TYPE = "Content-Type: image/png"
WAIT = "Prefer: wait=30"
APPLIED = "preference-applied"

DONE = {
    "phase": "done",
    "attempts": 1,
    "result": {
        "describer": "metadata",
        "summary": "a cat",
        "inline": {
            "description": "a cat",
            "alt": "",
            "caption": "A cat.",
            "describer": "metadata",
            "seconds": 1,
        },
    },
}
ERROR = {"reason": "ImageUnreadable", "message": "it is damaged", "retryable": False}
FAILED = {"phase": "failed", "attempts": 1, "error": ERROR}
PROCESSING = {"phase": "processing", "attempts": 1}


def submission(*headers: str) -> bytes:
    return post(PNG, TYPE, *headers)


def poll(path: str, preference: str = WAIT) -> bytes:
    return get(path, preference.encode())


def job_body(name: str, status: dict[str, Any], uid: str | None = None) -> dict[str, Any]:
    metadata = {"name": name, "uid": uid or name}
    return {"metadata": metadata, "spec": {"image": {"key": "k"}}, "status": status}


def batch_body(phase: str, uid: str = "uid-of-holiday") -> dict[str, Any]:
    metadata = {"name": "holiday", "uid": uid, "resourceVersion": "1"}
    return {
        "metadata": metadata,
        "spec": {"prefix": "inbox/holiday/"},
        "status": {"phase": phase},
    }


def report_job(jobs: Jobs, name: str, status: dict[str, Any], uid: str | None = None) -> None:
    """Let the watch report an ImageJob."""
    jobs.cache.observe(WatchEvent("MODIFIED", [job_body(name, status, uid)]))


def report_batch(batches: Batches, phase: str, uid: str = "uid-of-holiday") -> None:
    """Let the watch report the ImageBatch `holiday`."""
    batches.cache.observe(WatchEvent("MODIFIED", [batch_body(phase, uid)]))


@pytest.fixture
def limit(app: FastAPI) -> WaitLimit:
    found: WaitLimit = app.state.waits
    return found


class Waiting:
    """A request that waits on a connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._response = asyncio.create_task(connection.response())

    @property
    def is_open(self) -> bool:
        """Whether there is no response yet."""
        return not self._response.done()

    async def response(self) -> RawResponse:
        return await self._response

    def close(self) -> None:
        """Stop reading the response."""
        self._response.cancel()


@asynccontextmanager
async def waiting(port: int, limit: WaitLimit, request: bytes) -> AsyncIterator[Waiting]:
    """Send a request, and yield it once it waits."""
    before = limit.waiting
    async with Connection.open(port) as connection:
        await connection.send(request)
        await until(lambda: limit.waiting == before + 1)
        found = Waiting(connection)
        try:
            yield found
        finally:
            found.close()


def only_job(cluster: Cluster) -> str:
    (name,) = cluster.jobs
    return name


@pytest.mark.parametrize(("status", "phase"), [(DONE, "done"), (FAILED, "failed")])
async def test_submission_returns_the_outcome(
    port: int,
    limit: WaitLimit,
    jobs: Jobs,
    cluster: Cluster,
    status: dict[str, Any],
    phase: str,
) -> None:
    async with waiting(port, limit, submission(WAIT)) as request:
        name = only_job(cluster)
        report_job(jobs, name, PROCESSING)
        await asyncio.sleep(0)
        assert request.is_open
        report_job(jobs, name, status)
        response = await request.response()

    assert (response.status, response.headers[APPLIED]) == (200, "wait=30")
    assert response.headers["location"] == f"/status/{name}"
    if phase == "done":
        assert response.json == (await ask(port, get(f"/result/{name}"))).json
        assert response.json["_generated_by"] == "vision-node-gpt"
    else:
        assert response.json["status"] == "failed"
        assert response.json["error"] == (await ask(port, get(f"/status/{name}"))).json["error"]
    assert limit.waiting == 0
    assert not jobs.cache._changes.names


async def test_submission_that_is_not_done_in_time_is_accepted(port: int, cluster: Cluster) -> None:
    begun = time.monotonic()
    response = await ask(port, submission("Prefer: wait=1"))
    assert time.monotonic() - begun >= 1
    assert (response.status, response.headers[APPLIED]) == (202, "wait=1")
    assert response.json == {"job_id": only_job(cluster), "status": "queued"}


@pytest.mark.parametrize("preference", ["X: y", "Prefer: respond-async", "Prefer: wait=soon"])
async def test_responses_without_a_valid_wait_are_as_ever(
    port: int, limit: WaitLimit, cluster: Cluster, preference: str
) -> None:
    response = await ask(port, submission(preference))
    assert (response.status, response.json["status"]) == (202, "queued")
    assert APPLIED not in response.headers

    name = only_job(cluster)
    polled = await ask(port, poll(f"/status/{name}", preference))
    plain = await ask(port, get(f"/status/{name}"))
    assert polled.json == plain.json
    assert polled.headers.keys() == plain.headers.keys()
    assert limit.waiting == 0


async def test_zero_seconds_return_an_outcome_that_exists(port: int, jobs: Jobs) -> None:
    key, none = "Idempotency-Key: k", "Prefer: wait=0"
    first = await ask(port, submission(key, none))
    assert (first.status, first.headers[APPLIED]) == (202, "wait=0")

    report_job(jobs, first.json["job_id"], DONE)
    again = await ask(port, submission(key, none))
    assert (again.status, again.json["caption"]) == (200, "A cat.")


async def test_repeated_submission_waits_for_the_existing_job(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    key = "Idempotency-Key: k"
    name = (await ask(port, submission(key))).json["job_id"]
    async with waiting(port, limit, submission(key, WAIT)) as request:
        report_job(jobs, name, DONE)
        assert (await request.response()).json["job_id"] == name

    assert only_job(cluster) == name


async def test_older_job_with_the_name_does_not_end_the_wait(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    """The watch lags: it has not reported that the older job was deleted."""
    key = "Idempotency-Key: k"
    name = (await ask(port, submission(key))).json["job_id"]
    cluster.jobs.clear()
    report_job(jobs, name, DONE, uid="older")
    async with waiting(port, limit, submission(key, WAIT)) as request:
        report_job(jobs, name, FAILED)
        assert (await request.response()).json["status"] == "failed"


async def test_status_is_sent_when_the_job_has_ended(
    port: int, limit: WaitLimit, jobs: Jobs
) -> None:
    report_job(jobs, "j", PROCESSING)
    async with waiting(port, limit, poll("/status/j")) as request:
        report_job(jobs, "j", DONE)
        response = await request.response()

    assert (response.status, response.headers[APPLIED]) == (200, "wait=30")
    assert response.json == (await ask(port, get("/status/j"))).json
    assert response.json["status"] == "done"


async def test_status_of_a_job_that_another_replica_created_is_waited_for(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    name = (await ask(port, submission())).json["job_id"]
    jobs.cache._created = JustCreated()
    async with waiting(port, limit, poll(f"/status/{name}")) as request:
        report_job(jobs, name, DONE)
        assert (await request.response()).json["status"] == "done"


async def test_change_between_the_look_and_the_wait_is_not_missed(
    port: int, jobs: Jobs, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job ends while the API server's response, in which it has not ended, is on its way."""
    name = (await ask(port, submission())).json["job_id"]
    jobs.cache._created = JustCreated()
    get_job = cluster.get

    async def get_and_finish(name: str) -> Any:
        found = await get_job(name)
        report_job(jobs, name, DONE)
        return found

    monkeypatch.setattr(cluster, "get", get_and_finish)
    response = await ask(port, poll(f"/status/{name}"))
    assert (response.json["status"], response.headers[APPLIED]) == ("done", "wait=30")


async def test_broken_watch_ends_a_wait_at_its_limit(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    report_job(jobs, "j", PROCESSING)
    cluster.get_fails = UnavailableError(0, "NoAnswer", "no answer")
    response = await ask(port, poll("/status/j", "Prefer: wait=1"))
    assert (response.status, response.json["status"]) == (200, "processing")
    assert response.headers[APPLIED] == "wait=1"
    assert limit.waiting == 0


async def test_api_server_that_fails_meanwhile_does_not_end_a_wait(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    report_job(jobs, "j", PROCESSING)
    async with waiting(port, limit, poll("/status/j")) as request:
        cluster.get_fails = UnavailableError(0, "NoAnswer", "no answer")
        jobs.cache._remove("j")  # the cache is full
        await until(lambda: "j" in jobs.cache._changes.names)
        await asyncio.sleep(0.05)
        assert request.is_open
        report_job(jobs, "j", DONE)
        assert (await request.response()).json["status"] == "done"


@pytest.mark.parametrize("kind", ["DELETED", "SYNCED"])
async def test_deleted_job_ends_a_wait(port: int, limit: WaitLimit, jobs: Jobs, kind: str) -> None:
    report_job(jobs, "j", PROCESSING)
    async with waiting(port, limit, poll("/status/j")) as request:
        bodies = [job_body("j", PROCESSING)] if kind == "DELETED" else []
        jobs.cache.observe(WatchEvent(kind, bodies))
        response = await request.response()

    assert (response.status, response.json["reason"]) == (404, "JobNotFound")


async def test_submission_whose_job_is_deleted_was_accepted(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    async with waiting(port, limit, submission(WAIT)) as request:
        name = only_job(cluster)
        cluster.jobs.clear()
        jobs.cache.observe(WatchEvent("DELETED", [job_body(name, PROCESSING)]))
        response = await request.response()

    assert (response.status, response.json["job_id"]) == (202, name)


async def test_submission_whose_result_can_not_be_read_was_accepted(
    port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    async with waiting(port, limit, submission(WAIT)) as request:
        name = only_job(cluster)
        stored = {"describer": "metadata", "summary": "", "key": f"results/{name}/1"}
        report_job(jobs, name, {**DONE, "result": stored})
        response = await request.response()

    assert (response.status, response.json) == (202, {"job_id": name, "status": "done"})
    assert (await ask(port, get(f"/result/{name}"))).json["reason"] == "ResultGone"


async def test_unknown_job_is_not_waited_for(port: int) -> None:
    for path in ("/status/nope", "/status/No..pe", "/batches/nope"):
        assert (await ask(port, poll(path))).status in {400, 404}


async def test_client_that_leaves_frees_its_place(port: int, limit: WaitLimit, jobs: Jobs) -> None:
    report_job(jobs, "j", PROCESSING)
    for request in (submission(WAIT), poll("/status/j")):
        async with waiting(port, limit, request):
            pass
        await until(lambda: limit.waiting == 0)

    assert not jobs.cache._changes.names


async def test_requests_beyond_the_limit_are_answered_at_once(
    port: int, limit: WaitLimit, jobs: Jobs
) -> None:
    limit.limit = 1
    report_job(jobs, "j", PROCESSING)
    async with waiting(port, limit, poll("/status/j")) as request:
        for other, status in ((poll("/status/j"), 200), (submission(WAIT), 202)):
            response = await ask(port, other)
            assert response.status == status
            assert APPLIED not in response.headers

        report_job(jobs, "j", DONE)
        assert APPLIED in (await request.response()).headers


async def test_connection_is_usable_after_a_wait(port: int, limit: WaitLimit, jobs: Jobs) -> None:
    report_job(jobs, "j", PROCESSING)
    async with waiting(port, limit, poll("/status/j")) as request:
        report_job(jobs, "j", DONE)
        await request.response()
        await request.connection.send(get("/status/j"))
        assert (await request.connection.response()).json["status"] == "done"


async def test_upload_frees_its_memory_and_place_before_it_waits(
    port: int, limit: WaitLimit, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tracked(form.Upload):
        """An upload that can be referred to weakly."""

        __slots__ = ("__weakref__",)

    held: list[weakref.ref[Tracked]] = []

    async def read_upload(*arguments: Any) -> form.Upload:
        upload = await form.read_upload(*arguments)
        tracked = Tracked(upload.data, upload.file_name, upload.fields)
        held.append(weakref.ref(tracked))
        return tracked

    monkeypatch.setattr("vision_node_api.routes.jobs.read_upload", read_upload)
    async with waiting(port, limit, submission(WAIT)):
        assert (jobs.uploads.uploads, jobs.uploads.held_bytes) == (0, 0)
        assert [it() for it in held] == [None]


async def test_waits_are_not_in_the_durations_of_requests(
    app: FastAPI, port: int, cluster: Cluster
) -> None:
    await ask(port, submission("Prefer: wait=1"))
    await ask(port, poll(f"/status/{only_job(cluster)}", "Prefer: wait=1"))

    registry = app.state.metrics.registry
    name = "vision_node_http_request_duration_seconds_sum"
    for labels in (("POST", "/submit", "202"), ("GET", "/status/{job_id}", "200")):
        keys = dict(zip(("method", "route", "status"), labels, strict=True))
        assert registry.get_sample_value(name, keys) < 0.9
    assert registry.get_sample_value("vision_node_submits_total", {"outcome": "Accepted"}) == 1


async def test_outcome_in_the_response_counts_as_accepted(
    app: FastAPI, port: int, limit: WaitLimit, jobs: Jobs, cluster: Cluster
) -> None:
    async with waiting(port, limit, submission(WAIT)) as request:
        registry = app.state.metrics.registry
        assert registry.get_sample_value("vision_node_waiting_requests") == 1
        report_job(jobs, only_job(cluster), DONE)
        assert (await request.response()).status == 200

    assert registry.get_sample_value("vision_node_submits_total", {"outcome": "Accepted"}) == 1


async def test_batch_is_waited_for(port: int, limit: WaitLimit, batches: Batches) -> None:
    report_batch(batches, "processing")
    async with waiting(port, limit, poll("/batches/holiday")) as request:
        report_batch(batches, "processing")
        await asyncio.sleep(0.05)
        assert request.is_open
        report_batch(batches, "failed")
        response = await request.response()

    assert (response.status, response.headers[APPLIED]) == (200, "wait=30")
    assert response.json["status"] == "failed"


async def test_deleted_batch_ends_a_wait(port: int, limit: WaitLimit, batches: Batches) -> None:
    report_batch(batches, "processing")
    async with waiting(port, limit, poll("/batches/holiday")) as request:
        batches.cache.observe(WatchEvent("DELETED", [batch_body("processing")]))
        assert (await request.response()).json["reason"] == "BatchNotFound"


async def test_created_batch_is_waited_for(port: int, limit: WaitLimit, batches: Batches) -> None:
    document = json.dumps({"name": "holiday", "prefix": "inbox/holiday/"}).encode()
    request = post(document, "Content-Type: application/json", WAIT, path="/batches")
    # The watch has not reported yet that an older batch with the name was deleted.
    report_batch(batches, "done", uid="older")
    async with waiting(port, limit, request) as created:
        report_batch(batches, "done")
        response = await created.response()

    assert (response.status, response.headers[APPLIED]) == (202, "wait=30")
    assert (response.json["status"], response.headers["location"]) == ("done", "/batches/holiday")


async def test_started_batch_is_waited_for(
    port: int, limit: WaitLimit, batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(_: Any, name: str) -> Any:
        return await batches.get(name)

    monkeypatch.setattr("vision_node_api.routes.batch_uploads.SingleImages.start", start)
    report_batch(batches, "queued")
    async with waiting(port, limit, post(b"", WAIT, path="/batches/holiday/start")) as request:
        report_batch(batches, "done")
        response = await request.response()

    assert (response.status, response.headers[APPLIED]) == (202, "wait=30")
    assert response.json["status"] == "done"


async def test_shutdown_ends_all_waits_at_once(
    served: ASGIApp, limit: WaitLimit, jobs: Jobs, bucket: FakeBucket
) -> None:
    report_job(jobs, "j", PROCESSING)
    begun = time.monotonic()
    async with (
        running(served) as (server, port),
        waiting(port, limit, poll("/status/j")) as status,
        waiting(port, limit, submission(WAIT)) as submitted,
    ):
        server.should_exit = True
        answers = [await status.response(), await submitted.response()]

    assert [it.status for it in answers] == [200, 202]
    assert [it.json["status"] for it in answers] == ["processing", "queued"]
    assert not any(APPLIED in it.headers for it in answers)
    assert all(it.headers["connection"] == "close" for it in answers)
    assert time.monotonic() - begun < 8


async def test_upload_that_arrives_during_shutdown_does_not_wait(
    served: ASGIApp, jobs: Jobs
) -> None:
    async with running(served) as (server, port), Connection.open(port) as connection:
        request = submission(WAIT)
        await connection.send(request[:-10])
        await until(lambda: jobs.uploads.uploads == 1)
        server.should_exit = True
        await until(lambda: not server.servers or not server.servers[0].is_serving())
        await asyncio.sleep(0.2)
        await connection.send(request[-10:])
        response = await connection.response()

    assert response.status == 202
    assert APPLIED not in response.headers


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """Run the server as the API's process does, and let it end by itself."""
    options = {**server_options(HttpSettings()), "lifespan": "off"}
    server = uvicorn.Server(uvicorn.Config(app, port=0, **options))
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)

    yield server, server.servers[0].sockets[0].getsockname()[1]

    server.should_exit = True
    async with asyncio.timeout(8):
        await serving


async def test_waiting_request_takes_little_memory(port: int, limit: WaitLimit, jobs: Jobs) -> None:
    report_job(jobs, "j", PROCESSING)
    count = 50
    async with waiting(port, limit, submission(WAIT)):
        tracemalloc.start()
        connections = [Connection.open(port) for _ in range(count)]
        opened = [await it.__aenter__() for it in connections]
        before = tracemalloc.get_traced_memory()[0]
        for connection in opened:
            await connection.send(submission(WAIT))
        await until(lambda: limit.waiting == count + 1)
        each = (tracemalloc.get_traced_memory()[0] - before) / count
        tracemalloc.stop()
        for it in connections:
            await it.__aexit__(None, None, None)

    assert each < 40_000
