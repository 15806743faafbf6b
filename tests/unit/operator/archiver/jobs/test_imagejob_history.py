"""Tests of archiving, evicting and deleting single ImageJobs with a real database."""

import hashlib
import json
from datetime import timedelta

import pytest
from archive_place import IMAGES, RESULTS, Place
from archiver_helpers import until
from fakes.job_api import inline_result

HOUR = 3600.0


async def test_finished_jobs_from_before_the_start_and_new_ones_are_archived(place: Place) -> None:
    place.create_done("old")
    place.api.create("queued")
    place.api.create("shard", labels={"vision-node.dev/batch": "u"}, status={"phase": "done"})
    async with place.archiver():
        await until(lambda: place.names == ["old"])
        place.create_done("new")
        await until(lambda: place.names == ["new", "old"])

    body, result = place.rows("SELECT body, result FROM images WHERE name = 'new'")[0]
    assert json.loads(result) == inline_result("new")
    assert json.loads(body)["metadata"]["name"] == "new"
    assert not place.api.deletes
    assert not place.evicted


async def test_archived_jobs_are_evicted_after_an_hour_and_everything_stays(place: Place) -> None:
    place.create_done("old", HOUR + 1)
    place.create_done("young", HOUR - 60)
    async with place.archiver():
        await until(lambda: place.api.deletes == ["old"])
        await until(lambda: "old" not in place.api.bodies)
        place.create_done("next")
        await until(lambda: "next" in place.names)

    assert place.evicted == ["old"]
    assert place.names == ["next", "old", "young"]
    assert {f"{IMAGES}old", f"{IMAGES}young"} <= place.s3.objects.keys()


async def test_oldest_jobs_above_the_limit_are_evicted_but_none_within_a_minute(
    place: Place,
) -> None:
    for number in range(6):
        place.create_done(f"j{number}", 310 - 60 * number)
    async with place.archiver(max_finished=0):
        await until(lambda: len(place.evicted) == 5)
        await until(lambda: len(place.api.bodies) == 1)

    assert place.evicted == ["j0", "j1", "j2", "j3", "j4"]


async def test_deleted_job_loses_row_image_and_result(place: Place) -> None:
    place.create_done("gone")
    place.create_done("kept", spec={"image": {"key": f"{IMAGES}shared"}})
    place.create_done("sharer", spec={"image": {"key": f"{IMAGES}shared"}})
    async with place.archiver():
        await until(lambda: len(place.names) == 3)
        for name in ("gone", "sharer"):
            place.api.delete(name)
        await until(lambda: place.names == ["kept"])
        await until(lambda: f"{IMAGES}gone" not in place.s3.objects)
        assert f"{IMAGES}shared" in place.s3.objects

        place.api.delete("kept")
        await until(lambda: f"{IMAGES}shared" not in place.s3.objects)

    assert place.rows("SELECT count(*) FROM tombstones WHERE cleaned_at IS NOT NULL") == [(3,)]


async def test_job_that_is_deleted_before_it_finished_loses_its_image(place: Place) -> None:
    place.api.create("queued")
    place.s3.put(f"{IMAGES}queued")
    async with place.archiver() as jobs:
        await until(lambda: len(jobs.live) == 1)
        place.api.delete("queued")
        await until(lambda: f"{IMAGES}queued" not in place.s3.objects)


@pytest.mark.parametrize("is_told", [True, False])
async def test_deletion_while_the_archiver_is_away_is_found(place: Place, *, is_told: bool) -> None:
    place.create_done("gone")
    place.create_done("kept")
    async with place.archiver():
        await until(lambda: len(place.names) == 2)
    place.api.delete("gone", is_told=is_told)
    async with place.archiver():
        await until(lambda: place.names == ["kept"])
        await until(lambda: f"{IMAGES}gone" not in place.s3.objects)

    assert f"{IMAGES}kept" in place.s3.objects


async def test_job_that_vanished_between_two_lists_is_deleted(place: Place) -> None:
    place.create_done("gone")
    async with place.archiver():
        await until(lambda: len(place.names) == 1)
        place.api.delete("gone", is_told=False)
        place.api.break_watches()
        await until(lambda: not place.names)
        await until(lambda: not [key for key in place.s3.objects if key.startswith(IMAGES)])


async def test_api_deletes_history_by_tombstones(place: Place) -> None:
    uid = place.create_done("gone", HOUR + 1)
    async with place.archiver():
        await until(lambda: place.evicted == ["gone"])
        place.execute(f"INSERT INTO tombstones (uid) VALUES ('{uid}')")  # noqa: S608
        await until(lambda: not place.names)
        await until(lambda: f"{IMAGES}gone" not in place.s3.objects)


async def test_evicted_jobs_go_when_their_time_to_live_ends(place: Place) -> None:
    place.create_done("short", HOUR + 1, spec={"ttlSecondsAfterFinished": 3600})
    place.create_done("default", 2 * HOUR + 1)
    place.create_done("long", 2 * HOUR + 1, spec={"ttlSecondsAfterFinished": 10**6})
    async with place.archiver(data=timedelta(hours=2)):
        await until(lambda: place.names == ["long"] and place.evicted == ["long"])
        kept = {f"{IMAGES}long"}
        await until(lambda: {it for it in place.s3.objects if it.startswith(IMAGES)} == kept)


