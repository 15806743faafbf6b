"""Tests of the filters of GET /jobs: the same answer from etcd and from the history."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_archive import START, Archive, batch_body, job_body, report
from fastapi import FastAPI
from vision_node_api.services.history import live_jobs, scan, search
from vision_node_api.services.history.job_list import JobList
from vision_node_api.services.jobs import Jobs
from vision_node_contract.clients.kube import WatchEvent

Query = dict[str, Any]


def labeled(number: int, labels: dict[str, str], **changes: Any) -> dict[str, Any]:
    """Return an ImageJob with these labels."""
    body = job_body(number, **changes)
    body["metadata"]["labels"] |= labels
    return body


BODIES = [
    job_body(1),
    job_body(2, phase="failed", owner="ada"),
    labeled(3, {"team": "web", "tier": "gold"}, spec={"describer": "openai"}),
    labeled(4, {"team": "ops"}, phase="failed", spec={"options": {"language": "en"}}),
    labeled(5, {"team": "web", "x.example.com/a.b": ""}, owner="ada"),
    job_body(6, phase="failed", status={"error": {"reason": "Cancelled", "message": "m"}}),
]
BODIES[5]["status"]["error"]["retryable"] = False

FILTERS: list[tuple[Query, list[int]]] = [
    ({}, [6, 5, 4, 3, 2, 1]),
    ({"phase": "done"}, [5, 3, 1]),
    ({"phase": "failed"}, [6, 4, 2]),
    ({"phase": ["done", "failed"]}, [6, 5, 4, 3, 2, 1]),
    ({"phase": ["queued", "failed"]}, [6, 4, 2]),
    ({"phase": "queued"}, []),
    ({"phase": "failed", "owner": "ada"}, [2]),
    ({"describer": "openai"}, [3]),
    ({"describer": "local"}, [6, 5, 4, 2, 1]),
    ({"describer": "none"}, []),
    ({"reason": "ContentRefused"}, [4, 2]),
    ({"reason": "Cancelled"}, [6]),
    ({"reason": "Cancel"}, []),
    ({"reason": "Cancelled", "phase": "done"}, []),
    ({"label": "team=web"}, [5, 3]),
    ({"label": ["team=web", "tier=gold"]}, [3]),
    ({"label": ["team=web", "team=ops"]}, []),
    ({"label": "team=we"}, []),
    ({"label": "language=en"}, []),
    ({"label": "eam=web"}, []),
    ({"label": "x.example.com/a.b="}, [5]),
    ({"label": "x.example.com/aab="}, []),
    ({"label": "team=web", "owner": "ada"}, [5]),
    ({"after": "2026-01-01T00:00:03Z"}, [6, 5, 4, 3]),
    ({"before": "2026-01-01T00:00:03Z"}, [2, 1]),
    ({"after": "2026-01-01T01:00:02+01:00", "before": "2026-01-01T00:00:04.5Z"}, [4, 3, 2]),
    ({"after": "2026-01-01T00:00:02Z", "phase": "done", "label": "team=web"}, [5, 3]),
    ({"after": "2027-01-01T00:00:00Z"}, []),
    ({"before": "0001-01-01T00:00:00Z"}, []),
]
"""Filters, and the numbers of the wanted jobs."""


async def found(client: httpx.AsyncClient, query: Query, limit: int = 200) -> list[str]:
    """Return the ids of all jobs, page by page."""
    return [name for page in await pages(client, query, limit) for name in page]


async def pages(client: httpx.AsyncClient, query: Query, limit: int) -> list[list[str]]:
    """Return the ids on each page."""
    names: list[list[str]] = []
    cursor = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        response = await client.get("/jobs", params={**query, "limit": limit, **more})
        assert response.status_code == 200, (query, response.text)
        page = response.json()
        names.append([it["job_id"] or f"{it['batch']}.{it['index']}" for it in page["jobs"]])
        cursor = page["next"]
        if cursor is None:
            return names


@pytest.mark.parametrize("place", ["etcd", "history", "both", "divided"])
async def test_filters_have_the_same_answer_everywhere(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive, place: str
) -> None:
    live = {"etcd": BODIES, "history": [], "both": BODIES, "divided": BODIES[::2]}[place]
    old = {"etcd": [], "history": BODIES, "both": BODIES, "divided": BODIES[1::2]}[place]
    report(jobs, *live)
    if old:
        await archive.add(*old)

    wrong = {}
    for query, expected in FILTERS:
        for limit in (1, 200):
            names = await found(client, query, limit)
            if names != [f"job-{number}" for number in expected]:
                wrong[str(query), limit] = names

    assert wrong == {}


async def test_searches_have_filters(client: httpx.AsyncClient, archive: Archive) -> None:
    await archive.add(*BODIES)
    everything = {number for number, body in enumerate(BODIES, 1)}
    wrong = {}
    for query, expected in FILTERS:
        names = await found(client, {"q": "job", **query}, 2)
        if names != [f"job-{number}" for number in expected if number in everything]:
            wrong[str(query)] = names

    assert wrong == {}


async def test_unfinished_jobs_are_found_by_their_phase(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    bodies = [job_body(7, phase="queued"), job_body(8, phase="processing"), job_body(9)]
    del bodies[0]["status"]
    report(jobs, *bodies)
    await archive.add(*BODIES)

    assert await found(client, {"phase": "queued"}) == ["job-7"]
    assert await found(client, {"phase": "processing"}) == ["job-8"]
    assert await found(client, {"phase": ["queued", "processing"]}) == ["job-8", "job-7"]


async def test_images_of_a_batch_are_listed_by_their_indexes(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    captions = {f"{number}.jpg": None if number % 3 else "A cat" for number in range(7)}
    for number, at in ((7, START), (8, START + timedelta(days=1))):
        body = batch_body(number)
        await archive.add_batch(body)
        await archive.add_images(body, captions, at)
    await archive.add(*BODIES)

    every = [f"batch-7.{number}" for number in range(7)]
    for limit in (1, 3, 200):
        assert await found(client, {"batch": "batch-7"}, limit) == every
        assert await found(client, {"batch": "batch-7", "phase": "done"}, limit) == every[::3]
    assert await found(client, {"batch": "batch-7", "reason": "ImageUnreadable"}) == [
        name for name in every if name not in every[::3]
    ]
    assert await found(client, {"batch": "batch-7", "q": "cat"}, 2) == every[::3][::-1]
    assert await found(client, {"batch": "batch-8", "after": "2026-01-01T12:00:00Z"}, 3) != []
    for nothing in ({"after": "2026-01-01T12:00:00Z"}, {"label": "a=b"}, {"phase": "queued"}):
        assert await found(client, {"batch": "batch-7", **nothing}) == []
    assert await found(client, {"batch": "batch-9"}) == []


async def test_images_of_batches_with_the_same_name_are_all_listed(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    for number in (7, 8):
        body = batch_body(number)
        body["metadata"]["name"] = "holiday"
        await archive.add_batch(body)
        await archive.add_images(body, {"a.jpg": "A cat", "b.jpg": "A dog"}, START)

    for limit in (1, 2, 3, 4, 5):
        names = await found(client, {"batch": "holiday"}, limit)
        assert names == ["holiday.0", "holiday.1"] * 2


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Requests look at few jobs, so that pages are short."""
    for name, value in {"PIECE_ROWS": 2, "PIECE_BODIES": 2, "SCAN_SECONDS": 0.0}.items():
        monkeypatch.setattr(scan, name, value)
    monkeypatch.setattr(live_jobs, "MAX_LOOKED", 2)
    monkeypatch.setattr(search, "FILTERED_SECONDS", 0.0)
    return iter([None])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("limit", [1, 3, 200])
