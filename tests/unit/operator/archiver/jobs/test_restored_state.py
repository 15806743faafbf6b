"""Tests of what the archiver concludes from resourceVersions, and of rows that a restore lost."""

from datetime import timedelta

import pytest
from archive_place import IMAGES, Place
from archiver_helpers import until
from fakes.s3 import RELEASE_ID
from vision_node_contract.clients.kube import UnavailableError
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_operator.archiver.bounded import AT_ONCE
from vision_node_operator.archiver.history import link as history_link
from vision_node_operator.archiver.jobs.history_jobs import HistoryJobs
from vision_node_operator.archiver.jobs.live_jobs import LiveJob

COPY = f"owners/{RELEASE_ID}.history"


def reasons(jobs: HistoryJobs) -> list[str]:
    return [it.reason for it in jobs.link.holds]


def version_of_rows(place: Place) -> int:
    """Return the newest resourceVersion of an archived ImageJob."""
    return int(place.rows("SELECT resource_version FROM owner")[0][0])


async def test_imagejobs_that_are_newer_than_the_list_are_no_restore(place: Place) -> None:
    async with place.archiver() as jobs:
        await until(lambda: jobs.link.allows(history_link.Work.CLEAN))
        listed = place.api.version
        for number in range(5):
            place.create_done(f"j{number}", 3601)
        await until(lambda: len(place.names) == 5)
        assert version_of_rows(place) > listed

        await jobs.link.check()
        assert not reasons(jobs)
        await until(lambda: len(place.evicted) == 5)


async def test_restore_is_noticed_even_if_two_lists_passed_while_the_database_was_away(
    place: Place,
) -> None:
    place.create_done("old")
    before, version = dict(place.api.bodies), place.api.version
    async with place.archiver() as jobs:
        await until(lambda: place.names == ["old"])
        place.postgres.stop()
        try:
            await until(lambda: not jobs.link.is_up)
            place.create_done("lost")
            await until(lambda: len(jobs.live) == 2)
            place.api.restore(before, version)
            await until(lambda: len(jobs.live) == 1)
            place.create_done("newer")
            place.api.break_watches()
            await until(lambda: jobs.live.newest_version == place.api.version)
        finally:
            place.postgres.start()

        await until(lambda: jobs.link.is_up)
        await jobs.link.check()
        assert reasons(jobs) == ["ClusterRestored"]
        assert f"{IMAGES}lost" in place.s3.objects


async def test_list_that_ends_during_a_check_is_compared_by_the_next_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.work() as jobs:
        jobs.link.listed(100, 0)
        await jobs.link._history.prepare()
        assert await jobs.link.check()

        require = jobs.link.ownership.require

        async def require_and_list() -> None:
            await require()
            jobs.link.listed(50, 100)

        with monkeypatch.context() as patch:
            patch.setattr(jobs.link.ownership, "require", require_and_list)
            assert not await jobs.link.check()
        assert not await jobs.link.check()
        assert reasons(jobs) == ["ClusterRestored"]


async def test_rows_that_a_restored_database_lacks_are_written_again(place: Place) -> None:
    for name in ("a", "b"):
        place.create_done(name)
    async with place.archiver() as jobs:
        await until(lambda: place.names == ["a", "b"] and len(jobs.live.archived) == 2)
        await until(lambda: COPY in place.s3.objects)
        place.execute("DELETE FROM jobs; DELETE FROM images; UPDATE owner SET written = 0")
        await until(lambda: place.names == ["a", "b"])
        assert reasons(jobs) == ["HistoryRestored"]

        # During the hold, a person may replace the database once more.
        place.execute("DELETE FROM jobs; DELETE FROM images; UPDATE owner SET written = 0")
        place.api.annotations = {"vision-node.dev/confirm-restore": jobs.link.holds[0].token}
        await until(lambda: place.names == ["a", "b"] and not reasons(jobs))


