"""Tests of the rows that `make bench-history` invents and copies, with a real PostgreSQL."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from bench.errors import BenchError
from bench.history import copying, invented
from bench.history.copying import copy_line, final_statements, make
from bench.history.invented import BATCH_EVERY, PIECE_ROWS, Invented, is_batch
from bench.history.plan import HistoryPlan
from bench.history.vocabulary import ABSENT, BY_RANK, PLANTED, SEARCHES, WORDS, texts
from history_database import SCHEMA
from postgres import Postgres
from psycopg import Connection, connect

NEWEST = datetime(2026, 1, 21, tzinfo=UTC)
SMALL = Invented(10 * 64, NEWEST)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide the history into pieces of 64 rows, and thus into chunks of 128."""
    for module in (copying, invented):
        monkeypatch.setattr(module, "PIECE_ROWS", 64)
    monkeypatch.setattr(invented, "CHUNK_ROWS", 128)
    monkeypatch.setattr(invented, "SHARD_ROWS", 16)


@pytest.fixture
def filled(
    small_pieces: None, postgres: Postgres, history_template: str
) -> Iterator[Connection[tuple[object, ...]]]:
    """A connection to tables that were filled by COPY."""
    url = postgres.url(postgres.create_database(history_template))
    with connect(url, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        for number in range(SMALL.pieces):
            for statement, data in make(SMALL, number).copies():
                with connection.cursor().copy(statement.encode()) as copy:
                    copy.write(data)
        for statement in final_statements(SMALL):
            connection.execute(statement.encode())
        yield connection


def test_every_row_is_in_its_chunk(filled: Connection[tuple[object, ...]]) -> None:
    wrong = filled.execute(
        "SELECT count(*) FROM images JOIN LATERAL"
        " (SELECT id FROM chunks WHERE starts_at <= at ORDER BY starts_at DESC LIMIT 1) c ON true"
        " WHERE NOT search @@ quote_literal(c.id || ':jpg')::tsquery"
    ).fetchone()
    chunks = filled.execute("SELECT id, rows FROM chunks ORDER BY id").fetchall()

    assert wrong == (0,)
    assert chunks == [(number, 128) for number in range(5)]


def test_last_time_of_each_chunk_is_that_of_its_newest_row(
    filled: Connection[tuple[object, ...]],
) -> None:
    differing = filled.execute(
        "SELECT count(*) FROM chunks WHERE last_at <>"
        " (SELECT max(at) FROM images WHERE search @@ quote_literal(id || ':jpg')::tsquery)"
    ).fetchone()
    assert differing == (0,)


def test_tables_have_single_images_and_batches(filled: Connection[tuple[object, ...]]) -> None:
    counts = filled.execute(
        "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM jobs),"
        " (SELECT count(*) FROM batches), (SELECT written FROM owner),"
        " (SELECT count(*) FROM jobs WHERE evicted_at IS NULL)"
    ).fetchone()
    batches = SMALL.pieces // BATCH_EVERY
    assert counts == (640, 640 - 64 * batches, batches, 640, 0)


def test_planted_word_is_in_few_rows_and_the_absent_one_in_none(
    filled: Connection[tuple[object, ...]],
) -> None:
    def found(word: str) -> object:
        query = " | ".join(f"'{chunk}:{word}':*" for chunk in range(5))
        row = filled.execute(
            "SELECT count(*) FROM images WHERE search @@ %s::tsquery", (query,)
        ).fetchone()
        assert row is not None
        return row[0]

    assert found(PLANTED) == invented.PLANTED_ROWS
    assert found(ABSENT) == 0


@pytest.mark.usefixtures("small_pieces")
def test_piece_is_the_same_each_time_and_another_seed_differs() -> None:
    another = Invented(SMALL.rows, NEWEST, seed="another")
    for piece in (0, BATCH_EVERY - 1):
        assert make(SMALL, piece) == make(SMALL, piece)
        assert make(SMALL, piece).images != make(another, piece).images


@pytest.mark.usefixtures("small_pieces")
def test_times_never_fall_and_end_at_the_newest() -> None:
    times = [SMALL.at(number) for number in range(SMALL.rows)]
    assert times == sorted(times)
    assert times[-1] == NEWEST
    assert NEWEST - times[0] < timedelta(days=30)


def test_copied_text_is_escaped() -> None:
    line = copy_line(["a\tb\\n", None, 7, "two\nlines\r", NEWEST])
    assert line == "a\\tb\\\\n\t\\N\t7\ttwo\\nlines\\r\t2026-01-21T00:00:00+00:00\n"
    assert len(list(io.StringIO(line))) == 1


def test_words_are_different_and_none_begins_like_the_special_ones() -> None:
    assert len(set(BY_RANK)) == WORDS
    assert not [word for word in BY_RANK if word[0] in {PLANTED[0], ABSENT[0]}]


@pytest.mark.parametrize("title", SEARCHES)
def test_searches_are_the_same_in_every_run(title: str) -> None:
    assert texts(title, 5) == texts(title, 5)
    assert all(texts(title, 5))


@pytest.mark.parametrize(
    ("env", "rows", "is_quick"),
    [
        ({}, 1_000_000, False),
        ({"QUICK": "1"}, 100_000, True),
        ({"ROWS": "2000000"}, 2_000_000, False),
        ({"QUICK": "1", "ROWS": "200000"}, 200_000, True),
    ],
)
def test_size_comes_from_variables(env: dict[str, str], rows: int, *, is_quick: bool) -> None:
    plan = HistoryPlan.from_env(env)
    assert (plan.rows, plan.is_quick) == (rows, is_quick)


def test_history_without_a_batch_is_refused() -> None:
    rows = 4 * PIECE_ROWS - 1
    with pytest.raises(BenchError, match=f"ROWS={rows}: set a whole number of at least"):
        HistoryPlan.from_env({"ROWS": str(rows)})
    assert is_batch(3)