async def test_short_pages_have_every_wanted_job_once(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive, limit: int
) -> None:
    bodies = [job_body(it, phase="done" if it in {2, 15} else "failed") for it in range(1, 17)]
    await archive.add(*bodies[:10])
    report(jobs, *bodies[5:])

    for query in ({"phase": "done"}, {"describer": "local", "phase": "done"}):
        shown = await pages(client, query, limit)
        assert [name for page in shown for name in page] == ["job-15", "job-2"]
        assert any(not page for page in shown)
    assert await found(client, {"phase": "failed"}, limit) == [
        f"job-{it}" for it in range(16, 0, -1) if it not in {2, 15}
    ]


@pytest.mark.usefixtures("small")
async def test_cursor_is_right_while_jobs_move_to_the_history(
    client: httpx.AsyncClient, jobs: Jobs, archive: Archive
) -> None:
    """One job after the other is archived and evicted between the pages, and new ones come."""
    bodies = {it: job_body(it, phase="failed" if it % 3 else "done") for it in range(1, 13)}
    report(jobs, *bodies.values())

    names: list[str] = []
    cursor, moved = None, 0
    while True:
        more = {"cursor": cursor} if cursor else {}
        query = {"phase": "failed", "limit": 2, **more}
        page = (await client.get("/jobs", params=query)).json()
        names += [job["job_id"] for job in page["jobs"]]
        cursor = page["next"]
        if cursor is None:
            break

        moved += 1
        if moved in bodies:
            await archive.add(bodies[moved])
            jobs.cache.observe(WatchEvent("DELETED", [bodies[moved]]))
        report(jobs, job_body(100 + moved, phase="failed"))

    assert names == [f"job-{it}" for it in range(12, 0, -1) if it % 3]


