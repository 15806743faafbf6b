"""A row that PostgreSQL refuses holds up no other row."""

import logging
from typing import Any

import pytest
from history_database import SCHEMA, image_row, job_row, row_count, rows_of, uid_of
from postgres import Postgres
from vision_node_contract.history.database import Database
from vision_node_contract.history.lexemes import MAX_WORD_CHARACTERS, MAX_WORDS, words_of
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history import row_writer
from vision_node_operator.archiver.history.store import HistoryStore, Written

BATCH = uid_of(999)
REFUSED_RESULT = "CHECK (result IS NULL OR result <> 'bad')"
REFUSED_NAME = "CHECK (name <> 'job-5')"


@pytest.fixture
def check(postgres: Postgres, history_url: str) -> Any:
    """Return a function that makes PostgreSQL refuse some rows of images."""

    def add(constraint: str) -> None:
        statement = f"ALTER TABLE {SCHEMA}.images ADD {constraint}"
        postgres.execute(statement, history_url.rpartition("/")[2])

    return add


@pytest.mark.parametrize("bad", [[0], [12], [5, 6], [0, 12], list(range(13))])
async def test_refused_row_is_stored_without_its_result(
    history: HistoryStore, history_database: Database, check: Any, bad: list[int]
) -> None:
    check(REFUSED_RESULT)
    rows = [(image_row(it, result="bad" if it in bad else "{}"), job_row(it)) for it in range(13)]

    assert await history.add_jobs(rows, 1) == Written(13, len(bad))

    assert await row_count(history_database, "jobs") == 13
    refused = "images WHERE result IS NULL AND search = '' AND archive_error LIKE '%violates%'"
    assert await row_count(history_database, refused) == len(bad)
    assert await row_count(history_database, "images WHERE result = '{}'") == 13 - len(bad)
    owner = await history.read_owner()
    assert owner is not None
    assert owner.written == await history.count() == 13


async def test_row_that_is_refused_again_is_skipped_and_logged(
    history: HistoryStore, check: Any, caplog: pytest.LogCaptureFixture
) -> None:
    check(REFUSED_NAME)
    with caplog.at_level(logging.ERROR):
        assert await history.add_jobs(rows_of(*range(10)), 1) == Written(9, 1)

    assert f"PostgreSQL refused row {uid_of(5)} -1, it is skipped" in caplog.text
    uids = {uid_of(it) for it in range(10)}
    assert await history.known_uids(uids) == uids - {uid_of(5)}


async def test_uid_that_is_none_is_skipped(history: HistoryStore) -> None:
    rows = [*rows_of(1), (image_row(2, uid="none"), job_row(2, uid="none"))]

    assert await history.add_jobs(rows, 1) == Written(1, 1)


async def test_batch_continues_after_refused_rows(history: HistoryStore, check: Any) -> None:
    check("CHECK (custom_id <> 'bad')")
    body = {"metadata": {"name": "b", "uid": BATCH}, "spec": {"prefix": "x/"}}
    await history.add_batch(ImageBatch.model_validate(body), "{}")
    ids = ["a", "b", "bad", "c"]
    rows = [image_row(0, uid=BATCH, image_index=it, custom_id=name) for it, name in enumerate(ids)]

    assert await history.add_batch_images(BATCH, 0, rows) == Written(3, 1)
    assert [it.archived_index for it in await history.batches_in_etcd()] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "a" + chr(0xD800),
        "a\udcffb",
        "\U0001f600",
        "it's \\ and 'both'",
        "{},NULL",
        "x" * (1 << 20),
    ],
)
async def test_any_text_is_accepted(
    history: HistoryStore, history_database: Database, text: str
) -> None:
    row = image_row(
        1,
        custom_id=text,
        describer=text[:999],
        reason=text[:999],
        body=text,
        result=text,
        words=tuple(words_of([text])),
    )
    assert await history.add_jobs([(row, job_row(1, result_key=text))], 1) == Written(1, 0)

    assert await row_count(history_database, "images WHERE archive_error IS NULL") == 1


@pytest.mark.parametrize("character", ["\U00010400", "ﷺ", "x"])
async def test_longest_vector_is_accepted(history: HistoryStore, character: str) -> None:
    words = words_of(
        f"{number}{character * MAX_WORD_CHARACTERS}" for number in range(MAX_WORDS + 10)
    )
    assert len(words) == MAX_WORDS

    row = image_row(1, words=tuple(words), owner="o" * 63)
    assert await history.add_jobs([(row, job_row(1))], 1) == Written(1, 0)


async def test_large_rows_are_written_in_several_statements(
    history: HistoryStore, history_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_writer, "PIECE_BYTES", 3000)
    sizes = [10, 5000, 10, 2000, 2000, 10]
    rows = [(image_row(it, result="x" * size), job_row(it)) for it, size in enumerate(sizes)]

    assert await history.add_jobs(rows, 1) == Written(6, 0)
    assert await row_count(history_database, "(SELECT DISTINCT xmin FROM images)") == 4