async def test_time_to_live_that_was_changed_after_archiving_counts(place: Place) -> None:
    place.create_done("j", HOUR - 2, spec={"ttlSecondsAfterFinished": 10**6})
    async with place.archiver():
        await until(lambda: place.names == ["j"])
        place.api.change("j", ttlSecondsAfterFinished=10**7)
        await until(lambda: place.evicted == ["j"])

    seconds = place.rows("SELECT extract(epoch FROM expires_at - finished_at) FROM jobs")
    assert seconds == [(10**7,)]


@pytest.mark.parametrize("stay", [timedelta(0), timedelta(hours=1)])
async def test_images_go_before_their_rows(place: Place, stay: timedelta) -> None:
    place.create_done("j", stay.total_seconds() + 1)
    place.create_done("late", spec={"image": {"key": f"{IMAGES}late"}})
    async with place.archiver(images=stay, imagejobs=timedelta(days=1)):
        await until(lambda: f"{IMAGES}j" not in place.s3.objects)
        await until(lambda: place.names == ["j", "late"])
        assert (f"{IMAGES}late" in place.s3.objects) == bool(stay) or not stay

    assert place.rows("SELECT image_key FROM jobs WHERE name = 'j'") == [(None,)]


@pytest.mark.parametrize("state", ["intact", "altered", "missing", "large"])
async def test_results_in_the_bucket_go_into_the_row_if_possible(place: Place, state: str) -> None:
    data = json.dumps({"description": "Image Description: words."}).encode()
    if state == "large":
        data = json.dumps({"description": "x" * (1 << 20)}).encode()
    uid = place.api.create("j")
    key = f"{RESULTS}{uid}/1"
    if state != "missing":
        place.s3.put(key, b'{"description":"another"}' if state == "altered" else data)
    place.api.finish("j", key=key, sha256=hashlib.sha256(data).hexdigest(), sizeBytes=len(data))
    async with place.archiver():
        await until(lambda: place.names == ["j"])

    result, named = place.rows("SELECT result, result_key FROM images JOIN jobs USING (uid)")[0]
    if state == "intact":
        assert (json.loads(result), named) == (json.loads(data), None)
    else:
        assert (result, named) == (None, key)


async def test_result_that_is_in_the_row_leaves_the_bucket_when_its_job_leaves_etcd(
    place: Place,
) -> None:
    """Until then, the API reads it from there, also while the database is unavailable."""
    data = json.dumps({"description": "Image Description: words."}).encode()
    uid = place.api.create("j")
    key = f"{RESULTS}{uid}/1"
    place.s3.put(key, data)
    place.api.finish("j", key=key, sha256=hashlib.sha256(data).hexdigest(), sizeBytes=len(data))
    async with place.archiver():
        await until(lambda: place.names == ["j"])
        assert key in place.s3.objects
    async with place.archiver(imagejobs=timedelta(0), max_finished=0):
        await until(lambda: place.names == ["j"])
        age = {"completionTime": "2026-01-01T01:00:00Z"}
        place.api.change("j", status=age)
        await until(lambda: place.evicted == ["j"])
        await until(lambda: key not in place.s3.objects)


async def test_job_that_this_release_cannot_read_stays(place: Place) -> None:
    place.create_done("odd", 2 * HOUR)
    place.api.change("odd", priority="high")
    place.create_done("good", 2 * HOUR)
    async with place.archiver() as jobs:
        await until(lambda: place.evicted == ["good"])
        assert "odd" in place.api.bodies
        assert jobs.archiver.counts.unreadable == 1


async def test_more_jobs_than_the_queue_remembers_are_read_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_operator.archiver.jobs.archive_queue.MAX_CONTENTS", 3)
    # The group is written once it has all of them.
    monkeypatch.setattr("vision_node_operator.archiver.jobs.archive_queue.GROUP", 12)
    monkeypatch.setattr("vision_node_operator.archiver.jobs.archive_queue.GROUP_SECONDS", 30.0)
    names = sorted(f"j{number}" for number in range(12))
    async with place.archiver() as jobs:
        await until(lambda: jobs.live.synced.is_set() and place.api.is_watched)
        for name in names:
            place.create_done(name)
        await until(lambda: place.names == names)
    assert len(place.api.gets) == 9


async def test_jobs_that_finished_before_the_start_are_read_again(place: Place) -> None:
    place.create_done("old")
    async with place.archiver():
        await until(lambda: place.names == ["old"])
    assert place.api.gets == ["old"]


async def test_deleted_job_that_was_not_known_before_has_its_image_deleted(place: Place) -> None:
    """The watch tells of the deletion only, as after a restart of the API server."""
    async with place.archiver() as jobs:
        await until(lambda: jobs.live.synced.is_set() and place.api.is_watched)
        uid = place.api.create("gone")
        await until(lambda: jobs.live.get(uid) is not None)
        place.s3.put(f"{IMAGES}gone")
        jobs.live.drop(uid)
        place.api.delete("gone")
        await until(lambda: f"{IMAGES}gone" not in place.s3.objects)
