"""Tests of GET /jobs?q=: which images are found, and in which order."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from api_archive import START, Archive, batch_body, job_body, uid_of
from owners_of_requests import acting
from vision_node_api.services.history import search as module
from vision_node_api.services.history.cursor import NEWEST
from vision_node_api.services.history.history_rows import Part
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.history.search import Search
from vision_node_api.services.history.search_limit import MAX_SEARCHES, MAX_WAITING
from vision_node_api.web.owner_share import share_of
from vision_node_api.web.problems import Problem
from vision_node_contract.history.database import Database, HistoryUnavailableError
from vision_node_contract.history.lexemes import query_words
from vision_node_contract.history.schema import CHUNK_ROWS
from vision_node_operator.archiver.history.store import HistoryStore

CAPTIONS = {
    1: "A cat on a sofa",
    2: "Two dogs and a cat",
    3: "Eine Straße in Köln",
    4: "東京の猫",
    5: "It's 5 o'clock: \\o/",
}


FOUND = [
    ("cat", [2, 1]),
    ("CAT sofa", [1]),
    ("sof", [1]),
    ("cat dogs", [2]),
    ("elephant", []),
    ("cat elephant", []),
    ("strasse", [3]),
    ("köln", [3]),
    ("東京", [4]),
    ("猫", [4]),
    ("o'clock", [5]),
    ("photo-3", [3]),
    ("cat' | 'dogs", [2]),
    ("cat | sofa", [1]),
    ("!cat", [2, 1]),
    ("cat:*", [2, 1]),
    ("cat\\", [2, 1]),
    ("cat\0", [2, 1]),
    ("cat 🐈", [2, 1]),
    ("'; DROP TABLE images; --", []),
    ("0:cat", []),
    (" ".join(f"w{n}" for n in range(100)), []),
]


async def test_words_are_found(client: httpx.AsyncClient, archive: Archive) -> None:
    bodies = [
        job_body(number, caption=caption, file_name=f"photo-{number}.png")
        for number, caption in CAPTIONS.items()
    ]
    await archive.add(*bodies)
    for text, expected in FOUND:
        response = await client.get("/jobs", params={"q": text})
        assert response.status_code == 200, text
        found = [job["job_id"] for job in response.json()["jobs"]]
        assert found == [f"job-{it}" for it in expected], text


async def test_search_without_words_is_refused(client: httpx.AsyncClient) -> None:
    for text in ("", " ", "!?", "'", "\\", "\0", "🐈", "--"):
        response = await client.get("/jobs", params={"q": text})
        assert (response.status_code, response.json()["reason"]) == (422, "QueryWithoutWords"), text


async def test_long_search_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.get("/jobs", params={"q": "cat " * 2_500})
    assert (response.status_code, response.json()["reason"]) == (422, "InvalidRequest")


async def test_images_of_batches_are_found(client: httpx.AsyncClient, archive: Archive) -> None:
    body = batch_body(7)
    await archive.add(job_body(1))
    await archive.add_batch(body)
    at = START + timedelta(hours=1, microseconds=7)
    await archive.add_images(body, {"a.jpg": "A cat", "b.jpg": None, "c.jpg": "A dog"}, at)

    image, single = (await client.get("/jobs", params={"q": "cat"})).json()["jobs"]
    assert single["job_id"] == "job-1"
    assert image == {
        "job_id": None,
        "status": "done",
        "describer": "local",
        "created_at": "2026-01-01T01:00:00.000007Z",
        "completed_at": None,
        "caption": "A cat",
        "alt": "Photo: A cat",
        "file_name": None,
        "error": None,
        "batch": "batch-7",
        "index": 0,
        "custom_id": "a.jpg",
    }
    (failed,) = (await client.get("/jobs", params={"q": "b.jpg"})).json()["jobs"]
    assert failed["error"] == {"reason": "ImageUnreadable", "message": "it is no image"}
    assert (await client.get("/jobs")).json()["jobs"][0]["job_id"] == "job-1"


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("chunk_rows", [1, 2, 5, CHUNK_ROWS])
async def test_pages_of_a_search_have_every_match_once(
    client: httpx.AsyncClient,
    history_database: Database,
    reader: HistoryReader,
    monkeypatch: pytest.MonkeyPatch,
    *,
    limit: int,
    chunk_rows: int,
) -> None:
    """Chunks are small here, so that a page needs several, and a chunk has several pages."""
    monkeypatch.setattr(module, "MAX_GROUP", 2)
    archive = Archive(HistoryStore(history_database, chunk_rows))
    for number in range(1, 13):
        created = START + timedelta(seconds=number // 3)
        caption = "A cat" if number % 3 else "A dog"
        await archive.add(job_body(number, created=created, caption=caption, owner="ada"))
    await reader.add_tombstone(uid_of(8))

    for query in ({"q": "cat"}, {"q": "ca", "owner": "ada"}):
        found, cursor = [], None
        while True:
            parameters = {**query, "limit": str(limit), **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/jobs", params=parameters)).json()
            found += [job["job_id"] for job in page["jobs"]]
            cursor = page["next"]
            if cursor is None:
                break
        expected = [it for it in range(12, 0, -1) if it % 3 and it != 8]
        assert found == [f"job-{it}" for it in expected]

    assert (await client.get("/jobs", params={"q": "cat", "owner": "bob"})).json()["jobs"] == []


async def test_searches_that_wait_have_a_limit(reader: HistoryReader, archive: Archive) -> None:
    await archive.add(job_body(1))
    words = Search(query_words("cat"))
    number = MAX_SEARCHES + MAX_WAITING + 1
    requests = [reader.search(words, NEWEST, 10) for _ in range(number)]
    *found, refused = await asyncio.gather(*requests, return_exceptions=True)

    assert isinstance(refused, HistoryUnavailableError)
    assert refused.reason == "HistoryBusy"
    assert all(isinstance(part, Part) and len(part.found) == 1 for part in found)
    assert len((await reader.search(words, NEWEST, 10)).found) == 1


async def test_searches_of_one_owner_leave_room_for_others(
    reader: HistoryReader, archive: Archive
) -> None:
    await archive.add(job_body(1))

    async def search_as(owner: str) -> object:
        with acting(owner):
            return await reader.search(Search(query_words("cat")), NEWEST, 10)

    owners = ["anna"] * 20 + ["ben"]
    answers = await asyncio.gather(*map(search_as, owners), return_exceptions=True)
    *of_anna, of_ben = answers

    assert isinstance(of_ben, Part)
    assert sum(isinstance(it, Part) for it in of_anna) == share_of(MAX_SEARCHES + MAX_WAITING)
    refused = next(it for it in of_anna if isinstance(it, Problem))
    assert (refused.status, refused.reason) == (429, "OwnerShareUsed")
    assert isinstance(await search_as("anna"), Part)
