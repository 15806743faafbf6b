"""Tests of what the archiver does while the database is away, and after restores from backups."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from archive_place import IMAGES, Place
from archiver_helpers import until
from fakes.job_api import IDENTITY, NAMESPACE
from fakes.s3 import RELEASE_ID
from vision_node_contract.clients.ownership import Identity
from vision_node_operator.archiver.history.counter_copy import CounterCopy
from vision_node_operator.archiver.history.holds import Seen, Work, holds_of, is_confirmed
from vision_node_operator.archiver.history.store import Owner
from vision_node_operator.archiver.jobs.history_jobs import HistoryJobs

COPY = f"owners/{RELEASE_ID}.history"
ME = Identity(IDENTITY, NAMESPACE, "me", RELEASE_ID)


@pytest.mark.parametrize(
    ("owner", "copy", "listed", "expected"),
    [
        (None, CounterCopy(9), 5, []),
        (Owner("me", 9, 5), CounterCopy(9), 5, []),
        (Owner("me", 10, 5), CounterCopy(9), 6, []),
        (Owner("other", 1, 9), CounterCopy(9), 5, [("DatabaseNotOurs", "other")]),
        (Owner("me", 8, 5), CounterCopy(9), 5, [("HistoryRestored", "history-9")]),
        (
            Owner("me", 99, 5),
            CounterCopy(9, is_database_restored=True),
            5,
            [("HistoryRestored", "history-9")],
        ),
        (Owner("me", 9, 6), CounterCopy(9), 5, [("ClusterRestored", "cluster-6")]),
        (
            Owner("me", 9, 3),
            CounterCopy(9, lost_version=7),
            99,
            [("ClusterRestored", "cluster-7")],
        ),
        (
            *(Owner("me", 8, 6), CounterCopy(9), 5),
            [("HistoryRestored", "history-9"), ("ClusterRestored", "cluster-6")],
        ),
    ],
)
def test_holds_follow_from_owner_counters_and_versions(
    owner: Owner | None,
    copy: CounterCopy,
    listed: int,
    expected: list[tuple[str, str]],
) -> None:
    found = holds_of(Seen(ME, owner, copy, listed))
    assert [(it.reason, it.token) for it in found] == expected
    for hold in found:
        assert f"={hold.token}" in hold.message
        adopts, confirms = (
            (hold.token, "") if hold.reason == "DatabaseNotOurs" else ("", hold.token)
        )
        assert is_confirmed(hold, Identity(*("n", "ns", "me", "id"), adopts, confirms))
        assert not is_confirmed(hold, Identity(*("n", "ns", "me", "id"), confirms, adopts))


def reasons(jobs: HistoryJobs) -> list[str]:
    return [it.reason for it in jobs.link.holds]


async def test_deletions_while_the_database_is_away_are_made_up_for(place: Place) -> None:
    place.create_done("gone")
    async with place.archiver() as jobs:
        await until(lambda: place.names == ["gone"])
        place.postgres.stop()
        try:
            place.create_done("old", 3601)
            place.create_done("never")
            await until(lambda: not jobs.link.is_up and len(jobs.live) == 3)
            place.api.delete("gone")
            place.api.delete("never")
            await until(lambda: len(jobs.deletions) == 2)
            assert f"{IMAGES}gone" in place.s3.objects
            assert not place.api.deletes
        finally:
            place.postgres.start()

        await until(lambda: place.evicted == ["old"])
        await until(lambda: place.names == ["old"])
        await until(lambda: [it for it in place.s3.objects if it[:2] == "im"] == [f"{IMAGES}old"])


async def test_catch_up_is_fast(place: Place) -> None:
    """Groups of up to 500 are written in one transaction."""
    for number in range(1200):
        place.create_done(f"j{number:04}")
    async with place.archiver() as jobs:
        await until(lambda: jobs.archiver.counts.archived == 1200)
    assert place.rows("SELECT count(DISTINCT xmin::text) FROM jobs")[0][0] <= 12


def written(place: Place) -> int:
    """Return the row counter in the bucket."""
    found = place.s3.objects.get(COPY)
    return int(json.loads(found.data)["written"]) if found else 0


def restore_history(place: Place) -> None:
    place.execute("DELETE FROM jobs; DELETE FROM images; UPDATE owner SET written = 0")


async def test_restored_database_holds_back_everything_until_a_person_confirms(
    place: Place,
) -> None:
    for name in ("a", "b"):
        place.create_done(name, 3601)
    async with place.archiver():
        await until(lambda: place.evicted == ["a", "b"] and not place.api.bodies)
        await until(lambda: written(place) == 4)  # two rows and two marks

    restore_history(place)
    for number in range(4):
        place.create_done(f"new{number}", 3601)
    async with place.archiver() as jobs:
        # Archiving goes on, and the counter grows beyond the copy.
        await until(lambda: len(place.names) == 4)
        await until(lambda: reasons(jobs) == ["HistoryRestored"])
    async with place.archiver() as jobs:
        await until(lambda: reasons(jobs) == ["HistoryRestored"])
        assert not place.evicted
        place.api.annotations = {"vision-node.dev/confirm-restore": "history-4"}
        await until(lambda: len(place.evicted) == 4)
        assert not reasons(jobs)

    assert f"{IMAGES}a" in place.s3.objects


async def test_restored_database_without_the_mark_of_an_eviction_is_noticed(place: Place) -> None:
    place.create_done("a", 3601)
    async with place.archiver():
        await until(lambda: place.evicted == ["a"] and not place.api.bodies)

    # The backup was made after the job was archived, and before it was evicted.
    place.execute("UPDATE jobs SET evicted_at = NULL; UPDATE owner SET written = 1")
    async with place.archiver() as jobs:
        await until(lambda: reasons(jobs) == ["HistoryRestored"])
        assert place.names == ["a"]

    assert f"{IMAGES}a" in place.s3.objects


async def test_rows_that_are_written_during_a_check_are_no_sign_of_a_restored_database(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter is stored between the check's two looks, as evictions do."""
    async with place.archiver() as jobs:
        await until(lambda: jobs.link.allows(Work.CLEAN))
        count = jobs.store.count

        async def count_slowly() -> int:
            rows = await count()
            place.execute("UPDATE owner SET written = written + 10")
            assert await jobs.link.record()
            return rows

        monkeypatch.setattr(jobs.store, "count", count_slowly)
        assert await jobs.link.check()
        assert reasons(jobs) == []


