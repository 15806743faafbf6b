"""Tests of the API while the database is away, hangs or refuses requests."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from api_archive import Archive, batch_body, job_body, report
from api_client import submit
from api_fakes import Cluster, picture
from history_database import SCHEMA
from vision_node_api.services import jobs as jobs_module
from vision_node_api.services.history import history_check, outage_guard
from vision_node_api.services.history.history_check import HistoryCheck
from vision_node_api.services.history.history_problems import DETAILS, history_problem
from vision_node_api.services.history.outage_guard import OutageGuard
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_contract.history.database import (
    REASONS,
    Database,
    DatabaseSettings,
    HistoryError,
    HistoryUnavailableError,
)

PATHS = ("/status/job-1", "/result/job-1", "/jobs", "/jobs?q=cat", "/batches/holiday")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Requests:
    """Requests that end as a test wants."""

    def __init__(self) -> None:
        self.sent = 0
        self.fails: HistoryError | None = None
        self.hangs = False

    async def __call__(self) -> str:
        self.sent += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails
        return "row"


async def outcome(guard: OutageGuard, requests: Requests, seconds: float = 5.0) -> str:
    try:
        return await guard.run(requests, seconds)
    except HistoryError as error:
        return error.reason


async def test_requests_fail_at_once_for_a_second_after_a_failure() -> None:
    clock, requests = Clock(), Requests()
    guard = OutageGuard(clock)
    requests.fails = HistoryUnavailableError("no answer")
    assert await outcome(guard, requests) == "HistoryUnavailable"

    requests.fails = None
    assert await outcome(guard, requests) == "HistoryUnavailable"
    assert requests.sent == 1

    clock.now += outage_guard.PAUSE_SECONDS
    assert await outcome(guard, requests) == "row"
    assert await outcome(guard, requests) == "row"
    assert requests.sent == 3


async def test_only_one_request_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_guard, "TRIAL_SECONDS", 0.01)
    clock, requests = Clock(), Requests()
    guard = OutageGuard(clock)
    requests.fails = HistoryUnavailableError("no answer")
    await outcome(guard, requests)
    clock.now += outage_guard.PAUSE_SECONDS
    requests.hangs = True
    found = await asyncio.gather(*(outcome(guard, requests) for _ in range(20)))
    assert set(found) == {"HistoryUnavailable"}
    assert requests.sent == 2

    clock.now += outage_guard.PAUSE_SECONDS
    requests.hangs, requests.fails = False, None
    assert await outcome(guard, requests) == "row"


async def test_client_that_leaves_during_the_trial_does_not_block_the_next_one() -> None:
    clock, requests = Clock(), Requests()
    guard = OutageGuard(clock)
    requests.fails = HistoryUnavailableError("no answer")
    await outcome(guard, requests)
    clock.now += outage_guard.PAUSE_SECONDS
    requests.hangs, requests.fails = True, None
    client = asyncio.create_task(outcome(guard, requests))
    await asyncio.sleep(0)
    client.cancel()
    await asyncio.wait({client})

    requests.hangs = False
    assert await outcome(guard, requests) == "row"


@pytest.mark.parametrize("reason", sorted(set(REASONS.values()) | {"HistoryBusy"}))
async def test_database_that_refuses_one_request_is_not_away(reason: str) -> None:
    guard, requests = OutageGuard(Clock()), Requests()
    requests.fails = HistoryUnavailableError("no", reason)
    assert await outcome(guard, requests) == reason
    requests.fails = None
    assert await outcome(guard, requests) == "row"


async def test_database_that_is_busy_may_be_away_as_before() -> None:
    clock, requests = Clock(), Requests()
    guard = OutageGuard(clock)
    requests.fails = HistoryUnavailableError("no answer")
    await outcome(guard, requests)
    clock.now += outage_guard.PAUSE_SECONDS
    requests.fails = HistoryUnavailableError("too many", "HistoryBusy")
    assert await outcome(guard, requests) == "HistoryBusy"

    requests.hangs = True
    trial = asyncio.create_task(outcome(guard, requests))
    await asyncio.sleep(0)
    assert await outcome(guard, requests) == "HistoryUnavailable"
    trial.cancel()
    await asyncio.wait({trial})


@pytest.mark.parametrize(("conclusive", "expected"), [(0.01, "HistoryUnavailable"), (2.0, "row")])
async def test_short_limit_alone_does_not_mean_that_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch, conclusive: float, expected: str
) -> None:
    """A submission waits for only half a second, which a peak of load may exceed."""
    monkeypatch.setattr(outage_guard, "CONCLUSIVE_SECONDS", conclusive)
    guard, requests = OutageGuard(Clock()), Requests()
    requests.hangs = True
    assert await outcome(guard, requests, 0.01) == "HistoryUnavailable"
    requests.hangs = False
    assert await outcome(guard, requests) == expected


def test_every_reason_has_an_explanation() -> None:
    assert DETAILS.keys() == {*REASONS.values(), "HistoryUnavailable", "HistoryBusy"}
    problem = history_problem(HistoryError("Unknown", "10.0.0.1: secret"))
    assert (problem.status, problem.reason) == (503, "HistoryUnavailable")


@pytest.fixture
async def hanging() -> AsyncIterator[HistoryReader]:
    """The history in a database that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = DatabaseSettings(f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/x")
        async with Database.open(settings, SCHEMA) as database:
            yield HistoryReader(database)


@pytest.fixture
async def absent() -> AsyncIterator[HistoryReader]:
    """The history in a database that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    settings = DatabaseSettings(f"postgresql://u:secret@127.0.0.1:{port}/x")
    async with Database.open(settings, SCHEMA) as database:
        yield HistoryReader(database)


async def mark_away(reader: HistoryReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check notice that the database is away, and keep it so for the test."""
    monkeypatch.setattr(outage_guard, "PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr(outage_guard, "CONCLUSIVE_SECONDS", 0.01)
    monkeypatch.setattr("vision_node_api.services.history.reader.CHECK_SECONDS", 0.02)
    await HistoryCheck(reader).check_once()


async def test_what_is_not_in_etcd_is_unavailable_not_missing(
    client: httpx.AsyncClient,
    reader: HistoryReader,
    absent: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await mark_away(absent, monkeypatch)
    monkeypatch.setattr(reader, "_guard", absent._guard)
    for path in PATHS:
        response = await client.get(path)
        assert (response.status_code, response.json()["reason"]) == (503, "HistoryUnavailable")
        assert response.headers["retry-after"] == "2"
        assert "127.0.0.1" not in response.text


async def test_jobs_in_etcd_are_read_while_the_database_is_away(
    client: httpx.AsyncClient,
    jobs: Jobs,
    cluster: Cluster,
    reader: HistoryReader,
    absent: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await mark_away(absent, monkeypatch)
    monkeypatch.setattr(reader, "_guard", absent._guard)
    report(jobs, job_body(1))
    cluster.batches["holiday"] = batch_body(2)
    for path in ("/status/job-1", "/result/job-1", "/batches/holiday"):
        assert (await client.get(path)).status_code == 200, path
    assert (await submit(client, picture())).status_code == 202


async def test_submission_without_key_does_not_touch_the_database(
    client: httpx.AsyncClient, reader: HistoryReader
) -> None:
    assert (await submit(client, picture())).status_code == 202
    assert reader.outcomes.total() == 0


async def test_submission_with_a_key_waits_only_briefly_for_a_database_that_hangs(
    client: httpx.AsyncClient,
    jobs: Jobs,
    hanging: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs_module, "REPEATED_SECONDS", 0.02)
    monkeypatch.setattr(jobs.history, "_database", hanging._database)
    response = await submit(client, picture(), headers={"Idempotency-Key": "order-17"})

    assert response.status_code == 202
    assert jobs.history is not None
    assert jobs.history.outcomes["HistoryUnavailable"] == 1


async def test_check_reports_a_database_that_refuses_connections(
    absent: HistoryReader, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.services.history.reader.CHECK_SECONDS", 0.05)
    check = HistoryCheck(absent)
    for _ in range(3):
        await check.check_once()

    assert check.state.state == "HistoryUnavailable"
    assert "127.0.0.1" not in check.state.detail
    assert len([it for it in caplog.records if it.name == history_check.__name__]) == 1
    assert "secret" not in caplog.text


async def test_database_that_comes_back_is_used_again(
    client: httpx.AsyncClient,
    reader: HistoryReader,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    absent: HistoryReader,
) -> None:
    await archive.add(job_body(1))
    clock = Clock()
    monkeypatch.setattr(reader, "_guard", OutageGuard(clock))
    with monkeypatch.context() as patch:
        patch.setattr(reader, "_database", absent._database)
        patch.setattr("vision_node_api.services.history.reader.CHECK_SECONDS", 2.0)
        patch.setattr(outage_guard, "CONCLUSIVE_SECONDS", 0.0)
        with pytest.raises(HistoryUnavailableError):
            await reader.find_job("job-1", seconds=0.02)

    assert (await client.get("/status/job-1")).status_code == 503
    clock.now += outage_guard.PAUSE_SECONDS
    assert (await client.get("/status/job-1")).status_code == 200
