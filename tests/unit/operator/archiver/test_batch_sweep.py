"""Tests of what the sweep deletes, and of deleting folders."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from archiver_helpers import BATCHES, until
from fakes.batch_api import BatchApi
from fakes.ownership import FakeOwnership
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_operator.archiver import folder_cleaner
from vision_node_operator.archiver.batches import BatchClient
from vision_node_operator.archiver.folder_cleaner import DELETERS, FolderCleaner
from vision_node_operator.archiver.sweep import GRACE, Sweep

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = NOW - GRACE - timedelta(seconds=1), NOW - GRACE + timedelta(seconds=1)

FOREIGN = [
    "batches/ddddeeeeffff/u-1/m1/000000000",  # another release's
    "batches/u-1/m1/000000000",
    "inbox/aaaabbbbcccc/a",
    "images/aaaabbbbcccc/a",
    "results/aaaabbbbcccc/u/1",
    "owners/aaaabbbbcccc",
    "batches/aaaabbbbcccc",
]


@pytest.fixture
def sweep(
    bucket: Bucket, client: BatchClient, ownership: FakeOwnership, cleaner: FolderCleaner
) -> Sweep:
    owner: Any = ownership
    return Sweep(bucket, client, owner, cleaner)


def left(s3: S3) -> list[str]:
    return sorted(key.removeprefix(BATCHES) for key in s3.objects if key not in FOREIGN)


async def test_old_folders_of_unknown_batches_are_deleted(
    s3: S3, api: BatchApi, sweep: Sweep
) -> None:
    for key in FOREIGN:
        s3.put(key, modified=OLD)
    for key in ["u-gone/m1/000000000", "u-gone/results/1", "u-known/m1/0", "u-late/m1/0"]:
        s3.put(BATCHES + key, modified=OLD)
    s3.put(f"{BATCHES}u-late/results/2", modified=NEW)
    api.create("known", prefix="inbox/")

    assert await sweep.sweep(NOW) == 2

    assert left(s3) == ["u-known/m1/0", "u-late/m1/0", "u-late/results/2"]
    assert set(FOREIGN) <= s3.objects.keys()


async def test_checkpoints_of_finished_batches_are_deleted(
    s3: S3, api: BatchApi, sweep: Sweep
) -> None:
    for phase in ["queued", "processing", "done", "failed", "odd"]:
        api.create(phase, prefix="inbox/")
        api.change(phase, status={"phase": phase})
        s3.put(f"{BATCHES}u-{phase}/checkpoints/1", modified=NEW)
        s3.put(f"{BATCHES}u-{phase}/index/0", modified=OLD)

    await sweep.sweep(NOW)

    assert {it for it in left(s3) if "checkpoints" in it} == {
        "u-queued/checkpoints/1",
        "u-processing/checkpoints/1",
        "u-odd/checkpoints/1",
    }
    assert sum("index" in it for it in left(s3)) == 5


async def test_folder_of_a_batch_that_is_created_meanwhile_is_kept(
    s3: S3, api: BatchApi, sweep: Sweep
) -> None:
    """The clock of the bucket may be wrong, so that the new objects look old."""

    async def create(prefix: str) -> None:
        if prefix == BATCHES and not api.bodies:
            api.create("b", prefix="inbox/")
            s3.put(f"{BATCHES}u-b/m1/0", modified=OLD)

    s3.before_list = create
    s3.put(f"{BATCHES}u-gone/m1/0", modified=OLD)
    await sweep.sweep(NOW)
    assert left(s3) == ["u-b/m1/0"]


async def test_old_objects_of_an_upload_are_kept_as_long_as_its_batch_exists(
    s3: S3, api: BatchApi, sweep: Sweep
) -> None:
    """An upload may go on for a day, and its first objects are old by then."""
    keys = ["u/first/l000000000", "u/first/p000000000", "u/i/YQ.", "u/other/zip"]
    for uid in ["u-incomplete", "u-done", "u-gone"]:
        for key in keys:
            s3.put(f"{BATCHES}{uid}/{key}", modified=OLD)
    api.create("incomplete", upload={"complete": False})
    api.create("done", upload={"complete": True})
    api.change("done", status={"phase": "done"})

    assert await sweep.sweep(NOW) == len(keys)

    assert left(s3) == [f"{uid}/{key}" for uid in ["u-done", "u-incomplete"] for key in keys]


async def test_nothing_is_deleted_in_the_folders_of_another_release(
    s3: S3, sweep: Sweep, cleaner: FolderCleaner, ownership: FakeOwnership, caplog: Any
) -> None:
    s3.put(f"{BATCHES}u-gone/m1/0", modified=OLD)
    ownership.refuses = NotOursError("another owner")

    with pytest.raises(NotOursError):
        await sweep.sweep(NOW)
    with caplog.at_level(logging.WARNING):
        cleaner.clean(f"{BATCHES}u-gone/")
        await until(lambda: "StorageNotOurs" in caplog.text)

    assert left(s3) == ["u-gone/m1/0"]


async def test_nothing_is_deleted_while_batches_cannot_be_listed(
    s3: S3, sweep: Sweep, cleaner: FolderCleaner
) -> None:
    s3.put(f"{BATCHES}u-gone/m1/0", modified=OLD)
    s3.fails = (503, "SlowDown")
    with pytest.raises(StoreUnavailableError):
        await sweep.sweep(NOW)
    assert left(s3) == ["u-gone/m1/0"]


async def test_all_objects_below_a_folder_are_deleted_several_at_a_time(
    s3: S3, cleaner: FolderCleaner, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.page = 7
    keys = [f"{BATCHES}u/{number:03}" for number in range(40)]
    for key in [*keys, f"{BATCHES}u2/1"]:
        s3.put(key)
    s3.undeletable = {keys[3], keys[30]}

    assert await cleaner.delete_below(f"{BATCHES}u/") == 38

    assert left(s3) == ["u/003", "u/030", "u2/1"]


async def test_deletions_at_the_same_time_are_limited(
    bucket: Bucket, cleaner: FolderCleaner, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = most = 0

    async def delete(key: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    monkeypatch.setattr(bucket, "delete", delete)
    for number in range(100):
        s3.put(f"{BATCHES}u/{number}")
    assert await cleaner.delete_below(f"{BATCHES}u/") == 100
    assert most == DELETERS


@pytest.mark.parametrize(
    "folder", ["", "batches/", BATCHES, f"{BATCHES}u-b", "inbox/aaaabbbbcccc/a/", "batches/u/"]
)
async def test_only_folders_of_batches_are_deleted(
    s3: S3, cleaner: FolderCleaner, folder: str
) -> None:
    s3.put(f"{BATCHES}u-b/m1/0")
    with pytest.raises(ValueError, match="not in the folder of an ImageBatch"):
        await cleaner.delete_below(folder)
    assert left(s3) == ["u-b/m1/0"]


async def test_folders_that_do_not_fit_are_left_to_the_sweep(
    bucket: Bucket, s3: S3, ownership: FakeOwnership, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_cleaner, "MAX_WAITING", 2)
    owner: Any = ownership
    cleaner = FolderCleaner(bucket, owner)
    for uid in ["u1", "u2", "u3"]:
        s3.put(f"{BATCHES}{uid}/m1/0")
        cleaner.clean(f"{BATCHES}{uid}/")

    running = asyncio.create_task(cleaner.run())
    await until(lambda: left(s3) == ["u3/m1/0"])
    running.cancel()
    await asyncio.wait({running})
