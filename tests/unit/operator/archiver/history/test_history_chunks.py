"""Each row belongs to the newest chunk that starts before it."""

from datetime import datetime, timedelta

import pytest
from history_database import START, image_row, row_count, rows_of, uid_of
from psycopg import AsyncConnection
from vision_node_contract.history.database import Database
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history.chunks import Chunk, ChunkMap
from vision_node_operator.archiver.history.store import HistoryStore

BATCH = uid_of(999)
CHUNK_ROWS = 10


@pytest.fixture
def store(history_database: Database) -> HistoryStore:
    """A store with small chunks."""
    return HistoryStore(history_database, CHUNK_ROWS)


async def chunk_rows(database: Database) -> list[tuple[int, int]]:
    """Return the id and number of rows of each chunk."""

    async def work(connection: AsyncConnection) -> list[tuple[int, int]]:
        return await (
            await connection.execute("SELECT id, rows::int FROM chunks ORDER BY starts_at")
        ).fetchall()

    return await database.run(work)


async def misplaced(database: Database) -> int:
    """Return how many rows lack the word `cat` of the newest chunk that starts before them."""
    return await row_count(
        database,
        "images WHERE NOT search @@ format($$'%s:cat'$$, (SELECT id FROM chunks"
        " WHERE starts_at <= at ORDER BY starts_at DESC LIMIT 1))::tsquery",
    )


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([range(10)], [(0, 10)]),
        ([range(11)], [(0, 10), (1, 1)]),
        ([range(10), range(10, 11)], [(0, 10), (1, 1)]),
        ([range(35)], [(0, 10), (1, 10), (2, 10), (3, 5)]),
        ([range(7), range(7, 14), range(14, 21)], [(0, 10), (1, 10), (2, 1)]),
        # Late rows go to the chunk of their time, which may grow.
        ([range(10, 30), range(10)], [(0, 20), (1, 10), (2, 0)]),
        ([range(10, 31), range(5, 10), [40]], [(0, 15), (1, 10), (2, 2)]),
        # Rows that exist don't count.
        ([range(10), range(10), range(10), range(9, 11)], [(0, 10), (1, 1)]),
    ],
)
async def test_new_chunk_begins_when_the_newest_is_full(
    store: HistoryStore,
    history_database: Database,
    groups: list[range],
    expected: list[tuple[int, int]],
) -> None:
    for group in groups:
        await store.add_jobs(rows_of(*group), 1)

    assert await chunk_rows(history_database) == expected
    assert await misplaced(history_database) == 0


async def test_rows_of_the_same_moment_stay_together(
    store: HistoryStore, history_database: Database
) -> None:
    await store.add_jobs(rows_of(*range(25), at=START), 1)
    await store.add_jobs(rows_of(30), 1)

    assert await chunk_rows(history_database) == [(0, 25), (1, 1)]
    assert await misplaced(history_database) == 0


async def test_images_of_a_batch_fill_chunks_one_after_another(
    store: HistoryStore, history_database: Database
) -> None:
    await store.add_jobs(rows_of(*range(8), at=START + timedelta(days=1)), 1)
    body = {"metadata": {"name": "b", "uid": BATCH}, "spec": {"prefix": "x/"}}
    await store.add_batch(ImageBatch.model_validate(body), "{}")

    # All have been archived at the same time, when the archiver's clock was behind.
    rows = [image_row(0, uid=BATCH, image_index=it) for it in range(25)]
    await store.add_batch_images(BATCH, 0, rows)

    assert await chunk_rows(history_database) == [(0, 10), (1, 10), (2, 10), (3, 3)]
    assert await misplaced(history_database) == 0


async def test_deleted_rows_are_not_counted_and_empty_chunks_go(
    store: HistoryStore, history_database: Database
) -> None:
    await store.add_jobs(rows_of(*range(35)), 1)
    await store.delete_jobs([uid_of(it) for it in (*range(2), *range(10, 20), 34)])

    assert await chunk_rows(history_database) == [(0, 8), (2, 10), (3, 4)]
    assert await misplaced(history_database) == 0
    assert await store.count() == 22

    # A late row of a chunk that is gone belongs to the one before it.
    await store.add_jobs(rows_of(100, at=START + timedelta(seconds=15)), 1)
    assert await chunk_rows(history_database) == [(0, 9), (2, 10), (3, 4)]
    assert await misplaced(history_database) == 0


async def test_first_and_newest_chunk_stay_when_all_is_deleted(
    store: HistoryStore, history_database: Database
) -> None:
    await store.add_jobs(rows_of(*range(35)), 1)
    await store.delete_jobs([uid_of(it) for it in range(35)])

    assert await chunk_rows(history_database) == [(0, 0), (3, 0)]


@pytest.mark.parametrize(
    ("seconds", "chunk"), [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (1000, 2)]
)
def test_chunk_of_a_time(seconds: int, chunk: int) -> None:
    starts = (0, 10, 20)
    chunks = [Chunk(it, moment(start), 1, moment(start)) for it, start in enumerate(starts)]

    assert ChunkMap(chunks, 5).of(moment(seconds)).id == chunk


def moment(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)
