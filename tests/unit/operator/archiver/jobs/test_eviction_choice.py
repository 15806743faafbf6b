"""Tests of the decision which ImageJobs leave etcd."""

from datetime import UTC, datetime, timedelta

import pytest
from vision_node_operator.archiver.jobs.eviction import EvictionLimits, choose_evictions
from vision_node_operator.archiver.jobs.live_jobs import LiveJob, LiveJobs

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(name: str, age: float | None = None, *, is_deleting: bool = False) -> LiveJob:
    ended = None if age is None else NOW - timedelta(seconds=age)
    return LiveJob(name, name, 5, f"i/{name}", finished_at=ended, is_deleting=is_deleting)


OLD, MIDDLE, YOUNG = job("old", 4000), job("middle", 100), job("young", 59)


@pytest.mark.parametrize(
    ("jobs", "archived", "count", "chosen"),
    [
        ([], "", 5, []),
        ([YOUNG, MIDDLE, OLD], "old middle young", 5, ["old"]),
        ([YOUNG, MIDDLE, OLD], "middle young", 5, []),
        ([YOUNG, MIDDLE, OLD], "old middle young", 2, ["old"]),
        ([YOUNG, MIDDLE, OLD], "old middle young", 1, ["old", "middle"]),
        ([YOUNG, MIDDLE, OLD], "old middle young", 0, ["old", "middle"]),
        ([YOUNG, MIDDLE, OLD], "middle young", 1, ["middle"]),
        ([job("queued"), MIDDLE], "queued middle", 1, []),
        ([job("old", 4000, is_deleting=True)], "old", 5, []),
        ([job("b", 4000), job("a", 4000)], "a b", 5, ["a", "b"]),
    ],
)
def test_archived_jobs_leave_if_they_are_old_or_too_many(
    jobs: list[LiveJob], archived: str, count: int, chosen: list[str]
) -> None:
    limits = EvictionLimits(timedelta(hours=1), count)
    found = choose_evictions(jobs, set(archived.split()), NOW, limits)
    assert [it.name for it in found] == chosen


def test_images_that_several_jobs_name_are_named_until_the_last_one_is_gone() -> None:
    live = LiveJobs()
    jobs = [LiveJob(uid, uid, 5, "shared") for uid in "abc"]
    for it in [*jobs, jobs[0]]:
        live.put(it)
    for uid, left in (("a", "bc"), ("c", "b"), ("b", "")):
        assert live.is_image_named("shared")
        live.drop(uid)
        assert {it.uid for it in live.naming("shared")} == set(left)
    assert not live.is_image_named("shared")


def test_job_that_has_the_name_of_another_one_replaces_it() -> None:
    live = LiveJobs()
    live.put(LiveJob("1", "j", 5, "a"))
    gone = live.put(LiveJob("2", "j", 6, "b"))
    assert (gone.uid if gone else None, live.uids()) == ("1", {"2"})
    live.drop("1")
    assert live.keep_only({"j"}) == []
    assert [it.uid for it in live.keep_only(set())] == ["2"]
    assert not live.is_image_named("b")
