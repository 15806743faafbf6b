"""Tests of GET /jobs: live jobs and archived jobs in one list, page by page."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_archive import START, Archive, job_body, report, uid_of
from fastapi import FastAPI
from vision_node_api.services.history.cursor import NEWEST, read_cursor, write_cursor
from vision_node_api.services.history.history_rows import Position
from vision_node_api.services.history.job_list import JobList
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.jobs import Jobs
from vision_node_api.web.problems import Problem
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob


async def pages(client: httpx.AsyncClient, **parameters: Any) -> list[list[str]]:
    """Return the ids on each page, up to the last one."""
    found, cursor = [], None
    while True:
        query = parameters | ({"cursor": cursor} if cursor else {})
        response = await client.get("/jobs", params=query)
        assert response.status_code == 200, response.text
        found.append([job["job_id"] for job in response.json()["jobs"]])
        cursor = response.json()["next"]
        if cursor is None:
            return found


async def test_entry_has_what_a_list_shows(client: httpx.AsyncClient, archive: Archive) -> None:
    await archive.add(job_body(1, file_name="cat.png"), job_body(2, phase="failed"))
    failed, done = (await client.get("/jobs")).json()["jobs"]

    assert done == {
        "job_id": "job-1",
        "status": "done",
        "describer": "local",
        "created_at": "2026-01-01T00:00:01Z",
        "completed_at": "2026-01-01T00:00:02Z",
        "caption": "A cat on a sofa",
        "alt": "Photo: A cat on a sofa",
        "file_name": "cat.png",
        "error": None,
        "batch": None,
        "index": None,
        "custom_id": None,
    }
    assert (failed["status"], failed["caption"]) == ("failed", None)
    assert failed["error"] == {"reason": "ContentRefused", "message": "the describer refused it"}


@pytest.mark.parametrize("phase", ["queued", "processing", "done", "failed"])
async def test_live_and_archived_jobs_look_alike(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive, phase: str
) -> None:
    body = job_body(1, phase=phase)
    report(jobs, body)
    live = (await client.get("/jobs")).json()
    assert [it["status"] for it in live["jobs"]] == [phase]
    if phase in {"done", "failed"}:
        await archive.add(body)
        assert (await client.get("/jobs")).json() == live
        jobs.cache.observe(WatchEvent("DELETED", [body]))
        assert (await client.get("/jobs")).json() == live


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
async def test_pages_have_every_job_once(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive, limit: int
) -> None:
    """Live, archived and both; several have the same time, since times have whole seconds."""
    bodies = {number: job_body(number, created=START) for number in (1, 2, 3, 4)}
    bodies |= {number: job_body(number) for number in (5, 6, 7)}
    await archive.add(*(bodies[it] for it in (1, 3, 5, 6)))
    report(jobs, *(bodies[it] for it in (2, 3, 4, 6, 7)))

    found = await pages(client, limit=limit)
    assert [name for page in found for name in page] == [f"job-{it}" for it in range(7, 0, -1)]
    assert all(len(page) == limit for page in found[:-1])


async def test_page_continues_where_the_last_one_ended(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    """Jobs that are added, evicted or deleted in the meantime move no other job."""
    bodies = [job_body(number) for number in range(1, 7)]
    report(jobs, *bodies[3:])
    await archive.add(*bodies[:3])
    first = (await client.get("/jobs", params={"limit": 2})).json()

    await archive.add(bodies[3])
    jobs.cache.observe(WatchEvent("DELETED", [bodies[3]]))
    report(jobs, job_body(9))
    query = {"limit": 10, "cursor": first["next"]}
    rest = (await client.get("/jobs", params=query)).json()["jobs"]

    assert [job["job_id"] for job in rest] == ["job-4", "job-3", "job-2", "job-1"]


async def test_owner_sees_only_own_jobs(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    await archive.add(*(job_body(it, owner="ada" if it % 2 else "bob") for it in range(1, 5)))
    report(jobs, job_body(5, owner="ada", phase="queued"), job_body(6, phase="queued"))

    assert await pages(client, owner="ada", limit=2) == [["job-5", "job-3"], ["job-1"]]
    assert await pages(client, owner="bob") == [["job-4", "job-2"]]
    assert await pages(client, owner="eve") == [[]]


async def test_newest_archived_jobs_are_listed_by_their_uid_not_their_name(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    await archive.add(job_body(1, name="cat"))
    report(jobs, job_body(2, name="cat", phase="queued"))
    assert await pages(client) == [["cat", "cat"]]


async def test_job_with_a_tombstone_is_not_listed(
    client: httpx.AsyncClient, archive: Archive, reader: HistoryReader
) -> None:
    await archive.add(job_body(1), job_body(2))
    await reader.add_tombstone(uid_of(2))
    assert await pages(client) == [["job-1"]]
    assert await pages(client, q="cat") == [["job-1"]]


async def test_new_job_is_listed_before_the_watch_reports_it(
    client: httpx.AsyncClient, jobs: Jobs
) -> None:
    body = job_body(1, phase="queued")
    jobs.cache.observe(WatchEvent("SYNCED"))
    jobs.cache.add_created(ImageJob.model_validate(body))
    assert await pages(client) == [["job-1"]]
    assert await pages(client, owner="ada") == [[]]
    jobs.cache.observe(WatchEvent("ADDED", [body]))
    assert await pages(client) == [["job-1"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [({}, (200, None)), ({"q": "cat"}, (501, "HistoryDisabled"))],
)
async def test_release_without_database_lists_what_is_in_etcd(
    client: httpx.AsyncClient,
    app: FastAPI,
    jobs: Jobs,
    query: dict[str, str],
    expected: tuple[int, str | None],
) -> None:
    app.state.job_list = JobList(jobs.cache, None)
    report(jobs, job_body(1))
    response = await client.get("/jobs", params=query)

    assert (response.status_code, response.json().get("reason")) == expected
    if expected[0] == 200:
        assert [job["job_id"] for job in response.json()["jobs"]] == ["job-1"]


async def test_invalid_limit_is_refused(client: httpx.AsyncClient) -> None:
    for limit in ("0", "201", "-1", "x", "1e2", ""):
        response = await client.get("/jobs", params={"limit": limit})
        assert (response.status_code, response.json()["reason"]) == (422, "InvalidRequest"), limit


CURSORS = [
    *("", "x", "'", "\\", "\0", "🐈", "é", "=", "a" * 10_000, "x' OR 1=1 --"),
    *(write_cursor(Position(START, "'; DROP TABLE images; --")),),
    *(write_cursor(Position(START, uid_of(1), 2**31)),),
    *(write_cursor(Position(START, uid_of(1), -2)),),
    *(write_cursor(Position(START, uid_of(1).upper().replace("0", "A"))),),
]


@pytest.mark.parametrize("query", [{}, {"q": "cat"}])
async def test_invalid_cursor_is_refused(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    for cursor in CURSORS:
        response = await client.get("/jobs", params={**query, "cursor": cursor})
        assert (response.status_code, response.json()["reason"]) == (400, "InvalidCursor"), cursor


def test_cursor_that_is_beyond_the_calendar_is_invalid() -> None:
    text = f"{10**18 - 1}/{uid_of(1)}/-1"
    with pytest.raises(Problem):
        read_cursor(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


@pytest.mark.parametrize(
    "place",
    [
        NEWEST,
        Position(START + timedelta(microseconds=1), uid_of(7), 2**31 - 1),
        Position(datetime.min.replace(tzinfo=UTC), uid_of(0)),
    ],
)
async def test_cursor_is_exact(reader: HistoryReader, place: Position) -> None:
    assert read_cursor(write_cursor(place)) == place
    assert await reader.list_jobs(place, None, 10) == []


OWNERS = ["a'b", "a\\b", "a\0b", "🐈", "a" * 10_000, "a b", "-", "a\n", "x' OR '1'='1"]


@pytest.mark.parametrize("query", [{}, {"q": "cat"}])
async def test_impossible_owner_is_refused(
    client: httpx.AsyncClient, query: dict[str, str]
) -> None:
    for owner in OWNERS:
        response = await client.get("/jobs", params={**query, "owner": owner})
        assert (response.status_code, response.json()["reason"]) == (422, "InvalidRequest"), owner


async def test_list_is_documented(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/jobs"]["get"]
    filters = {"phase", "describer", "batch", "reason", "label", "after", "before", "owner"}
    assert {it["name"] for it in operation["parameters"]} == {"limit", "cursor", "q", *filters}
    assert all(it["description"] for it in operation["parameters"])
    assert {"200", "400", "422", "501", "503"} <= operation["responses"].keys()
