"""Jobs and batches of the history are evicted, expire and are deleted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from history_database import START, image_row, job_row, row_count, rows_of, uid_of
from vision_node_contract.history.database import Database
from vision_node_contract.history.records import JobRow
from vision_node_contract.history.schema import TOMBSTONE_DAYS
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver.history.store import ArchivedBatch, ExpiredJob, HistoryStore

BATCH, OTHER_BATCH, UNKNOWN = uid_of(901), uid_of(902), uid_of(999)
DAY = timedelta(days=1)


def uids(*numbers: int) -> list[str]:
    return [uid_of(it) for it in numbers]


def numbers_of(jobs: Sequence[ExpiredJob]) -> list[int]:
    return [int(it.name.removeprefix("job-")) for it in jobs]


async def mark_evicted(history: HistoryStore, uids: list[str]) -> None:
    await history._execute("UPDATE jobs SET evicted_at = now() WHERE uid = ANY(%s::uuid[])", uids)


async def add(history: HistoryStore, *jobs: JobRow) -> None:
    rows = [(image_row(0, uid=job.uid, name=job.name), job) for job in jobs]
    await history.add_jobs(rows, 1)


def batch(uid: str = BATCH, ttl: int | None = None, **status: Any) -> ImageBatch:
    spec = {"prefix": "x/", "ttlSecondsAfterFinished": ttl}
    return ImageBatch.model_validate(
        {"metadata": {"name": f"b-{uid[-1]}", "uid": uid}, "spec": spec, "status": status}
    )


def done(at: datetime = START) -> dict[str, Any]:
    return {"phase": "done", "completionTime": at}


async def test_jobs_in_etcd_are_read_in_pages(history: HistoryStore) -> None:
    await history.add_jobs(rows_of(*range(5)), 1)
    await mark_evicted(history, uids(2))

    first = await history.in_etcd(None, 3)
    second = await history.in_etcd(first[-1].uid, 3)
    assert (numbers_of(first), numbers_of(second)) == ([0, 1, 3], [4])


@pytest.mark.parametrize(
    ("ttl", "default", "after", "expired"),
    [
        (None, DAY, DAY, True),
        (None, DAY, DAY - timedelta(seconds=1), False),
        (None, None, 1000 * DAY, False),
        (timedelta(hours=1), DAY, timedelta(hours=1), True),
        (timedelta(hours=1), None, timedelta(hours=1), True),
        (2 * DAY, DAY, DAY, False),
    ],
)
async def test_evicted_job_expires(
    history: HistoryStore,
    *,
    ttl: timedelta | None,
    default: timedelta | None,
    after: timedelta,
    expired: bool,
) -> None:
    end = START
    await add(history, job_row(1, finished_at=end, expires_at=None if ttl is None else end + ttl))
    assert await history.expired_jobs(end + after, default, 10) == []

    await mark_evicted(history, uids(1))
    assert numbers_of(await history.expired_jobs(end + after, default, 10)) == [1] * expired


async def test_expired_jobs_are_limited(history: HistoryStore) -> None:
    await add(history, *(job_row(it, expires_at=START if it % 2 else None) for it in range(10)))
    await mark_evicted(history, uids(*range(10)))

    assert len(await history.expired_jobs(START + 2 * DAY, DAY, 7)) == 7
    assert len(await history.expired_jobs(START + 2 * DAY, DAY, 99)) == 10


@pytest.mark.parametrize(
    ("ttl", "default", "after", "expired"),
    [
        (None, DAY, DAY, True),
        (None, DAY, DAY - timedelta(seconds=1), False),
        (None, None, 1000 * DAY, False),
        (3600, None, timedelta(hours=1), True),
        (2 * 86400, DAY, DAY, False),
    ],
)
async def test_evicted_batch_expires(
    history: HistoryStore,
    *,
    ttl: int | None,
    default: timedelta | None,
    after: timedelta,
    expired: bool,
) -> None:
    await history.add_batch(batch(ttl=ttl, **done()), "{}")
    assert await history.expired_batches(START + after, default, 10) == []

    assert await history.mark_batch_evicted(BATCH, evicted=True)
    found = await history.expired_batches(START + after, default, 10)
    assert [it.uid for it in found] == [BATCH] * expired


async def test_unfinished_batch_has_no_end(history: HistoryStore) -> None:
    await history.add_batch(batch(ttl=1), "{}")
    await history.mark_batch_evicted(BATCH, evicted=True)
    assert await history.expired_batches(START + 1000 * DAY, DAY, 10) == []

    await history.add_batch(batch(ttl=1, **done()), "{}")
    assert len(await history.expired_batches(START + 1000 * DAY, DAY, 10)) == 1


async def test_batches_in_etcd_are_those_that_are_not_evicted(history: HistoryStore) -> None:
    for uid in (OTHER_BATCH, BATCH):
        added = await history.add_batch(batch(uid), "{}")
        assert added == ArchivedBatch(uid, f"b-{uid[-1]}", 0, None)

    assert not await history.mark_batch_evicted(UNKNOWN, evicted=True)
    assert await history.mark_batch_evicted(BATCH, evicted=True)
    assert [it.uid for it in await history.batches_in_etcd()] == [OTHER_BATCH]
    again = await history.add_batch(batch(), "{}")
    assert again is not None
    assert again.evicted_at is not None

    assert await history.mark_batch_evicted(BATCH, evicted=False)
    assert [it.uid for it in await history.batches_in_etcd()] == [BATCH, OTHER_BATCH]


async def test_everything_unknown_is_kept(history: HistoryStore) -> None:
    await history.add_jobs(rows_of(1, 2, 3), 1)
    await mark_evicted(history, uids(3))
    for uid in (BATCH, OTHER_BATCH):
        await history.add_batch(batch(uid), "{}")

    assert await history.keep_all([uid_of(1), BATCH, UNKNOWN]) == 2

    assert numbers_of(await history.in_etcd(None, 10)) == [1]
    assert [it.uid for it in await history.batches_in_etcd()] == [BATCH]
    assert await history.keep_all([]) == 2


async def test_marks_of_what_a_restored_cluster_has_are_removed_unless_they_are_young(
    history: HistoryStore,
) -> None:
    await history.add_jobs(rows_of(1, 2, 3), 1)
    await mark_evicted(history, uids(1, 2, 3))
    for uid in (BATCH, OTHER_BATCH):
        await history.add_batch(batch(uid), "{}")
        await history.mark_batch_evicted(uid, evicted=True)
    live = [*uids(1, 3), BATCH]

    assert await history.keep_all(live, live) == 0
    assert not await history.in_etcd(None, 10)

    for table in ("jobs", "batches"):
        statement = f"UPDATE {table} SET evicted_at = now() - interval '61 s' WHERE uid <> %s"  # noqa: S608
        await history._execute(statement, uid_of(3))  # type: ignore[arg-type]
    assert await history.keep_all([*live, uid_of(2)], live) == 0

    assert numbers_of(await history.in_etcd(None, 10)) == [1]
    assert [it.uid for it in await history.batches_in_etcd()] == [BATCH]


async def test_images_are_forgotten(history: HistoryStore) -> None:
    await add(history, *(job_row(it) for it in range(4)), job_row(9, image_key=None))

    end = START + timedelta(seconds=3)
    assert numbers_of(await history.images_ended_before(end, 10)) == [0, 1]
    assert numbers_of(await history.images_ended_before(end, 1)) == [0]

    await history.forget_images(uids(0, 9))
    assert numbers_of(await history.images_ended_before(end, 10)) == [1]
    assert [it.image_key for it in await history.keys_of(uids(0))] == [None]


async def test_tombstones_are_cleaned_by_deleting(
    history: HistoryStore, history_database: Database
) -> None:
    await history.add_jobs(rows_of(1, 2), 1)
    await history.add_tombstones(uids(1, 3))
    await history.add_tombstones(uids(1))
    await history.add_tombstones([BATCH], batches=True)
    assert await history.to_clean(10) == [uid_of(1), uid_of(3)]
    assert await history.to_clean(10, batches=True) == [BATCH]
    assert await history.to_clean(1) == [uid_of(1)]

    await history.delete_jobs(uids(1, 3))

    assert await history.to_clean(10) == []
    assert await history.to_clean(10, batches=True) == [BATCH]
    assert await row_count(history_database, "images") == 1
    assert await row_count(history_database, "jobs") == 1


async def test_batch_is_deleted_in_pieces(
    history: HistoryStore, history_database: Database
) -> None:
    await history.add_jobs(rows_of(1), 1)
    for uid in (BATCH, OTHER_BATCH):
        await history.add_batch(batch(uid), "{}")
        rows = [image_row(0, uid=uid, image_index=it) for it in range(7)]
        await history.add_batch_images(uid, 0, rows)
    await history.add_tombstones([BATCH], batches=True)

    pieces = [await history.delete_batch_images(BATCH, 5) for _ in range(2)]
    assert await history.known_uids([BATCH], batches=True) == {BATCH}
    assert await history.to_clean(10) == []
    assert await history.to_clean(10, batches=True) == [BATCH]
    pieces.append(await history.delete_batch_images(BATCH, 5))

    assert pieces == [5, 2, 0]
    assert await history.known_uids([BATCH, OTHER_BATCH], batches=True) == {OTHER_BATCH}
    assert await history.to_clean(10) == []
    assert await history.count() == await row_count(history_database, "images") == 8


@pytest.mark.parametrize(
    ("cleaned", "age", "dropped"),
    [
        (True, timedelta(days=TOMBSTONE_DAYS, hours=1), 1),
        (True, timedelta(days=TOMBSTONE_DAYS, hours=-1), 0),
        (False, timedelta(days=TOMBSTONE_DAYS, hours=1), 0),
    ],
)
async def test_old_tombstones_are_dropped(
    history: HistoryStore, *, cleaned: bool, age: timedelta, dropped: int
) -> None:
    await history.add_tombstones(uids(1))
    if cleaned:
        await history.delete_jobs(uids(1))

    assert await history.drop_old_tombstones(datetime.now(START.tzinfo) + age) == dropped


async def test_sweeps_keep_what_a_row_names(history: HistoryStore) -> None:
    await add(history, *(job_row(it, image_key=f"images/{it % 2}") for it in range(4)))

    asked = ["images/0", "images/1", "images/2", "images/1"]
    assert await history.named_images(asked) == {"images/0", "images/1"}
    await history.delete_jobs(uids(1))
    assert await history.named_images(asked) == {"images/0", "images/1"}
    await history.delete_jobs(uids(3))
    assert await history.named_images(asked) == {"images/0"}


async def test_nothing_is_asked_about_nothing(history: HistoryStore) -> None:
    await history.add_jobs(rows_of(1), 1)

    assert await history.named_images([]) == set()
    assert await history.known_uids([]) == set()
    assert await history.keys_of([]) == []
    await history.delete_jobs([])
    assert await history.count() == 1