async def test_nothing_is_evicted_while_the_counter_cannot_be_stored(place: Place) -> None:
    place.create_done("a")
    async with place.archiver() as jobs:
        await until(lambda: place.names == ["a"] and jobs.link.allows(Work.CLEAN))
        place.s3.fails = (503, "SlowDown")
        await jobs.evictor.evict(datetime.now(UTC) + timedelta(days=1))

        assert "a" in place.api.bodies
        assert place.rows("SELECT evicted_at FROM jobs") == [(None,)]


async def test_job_that_is_archived_after_the_list_is_no_sign_of_a_restored_cluster(
    place: Place,
) -> None:
    async with place.archiver() as jobs:
        await until(lambda: jobs.link.is_up)
        place.create_done("new")
        await until(lambda: place.names == ["new"])

        assert await jobs.link.check()
        assert not reasons(jobs)


async def test_restored_cluster_deletes_no_history_until_a_person_confirms(place: Place) -> None:
    place.create_done("old")
    before, version = dict(place.api.bodies), place.api.version
    place.create_done("new")
    async with place.archiver() as jobs:
        await until(lambda: place.names == ["new", "old"])
        place.api.restore(before, version)
        await until(lambda: reasons(jobs) == ["ClusterRestored"])
        await until(lambda: not len(jobs.deletions))
        token = jobs.link.holds[0].token
    async with place.archiver() as jobs:
        await until(lambda: reasons(jobs) == ["ClusterRestored"])
        place.create_done("deleted")
        await until(lambda: "deleted" in place.names)
        place.api.delete("deleted")
        await until(lambda: place.names == ["new", "old"])
        place.api.annotations = {"vision-node.dev/confirm-restore": token}
        await until(lambda: not reasons(jobs) and place.evicted == ["new"])
    async with place.archiver() as jobs:
        await until(lambda: jobs.link.is_up and not reasons(jobs))

    assert place.names == ["new", "old"]
    assert f"{IMAGES}new" in place.s3.objects


async def test_database_of_another_release_is_left_alone_until_it_is_adopted(place: Place) -> None:
    place.create_done("evicted", 3601)
    async with place.archiver():
        await until(lambda: place.evicted == ["evicted"])

    place.api.identity_uid = "new-uid"
    place.create_done("j")
    async with place.archiver() as jobs:
        await until(lambda: "DatabaseNotOurs" in reasons(jobs))
        assert set(reasons(jobs)) == {"StorageNotOurs", "DatabaseNotOurs"}
        assert place.names == ["evicted"]
        place.api.annotations = {"vision-node.dev/adopt": "release-uid"}
        await until(lambda: place.names == ["evicted", "j"])
        assert not reasons(jobs)


async def test_nothing_is_archived_or_evicted_before_the_bucket_has_answered_once(
    place: Place,
) -> None:
    """Until then, it is unknown whether the database was restored, and whose folders these are."""
    place.create_done("j", 3601)
    place.s3.fails = (503, "SlowDown")
    async with place.archiver() as jobs:
        await until(lambda: jobs.link.is_up and len(jobs.archiver.queue) == 1)
        await jobs.link._try()
        assert not place.names
        place.s3.fails = None
        await until(lambda: place.evicted == ["j"])


async def test_restored_imagejobs_of_evicted_jobs_are_evicted_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_operator.archiver.history.marks.TAKE_OVER", timedelta(-1))
    place.create_done("j", 3601)
    before = dict(place.api.bodies)
    async with place.archiver() as jobs:
        await until(lambda: not place.api.bodies and place.evicted == ["j"])
        place.api.restore(before, place.api.version + 1)
        await until(lambda: not place.api.bodies and jobs.archiver.counts.evicted == 2)

    assert f"{IMAGES}j" in place.s3.objects
    assert place.evicted == ["j"]


async def test_archiver_stops_writing_when_a_newer_one_has_migrated(place: Place) -> None:
    async with place.archiver() as jobs:
        await until(lambda: jobs.link.allows(Work.CLEAN))
        place.execute("INSERT INTO schema_version (version) VALUES (99)")
        await until(lambda: reasons(jobs) == ["DatabaseTooNew"])
        place.create_done("j")
        await until(lambda: len(jobs.archiver.queue) == 1)
        assert not any(jobs.link.allows(it) for it in Work)

        # A person has restored the database.
        place.execute("DELETE FROM schema_version WHERE version = 99")
        await until(lambda: place.names == ["j"] and not reasons(jobs))
