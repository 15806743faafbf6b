"""Tests that a database that is restored while the archiver works with it loses nothing else."""

from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from archive_place import IMAGES, Place
from archiver_helpers import until
from fakes.job_api import do_nothing
from fakes.s3 import RELEASE_ID
from vision_node_operator.archiver.history import link as history_link
from vision_node_operator.archiver.history.holds import Work
from vision_node_operator.archiver.jobs.deletions import Deletion
from vision_node_operator.archiver.jobs.history_jobs import HistoryJobs

COPY = f"owners/{RELEASE_ID}.history"

FORGET_EVICTIONS = "UPDATE jobs SET evicted_at = NULL; UPDATE owner SET written = 1"
"""Restores a copy that was made after the first job was archived and before it was evicted."""


def reasons(jobs: HistoryJobs) -> list[str]:
    return [it.reason for it in jobs.link.holds]


def check_only_at_start(jobs: HistoryJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an archiver whose tasks have not begun check at its start, and then only if asked to.

    The checks at the start have ended after `link.check()`, if cleaning up was allowed before.
    """
    monkeypatch.setattr(history_link, "CHECK_SECONDS", 3600.0)
    monkeypatch.setattr(jobs.reconciliation, "reconcile", AsyncMock(return_value=0))


async def confirm(place: Place, jobs: HistoryJobs) -> None:
    await until(lambda: reasons(jobs) == ["HistoryRestored"])
    place.api.annotations = {"vision-node.dev/confirm-restore": jobs.link.holds[0].token}
    await until(lambda: not reasons(jobs))


@pytest.mark.parametrize("is_told", [True, False], ids=["event", "list"])
async def test_eviction_whose_mark_is_lost_is_no_deletion(place: Place, *, is_told: bool) -> None:
    """The database is restored between the mark of an eviction and the news of the deletion."""
    place.create_done("a", 3601)

    async def restore(name: str) -> None:
        place.execute(FORGET_EVICTIONS)
        if not is_told:
            place.api.break_watches()

    place.api.before_delete = restore
    async with place.archiver() as jobs:
        await until(lambda: not place.api.bodies and len(jobs.live) == 0)
        await confirm(place, jobs)
        await until(lambda: place.evicted == ["a"])
        assert not len(jobs.deletions)

    assert f"{IMAGES}a" in place.s3.objects


@pytest.mark.parametrize("is_reading", [False, True], ids=["ImageJob", "mark"])
async def test_restore_that_is_noticed_while_a_deletion_is_checked_makes_none(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, is_reading: bool
) -> None:
    """A check accepts the lower counter after the ImageJob, or after its mark, was asked for."""
    uid = place.create_done("a", 3601)

    async with place.archiver() as jobs:
        check_only_at_start(jobs, monkeypatch)
        await until(lambda: place.evicted == ["a"] and not place.api.bodies)
        await until(lambda: not jobs.deletions.busy and jobs.link.allows(Work.CLEAN))
        await jobs.link.check()
        reader, counter, is_restored = jobs.deletions._reader, jobs.store.counter, False
        get, check_counter = reader.get, counter.check

        async def restore_and_get(*args: Any) -> Any:
            nonlocal is_restored
            if not is_restored:
                is_restored = True
                place.execute(FORGET_EVICTIONS)
                if not is_reading:
                    await jobs.link.check()
            return await get(*args)

        async def notice_and_check(*args: Any) -> None:
            await jobs.link.check()
            await check_counter(*args)

        monkeypatch.setattr(reader, "get", restore_and_get)
        monkeypatch.setattr(counter, "check", notice_and_check)
        jobs.deletions.add(Deletion(uid, "a"))
        await until(lambda: reasons(jobs) == ["HistoryRestored"] and not len(jobs.deletions))
        assert place.names == ["a"]
        assert f"{IMAGES}a" in place.s3.objects


@pytest.mark.parametrize("is_noticed", [False, True])
async def test_nothing_is_evicted_if_its_mark_is_lost_before_it_is_recorded(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, is_noticed: bool
) -> None:
    """The copy in the bucket is older than the restored database, so it does not tell."""
    async with place.archiver() as jobs:
        check_only_at_start(jobs, monkeypatch)
        await until(lambda: jobs.link.allows(Work.CLEAN))
        await jobs.link.check()
        mark, is_restored = jobs.evictor._marks.mark, False

        async def mark_and_restore(*args: Any) -> Any:
            nonlocal is_restored
            found = await mark(*args)
            if found and not is_restored:
                place.execute(FORGET_EVICTIONS)
                if is_noticed:
                    await jobs.link.check()
                is_restored = True
            return found

        monkeypatch.setattr(jobs.evictor._marks, "mark", mark_and_restore)
        place.create_done("a", 3601)
        await until(lambda: is_restored and not jobs.deletions.busy)
        assert "a" in place.api.bodies
        assert not place.api.deletes


async def test_deletion_by_a_user_after_a_failed_eviction_is_one(place: Place) -> None:
    """The eviction is refused because the ImageJob has changed; then its user deletes it."""
    has_changed = False
    place.create_done("a", 3601)

    async def change(name: str) -> None:
        nonlocal has_changed
        place.api.before_delete = do_nothing
        place.api.change(name)
        has_changed = True

    place.api.before_delete = change
    async with place.archiver() as jobs:
        await until(lambda: has_changed and not jobs.deletions.busy)
        place.api.delete("a")
        await until(lambda: place.names == [])
        await until(lambda: f"{IMAGES}a" not in place.s3.objects)


async def test_restored_database_is_noticed_before_it_is_written(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, new rows would let the counter grow beyond its copy, and hide the restore."""
    place.create_done("a", 3601)
    async with place.archiver() as jobs:
        check_only_at_start(jobs, monkeypatch)
        await until(lambda: place.evicted == ["a"] and not place.api.bodies)
        await until(lambda: jobs.store.counter.known == 2)
        place.execute(FORGET_EVICTIONS)
        for number in range(9):
            place.create_done(f"new{number}")

        await until(lambda: len(place.names) == 10)
        await until(lambda: reasons(jobs) == ["HistoryRestored"])

    assert f"{IMAGES}a" in place.s3.objects


async def test_eviction_that_was_recorded_during_a_check_counts(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check knows only an older copy, and reads the database after it was restored."""
    place.create_done("a", 3601)
    async with place.archiver() as jobs:
        check_only_at_start(jobs, monkeypatch)
        await until(lambda: place.evicted == ["a"] and not place.api.bodies)
        await until(lambda: not jobs.deletions.busy and jobs.link.allows(Work.CLEAN))
        await jobs.link.check()
        newest = jobs.link._copy
        assert newest is not None
        assert newest.written == 2

        place.execute(FORGET_EVICTIONS)
        owner = await jobs.store.read_owner()
        assert owner is not None
        assert jobs.link.allows(Work.ARCHIVE)
        jobs.link._note_restore(owner, replace(newest, written=1), 2)
        assert not jobs.link.allows(Work.ARCHIVE)


async def test_restored_database_is_not_written_before_the_bucket_says_so(place: Place) -> None:
    """An archiver that is killed before the hold is in the bucket must not forget it."""
    place.create_done("a", 3601)
    async with place.archiver() as jobs:
        await until(lambda: place.evicted == ["a"] and not place.api.bodies)
        place.s3.fails = (503, "SlowDown")
        place.execute(FORGET_EVICTIONS)
        place.create_done("new")
        await until(lambda: len(jobs.archiver.queue) == 1)
        for _ in range(20):
            await jobs.store.count()
            await jobs.link._try()

        assert place.names == ["a"]
        place.s3.fails = None
        await until(lambda: place.names == ["a", "new"])
        await until(lambda: reasons(jobs) == ["HistoryRestored"])


async def test_lost_rows_of_jobs_that_are_still_there_need_no_confirmation(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby that took over lacks the last rows, and nothing was evicted meanwhile."""
    async with place.archiver() as jobs:
        check_only_at_start(jobs, monkeypatch)
        await until(lambda: jobs.link.allows(Work.CLEAN))
        await jobs.link.check()
        place.create_done("a")
        await until(lambda: jobs.store.counter.known == 1)
        place.execute("DELETE FROM jobs; DELETE FROM images; UPDATE owner SET written = 0")
        place.create_done("b")

        await until(lambda: place.names == ["a", "b"])
        assert not reasons(jobs)
