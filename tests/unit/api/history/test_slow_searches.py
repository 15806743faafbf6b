"""Tests of searches that take long: what they cost, and what they mean for other requests."""

import asyncio

import pytest
from api_archive import Archive, job_body
from vision_node_api.services.history import search as module
from vision_node_api.services.history.cursor import NEWEST
from vision_node_api.services.history.reader import HistoryReader
from vision_node_api.services.history.search import Search
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.history.lexemes import query_words

WORDS = " ".join(f"w{number}" for number in range(16))


async def test_slow_search_does_not_mean_that_the_database_is_away(
    reader: HistoryReader, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its statements is fast enough, but together, they take too long."""
    await archive.add(job_body(1))
    monkeypatch.setattr(module, "SEARCH_SECONDS", 0.0)
    with pytest.raises(HistoryUnavailableError) as caught:
        await reader.search(Search(query_words("cat")), NEWEST, 10)

    assert caught.value.reason == "HistoryTooSlow"
    assert await reader.find_job("job-1")
    assert reader.outcomes["HistoryTooSlow"] == 1


@pytest.mark.parametrize(
    ("text", "owner", "expected"),
    [
        ("cat", None, 64),
        ("cat", "ada", 32),
        ("cat sofa", None, 32),
        ("cat sofa", "ada", 21),
        (WORDS, None, 4),
        (WORDS, "ada", 3),
    ],
)
def test_statement_looks_for_few_words_and_chunks_at_once(
    text: str, owner: str | None, expected: int
) -> None:
    query = Search(query_words(text), owner)
    sizes = [len(group) for group in module.groups_of(range(610), query)]
    assert sum(sizes) == 610
    assert max(sizes) == expected
    assert sizes[:2] == [1, 2]


async def test_many_polls_at_once_wait_for_the_database(
    reader: HistoryReader, archive: Archive
) -> None:
    await archive.add(job_body(1))
    found = await asyncio.gather(*(reader.find_job("job-1") for _ in range(200)))
    assert all(found)
