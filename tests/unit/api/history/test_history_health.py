"""Tests of how probes and metrics report the history."""

import asyncio

import httpx
import pytest
from api_archive import Archive, job_body
from fastapi import FastAPI
from metrics_lint import lint
from prometheus_client.parser import text_string_to_metric_families
from vision_node_api.services.health import Health
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_api.services.storage_health import DependencyState
from vision_node_contract.history.database import HistoryUnavailableError

AWAY = "The database with the finished jobs does not answer. Try again later."


async def fail() -> None:
    raise HistoryUnavailableError("connection to 10.0.0.1 failed")


async def test_history_is_only_a_detail_of_readiness(
    client: httpx.AsyncClient,
    health: Health,
    reader: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert health.history
    await health.history.check_once()
    assert (await client.get("/readyz")).json()["history"] == "ok"

    monkeypatch.setattr(reader, "check", fail)
    await health.history.check_once()
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["history"] == "HistoryUnavailable"
    assert response.json()["details"]["history"] == AWAY


async def test_check_of_the_history_delays_no_other(
    health: Health, reader: HistoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(reader, "check", hang)
    assert health.history
    with health.history.running(), health.checks.running():
        async with asyncio.timeout(60):
            while not health.checks.kubernetes.is_ok:  # noqa: ASYNC110 (other tasks make it true)
                await asyncio.sleep(0)
        health.check_alive()
    assert health.history.state.state == "NotChecked"


async def test_check_that_has_ended_is_reported(
    client: httpx.AsyncClient,
    health: Health,
    reader: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def bug() -> None:
        raise KeyError("bug")

    monkeypatch.setattr(reader, "check", bug)
    assert health.history
    with health.history.running():
        assert (await client.get("/healthz")).status_code == 200
        async with asyncio.timeout(60):
            while (await client.get("/healthz")).status_code != 500:  # noqa: ASYNC110 (see above)
                await asyncio.sleep(0)


def samples(app: FastAPI) -> dict[tuple[str, str], float]:
    text = app.state.metrics.text().decode()
    assert lint(text) == []
    return {
        (it.name, it.labels.get("outcome", "")): it.value
        for family in text_string_to_metric_families(text)
        for it in family.samples
        if "history" in it.name
    }


async def test_requests_to_the_history_are_counted(
    client: httpx.AsyncClient, app: FastAPI, health: Health, jobs: Jobs, archive: Archive
) -> None:
    total = "vision_node_history_requests_total"
    assert samples(app) == {(total, "ok"): 0, ("vision_node_history_up", ""): 0}
    await archive.add(job_body(1))
    for path in ("/status/job-1", "/status/job-2", "/jobs", "/jobs?q=cat"):
        await client.get(path)
    assert health.history
    await health.history.check_once()
    health.history.outcomes["HistoryUnavailable"] += 1

    assert samples(app) == {
        (total, "ok"): 5,
        (total, "HistoryUnavailable"): 1,
        ("vision_node_history_up", ""): 1,
    }
    health.history.state = DependencyState("HistoryUnavailable")
    assert samples(app)["vision_node_history_up", ""] == 0