async def test_cursor_of_another_order_is_refused(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    """A cursor of a list by time is right with any filter, and with none."""
    body = batch_body(7)
    await archive.add_batch(body)
    await archive.add_images(body, {"a.jpg": "A cat", "b.jpg": "A cat"}, START)
    await archive.add(*BODIES)

    async def next_of(query: Query) -> str:
        answer = await client.get("/jobs", params={**query, "limit": 1})
        return str(answer.json()["next"])

    by_time, by_index = await next_of({}), await next_of({"batch": "batch-7"})
    rest = (await client.get("/jobs", params={"phase": "failed", "cursor": by_time})).json()
    assert [job["job_id"] for job in rest["jobs"]] == ["job-4", "job-2"]
    for query in (
        {"cursor": by_index},
        {"cursor": by_index, "q": "cat"},
        {"cursor": by_time, "batch": "batch-7"},
    ):
        response = await client.get("/jobs", params=query)
        assert (response.status_code, response.json()["reason"]) == (400, "InvalidCursor")


INVALID: list[tuple[str, str, str]] = [
    ("phase", "running", "phase"),
    ("describer", "Local", "describer"),
    ("batch", "a b", "batch"),
    ("reason", "notCamel", "reason"),
    ("label", "team", "team=web"),
    ("label", "=web", "team=web"),
    ("label", "a b=c", "team=web"),
    ("label", 'a"=b', "team=web"),
    ("label", "team=web\n", "team=web"),
    ("label", "vision-node.dev/owner=ada", "owner=<value>"),
    ("after", "2026-01-01T00:00:00", "time zone"),
    ("after", "2026-01-01", "time zone"),
    ("after", "1767225600", "time zone"),
    ("after", "2026-13-01T00:00:00Z", "time zone"),
    ("before", "2026-01-01T00:00:00 01:00", "%2B01:00"),
    ("before", "0001-01-01T00:00:00+01:00", "time zone"),
    ("before", "", "time zone"),
]


@pytest.mark.parametrize("path", ["/jobs", "/jobs/export"])
async def test_invalid_filter_is_refused(client: httpx.AsyncClient, path: str) -> None:
    for name, value, words in INVALID:
        response = await client.get(path, params={name: value})
        answer = response.json()
        assert (response.status_code, answer["reason"]) == (422, "InvalidRequest"), (name, value)
        assert words in answer["detail"]

    many = await client.get(path, params={"label": [f"a{it}=b" for it in range(9)]})
    assert many.status_code == 422


async def test_release_without_database_filters_what_is_in_etcd(
    client: httpx.AsyncClient, app: FastAPI, jobs: Jobs
) -> None:
    app.state.job_list = JobList(jobs.cache, None)
    report(jobs, *BODIES)
    assert await found(client, {"phase": "failed", "owner": "ada"}) == ["job-2"]

    response = await client.get("/jobs", params={"batch": "batch-7"})
    assert (response.status_code, response.json()["reason"]) == (501, "HistoryDisabled")
