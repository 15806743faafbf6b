"""Rows of the history are written once, whoever else writes, and never after their deletion."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from history_database import (
    image_row,
    job_row,
    open_database,
    row_count,
    rows_of,
    uid_of,
)
from postgres import Postgres
from vision_node_contract.history.database import Database, HistoryUnavailableError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history.migrate import migrate
from vision_node_operator.archiver.history.store import HistoryStore, Written

BATCH = uid_of(999)


@pytest.fixture
async def other(history_url: str) -> AsyncIterator[HistoryStore]:
    """The store of another archiver that has the same history."""
    async with open_database(history_url) as database:
        yield HistoryStore(database)


def batch(**status: object) -> ImageBatch:
    return ImageBatch.model_validate(
        {"metadata": {"name": "b", "uid": BATCH}, "spec": {"prefix": "x/"}, "status": status}
    )


async def test_rows_are_added_once(history: HistoryStore) -> None:
    assert await history.add_jobs(rows_of(1, 2), 7) == Written(2, 0)
    assert await history.add_jobs(rows_of(2, 3), 5) == Written(1, 0)

    owner = await history.read_owner()
    assert owner is not None
    assert (owner.written, owner.resource_version) == (3, 7)
    assert await history.count() == 3


async def test_same_row_twice_in_a_group_is_added_once(history: HistoryStore) -> None:
    assert await history.add_jobs(rows_of(1, 1), 7) == Written(1, 0)


async def test_first_row_stays_as_it_is(history: HistoryStore, history_database: Database) -> None:
    await history.add_jobs(rows_of(1, body="first"), 7)
    await history.add_jobs(rows_of(1, body="second"), 8)

    assert await row_count(history_database, "images WHERE body = 'first'") == 1


async def test_two_archivers_add_each_row_once(
    history: HistoryStore, other: HistoryStore, history_database: Database
) -> None:
    groups = [rows_of(*range(start, start + 40)) for start in range(0, 200, 20)]
    written = await asyncio.gather(
        *(store.add_jobs(group, 1) for group in groups for store in (history, other))
    )

    rows = await row_count(history_database, "images JOIN jobs USING (uid)")
    owner = await history.read_owner()
    assert owner is not None
    assert rows == sum(it.rows for it in written) == owner.written == await history.count() == 220


async def test_empty_group_only_notes_the_version(history: HistoryStore) -> None:
    assert await history.add_jobs([], 9) == Written(0, 0)

    owner = await history.read_owner()
    assert owner is not None
    assert (owner.written, owner.resource_version) == (0, 9)


async def test_nothing_is_written_without_an_owner(
    postgres: Postgres, history_template: str
) -> None:
    async with open_database(postgres.url(postgres.create_database())) as database:
        await migrate(database, "postgres")
        store = HistoryStore(database)
        assert await store.read_owner() is None
        with pytest.raises(HistoryUnavailableError, match="claimed") as error:
            await store.add_jobs(rows_of(1), 1)

    assert error.value.reason == "HistoryNotReady"


async def test_new_owner_keeps_the_numbers(history: HistoryStore) -> None:
    await history.add_jobs(rows_of(1), 7)
    await history.claim("another")

    owner = await history.read_owner()
    assert owner is not None
    assert (owner.uid, owner.written, owner.resource_version) == ("another", 1, 7)


async def test_row_with_a_tombstone_is_not_written(history: HistoryStore) -> None:
    await history.add_tombstones([uid_of(1)])

    assert await history.add_jobs(rows_of(1, 2), 1) == Written(1, 0)
    assert await history.known_uids([uid_of(1), uid_of(2)]) == {uid_of(2)}


async def test_row_of_a_cleaned_tombstone_is_not_written(history: HistoryStore) -> None:
    await history.add_jobs(rows_of(1), 1)
    await history.add_tombstones([uid_of(1)])
    await history.delete_jobs([uid_of(1)])

    assert await history.to_clean(10) == []
    assert await history.add_jobs(rows_of(1), 1) == Written(0, 0)


async def test_row_in_flight_does_not_outlive_its_deletion(
    history: HistoryStore, other: HistoryStore, history_database: Database
) -> None:
    for number in range(20):
        await asyncio.gather(
            history.add_jobs(rows_of(number), 1),
            delete(other, uid_of(number)),
        )

    assert await row_count(history_database, "images") == 0
    assert await row_count(history_database, "jobs") == 0
    assert await history.count() == 0


async def delete(store: HistoryStore, uid: str) -> None:
    await store.add_tombstones([uid])
    await store.delete_jobs([uid])


async def test_index_objects_of_a_batch_are_counted_in_order(history: HistoryStore) -> None:
    assert await history.add_batch_images(BATCH, 0, [image_row(1)]) == Written(0, 0)
    await history.add_batch(batch(), "{}")
    first = [image_row(0, uid=BATCH, image_index=it) for it in range(3)]
    second = [image_row(0, uid=BATCH, image_index=it) for it in range(3, 5)]

    assert await history.add_batch_images(BATCH, 1, second) == Written(0, 0)
    assert await history.add_batch_images(BATCH, 0, first) == Written(3, 0)
    assert await history.add_batch_images(BATCH, 0, first) == Written(0, 0)
    assert await history.add_batch_images(BATCH, 1, second) == Written(2, 0)

    archived = await history.add_batch(batch(), "{}")
    assert archived is not None
    assert archived.archived_index == 2
    owner = await history.read_owner()
    assert owner is not None
    assert owner.written == 5


async def test_images_of_the_largest_batch_are_added(history: HistoryStore) -> None:
    await history.add_batch(batch(), "{}")
    indexes = (0, 40_000, 3_000_000, 2**31 - 1)
    rows = [image_row(0, uid=BATCH, image_index=it) for it in indexes]

    assert await history.add_batch_images(BATCH, 0, rows) == Written(4, 0)


async def test_index_object_counts_once_for_two_archivers(
    history: HistoryStore, other: HistoryStore
) -> None:
    await history.add_batch(batch(), "{}")
    rows = [image_row(0, uid=BATCH, image_index=it) for it in range(3)]
    written = await asyncio.gather(
        *(store.add_batch_images(BATCH, 0, rows) for store in (history, other))
    )

    assert sorted(it.rows for it in written) == [0, 3]


async def test_deleted_batch_is_not_added(history: HistoryStore) -> None:
    await history.add_tombstones([BATCH], batches=True)

    assert await history.add_batch(batch(), "{}") is None
    assert await history.known_uids([BATCH], batches=True) == set()


async def test_single_job_leaves_the_columns_of_its_row(history_database: Database) -> None:
    store = HistoryStore(history_database)
    await store.add_jobs([(image_row(1, owner="ann"), job_row(1, result_key="results/1"))], 1)

    [job] = await store.keys_of([uid_of(1)])
    assert (job.name, job.image_key, job.result_key) == ("job-1", "images/h7k2p9q4/1", "results/1")
    found = "images WHERE owner = 'ann' AND search @@ $$'0:cat' & '0@ann'$$::tsquery"
    assert await row_count(history_database, found) == 1