async def test_other_archiver_that_counts_rows_during_the_first_check_is_no_restore(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.create_done("a")
    async with place.work() as jobs, place.archiver() as other:
        await until(lambda: place.names == ["a"])
        read_owner = jobs.store.read_owner
        reads = 0

        async def read_before_the_other_writes() -> object:
            nonlocal reads
            reads += 1
            owner = await read_owner()
            if reads == 1:
                place.create_done("b")
                await until(lambda: other.link._copy is not None and other.link._copy.written == 2)
            return owner

        monkeypatch.setattr(jobs.store, "read_owner", read_before_the_other_writes)
        await jobs.link.check()
        assert not reasons(jobs)


async def test_writes_that_fail_while_the_database_answers_are_no_busy_loop(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    async def fail(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise HistoryUnavailableError("disk full", "DatabaseFull")

    def pause_for_ever(failures: int, *_: float) -> float:
        return 3600.0 if failures >= 3 else 0.001

    monkeypatch.setattr(history_link, "backoff", pause_for_ever)
    place.create_done("j")
    async with place.archiver() as jobs:
        monkeypatch.setattr(jobs.store, "add_jobs", fail)
        await until(lambda: attempts >= 3)
        for _ in range(300):
            await jobs.store.count()

        assert attempts < 10
        assert not jobs.link.is_up


async def test_imagejob_that_is_missing_unseen_is_not_taken_for_a_deletion(place: Place) -> None:
    """After a restore of etcd, evictions may begin before the watch notices it."""
    place.create_done("j", 3601)

    async def lose(name: str) -> None:
        if name in place.api.bodies:
            place.api.delete(name, is_told=False)

    place.api.before_delete = lose
    async with place.archiver() as jobs:
        await until(lambda: not place.api.bodies and not jobs.deletions.busy)
        await until(lambda: not place.evicted)
        version = place.api.version
        place.api.restore({}, version - 2)
        await until(lambda: reasons(jobs) == ["ClusterRestored"])
        place.api.annotations = {"vision-node.dev/confirm-restore": jobs.link.holds[0].token}
        await until(lambda: not reasons(jobs) and place.evicted == ["j"])

    assert f"{IMAGES}j" in place.s3.objects


async def test_deletions_during_a_hold_are_not_forgotten_when_it_ends(place: Place) -> None:
    for name in ("deleted", "kept"):
        place.create_done(name)
    async with place.archiver() as jobs:
        await until(lambda: place.names == ["deleted", "kept"])
        await until(lambda: COPY in place.s3.objects)
        place.api.identity_uid = "new-uid"
        await until(lambda: "DatabaseNotOurs" in reasons(jobs))
        place.api.delete("deleted")
        await until(lambda: len(jobs.deletions) == 1)
        place.api.annotations = {"vision-node.dev/adopt": "release-uid"}
        await until(lambda: place.names == ["kept"])

        await until(lambda: f"{IMAGES}deleted" not in place.s3.objects)


async def test_unseen_deletions_wait_for_the_check_of_the_list(place: Place) -> None:
    place.create_done("j")
    async with place.work() as jobs:
        await jobs.link._history.prepare()
        jobs.link.listed(place.api.version, 0)
        assert await jobs.link.check()
        job = LiveJob("00000000-0000-0000-0000-000000000001", "gone", 1, None)

        jobs.link.listed(place.api.version, 0)
        jobs.deleted(job, is_seen=False)
        await jobs.deletions.delete_waiting()
        assert len(jobs.deletions) == 1

        assert await jobs.link.check()
        await jobs.deletions.delete_waiting()
        assert not len(jobs.deletions)


async def test_silent_api_server_is_asked_only_a_few_times_at_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    async def fail(*_: str) -> None:
        nonlocal asked
        asked += 1
        raise UnavailableError(0, "NoAnswer", "away")

    async with place.work() as jobs:
        await jobs.link._history.prepare()
        jobs.link.listed(place.api.version, 0)
        assert await jobs.link.check()
        monkeypatch.setattr(jobs.deletions._reader, "get", fail)
        for number in range(100):
            job = LiveJob(f"00000000-0000-0000-0000-{number:012}", f"j{number}", 1, None)
            jobs.deleted(job, is_seen=False)
        await jobs.deletions.delete_waiting()

    assert asked <= AT_ONCE
    assert len(jobs.deletions) == 100


async def test_evicted_jobs_that_a_restored_cluster_has_again_may_be_deleted(place: Place) -> None:
    for name in ("back", "again"):
        place.create_done(name)
    before, version = dict(place.api.bodies), place.api.version
    place.create_done("lost")
    told = 0

    def note() -> None:
        nonlocal told
        told += 1

    async with place.archiver() as jobs:
        await until(lambda: len(place.names) == 3)
        place.execute("UPDATE jobs SET evicted_at = now() - interval '1 h' WHERE name <> 'lost'")
        place.api.restore(before, version)
        await until(lambda: reasons(jobs) == ["ClusterRestored"])
        jobs.link.on_lost_rows.append(note)
        place.api.annotations = {"vision-node.dev/confirm-restore": jobs.link.holds[0].token}
        await until(lambda: place.evicted == ["lost"] and not reasons(jobs))
        assert told == 1

        place.api.delete("back")
        await until(lambda: place.names == ["again", "lost"])
        await until(lambda: f"{IMAGES}back" not in place.s3.objects)

    async with place.archiver(imagejobs=timedelta(0)):
        place.api.change("again", status={"completionTime": "2026-01-01T01:00:00Z"})
        await until(lambda: place.evicted == ["again", "lost"] and not place.api.bodies)
