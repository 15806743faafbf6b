"""The usage of each image is counted once, whatever is offered again, and is kept for 400 days."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from history_database import START, image_row, job_row, open_database, rows_of, uid_of
from psycopg import AsyncConnection
from vision_node_contract.history.database import Database
from vision_node_contract.history.records import ImageRow
from vision_node_contract.history.usage import UsageCounts
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history import usage_sums
from vision_node_operator.archiver.history.store import HistoryStore

BATCH = uid_of(999)
DAY = START.date()
LAST_SECOND = 24 * 3600 - 2
"""The job with this number ends in the last second of DAY."""

Key = tuple[date, str, str]


async def usage(database: Database) -> dict[Key, UsageCounts]:
    """Return the table usage."""

    async def read(connection: AsyncConnection) -> list[tuple[Any, ...]]:
        return await (
            await connection.execute(
                "SELECT day, owner, describer, images, failed, bytes, input_tokens, output_tokens"
                " FROM usage"
            )
        ).fetchall()

    return {(it[0], it[1], it[2]): UsageCounts(*it[3:]) for it in await database.run(read)}


def images(*indexes: int, **changes: Any) -> list[ImageRow]:
    return [image_row(0, uid=BATCH, image_index=it, **changes) for it in indexes]


@pytest.fixture
async def batch(history: HistoryStore) -> HistoryStore:
    """A history with an ImageBatch."""
    body = {"metadata": {"name": "b", "uid": BATCH}, "spec": {"prefix": "x/"}}
    await history.add_batch(ImageBatch.model_validate(body), "{}")
    return history


@pytest.fixture
async def other(history_url: str) -> AsyncIterator[HistoryStore]:
    """The store of another archiver that has the same history."""
    async with open_database(history_url) as database:
        yield HistoryStore(database)


async def test_rows_are_summed_up_by_day_owner_and_describer(
    history: HistoryStore, history_database: Database
) -> None:
    used = {"size_bytes": 100, "input_tokens": 7, "output_tokens": 2}
    await history.add_jobs(
        [
            *rows_of(1, 2, **used, owner="ann"),
            *rows_of(3, **used, owner="ann", phase="failed"),
            *rows_of(4, size_bytes=5, owner="ann", describer="ocr"),
            *rows_of(5, size_bytes=6),
            *rows_of(LAST_SECOND, size_bytes=8),
            *rows_of(LAST_SECOND + 1, size_bytes=9),
        ],
        1,
    )

    assert await usage(history_database) == {
        (DAY, "ann", "local"): UsageCounts(3, 1, 300, 21, 6),
        (DAY, "ann", "ocr"): UsageCounts(1, 0, 5, 0, 0),
        (DAY, "", "local"): UsageCounts(2, 0, 14, 0, 0),
        (DAY + timedelta(days=1), "", "local"): UsageCounts(1, 0, 9, 0, 0),
    }


async def test_rows_that_are_offered_again_are_counted_once(
    history: HistoryStore, history_database: Database
) -> None:
    await history.add_jobs(rows_of(1, 1, 2, size_bytes=10), 1)
    await history.add_jobs(rows_of(1, 2, size_bytes=10), 1)
    await history.add_jobs(rows_of(3, 2, 4, 4, size_bytes=10), 1)

    assert await usage(history_database) == {(DAY, "", "local"): UsageCounts(4, 0, 40, 0, 0)}


async def test_two_archivers_count_each_row_once(
    history: HistoryStore, other: HistoryStore, history_database: Database
) -> None:
    groups = [
        rows_of(*range(start, start + 40), owner=f"o{start % 3}", size_bytes=1)
        for start in range(0, 200, 20)
    ]
    await asyncio.gather(
        *(store.add_jobs(group, 1) for group in groups for store in (history, other))
    )

    found = await usage(history_database)
    assert sum(it.images for it in found.values()) == 220
    assert sum(it.bytes for it in found.values()) == 220


async def test_images_of_a_batch_are_counted_once(
    batch: HistoryStore, history_database: Database
) -> None:
    """The first archiver is killed after its first group, so all are offered again."""
    await batch.add_batch_images(BATCH, 0, images(0, 1, size_bytes=5), is_last=False)
    again = images(0, 1, 2, size_bytes=5)
    await batch.add_batch_images(BATCH, 0, again)
    await batch.add_batch_images(BATCH, 0, again)

    assert await usage(history_database) == {(DAY, "", "local"): UsageCounts(3, 0, 15, 0, 0)}


async def test_deleted_jobs_stay_counted_and_are_not_counted_again(
    history: HistoryStore, history_database: Database
) -> None:
    await history.add_jobs(rows_of(1, 2, size_bytes=5), 1)
    await history.add_tombstones([uid_of(1)])
    await history.delete_jobs([uid_of(1)])
    await history.add_jobs(rows_of(1, 2, size_bytes=5), 1)

    assert await usage(history_database) == {(DAY, "", "local"): UsageCounts(2, 0, 10, 0, 0)}


@pytest.mark.parametrize("step", ["usage", "counter"])
async def test_failed_transaction_counts_nothing(
    history: HistoryStore,
    history_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """The archiver is killed between two statements, and the rows are offered again."""

    async def die(*_: object, **__: object) -> int:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        target = usage_sums.UsageSums if step == "usage" else type(history.counter)
        patch.setattr(target, "save" if step == "usage" else "add", die)
        with pytest.raises(asyncio.CancelledError):
            await history.add_jobs(rows_of(1, size_bytes=5), 1)

    assert await usage(history_database) == {}
    await history.add_jobs(rows_of(1, size_bytes=5), 1)
    assert await usage(history_database) == {(DAY, "", "local"): UsageCounts(1, 0, 5, 0, 0)}


async def test_refused_rows_are_counted_once_with_those_beside_them(
    history: HistoryStore, history_database: Database
) -> None:
    """PostgreSQL refuses a word that is too long for an index, so the group is halved."""
    bad = [(replace(image_row(3, size_bytes=5), words=("x" * 3000,)), job_row(3))]
    written = await history.add_jobs(
        [*rows_of(1, 2, size_bytes=5), *bad, *rows_of(4, size_bytes=5)], 1
    )
    assert (written.rows, written.refused) == (4, 1)
    await history.add_jobs([*bad, *rows_of(4, size_bytes=5)], 1)

    assert await usage(history_database) == {(DAY, "", "local"): UsageCounts(4, 0, 20, 0, 0)}


async def test_names_that_postgresql_refuses_are_counted(
    history: HistoryStore, history_database: Database
) -> None:
    """The results of a batch name their describers, and may contain anything."""
    names = ["a\0b", "a\ufffdb", "\ud800", "x" * 5000]
    rows = [row for at, name in enumerate(names) for row in rows_of(at, describer=name)]
    written = await history.add_jobs(rows, 1)
    found = await usage(history_database)

    assert written.rows == len(names)
    assert {name: it.images for (_, _, name), it in found.items()} == {
        "a\ufffdb": 2,
        "?": 1,
        "x" * usage_sums.MAX_NAME_CHARACTERS: 1,
    }


async def test_restored_rows_are_counted_with_what_the_copy_had(
    history: HistoryStore, history_database: Database
) -> None:
    """A copy has rows and numbers of the same moment, so what it lacks is counted again."""
    await history.add_jobs(rows_of(1, size_bytes=5), 1)
    before = await usage(history_database)
    await history.add_jobs(rows_of(2, size_bytes=5), 1)
    latest = await usage(history_database)

    async def restore(connection: AsyncConnection) -> None:
        uid = uid_of(2)
        await connection.execute("DELETE FROM images WHERE uid = %s", (uid,))
        await connection.execute("DELETE FROM jobs WHERE uid = %s", (uid,))
        await connection.execute("UPDATE usage SET images = 1, bytes = 5")
        await connection.execute("UPDATE owner SET written = 1")

    await history_database.run(restore)
    history.counter.restart(1)
    assert await usage(history_database) == before
    await history.add_jobs(rows_of(1, 2, size_bytes=5), 1)
    assert await usage(history_database) == latest


async def test_old_rows_are_dropped_in_steps(
    history: HistoryStore, history_database: Database
) -> None:
    async def fill(connection: AsyncConnection) -> None:
        await connection.execute(
            "INSERT INTO usage SELECT '2025-01-01'::date + n / 20, 'o' || n, 'local', 1, 0, 1, 0, 0"
            " FROM generate_series(0, 11999) AS n"
        )

    await history_database.run(fill)
    now = datetime(2026, 12, 31, 23, tzinfo=UTC)
    oldest_kept = now.date() - timedelta(days=400)

    dropped = [await history.drop_old_usage(now) for _ in range(2)]
    assert dropped == [(oldest_kept - date(2025, 1, 1)).days * 20, 0]
    assert min(day for day, _, _ in await usage(history_database)) == oldest_kept
    assert await history.drop_old_usage(now + timedelta(days=500)) == 12_000 - dropped[0]


async def test_a_step_has_a_limit(
    history: HistoryStore, history_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_operator.archiver.history.lifecycle.MAX_DROPPED_USAGE", 2)
    await history.add_jobs(
        [*rows_of(1, owner="a"), *rows_of(2, owner="b"), *rows_of(3, owner="c")], 1
    )

    late = START + timedelta(days=500)
    assert [await history.drop_old_usage(late) for _ in range(3)] == [2, 1, 0]
