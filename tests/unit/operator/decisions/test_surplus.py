"""Tests of the deletion of finished ImageJobs, because the namespace has too many ImageJobs."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from vision_node_operator.decisions.actions import Expire, Write
from vision_node_operator.decisions.expiry import MAX_EXPIRING
from vision_node_operator.runtime.executor import ActionExecutor
from vision_node_operator.settings import Settings
from vision_node_operator.state.object_versions import ObjectKey
from world import NOW, SETTINGS, World, at

LIMIT = 100
TARGET = 95
MIN_KEPT_SECONDS = 900


def world_of(finished: int, limit: int = LIMIT, **settings: Any) -> World:
    """Return a world with finished ImageJobs that ended one second apart, an hour ago."""
    world = World(replace(SETTINGS, max_imagejobs=limit, **settings))
    for n in range(finished):
        world.job(f"j{n:03}", created=-7200, phase="done", completionTime=at(n - 3600))

    return world


def expired(world: World, after: float = 0) -> list[str]:
    """Return the names of the ImageJobs that are to be deleted now."""
    actions = world.decide(after)
    return [action.removeprefix("expire ") for action in actions if action.startswith("expire ")]


def first(count: int) -> list[str]:
    """Return the names of the oldest ImageJobs."""
    return [f"j{n:03}" for n in range(count)]


@pytest.mark.parametrize(
    ("limit", "finished", "deleted"),
    [
        (100, 95, 0),
        (100, 96, 1),
        (100, 100, 5),
        (100, 110, MAX_EXPIRING),
        (100, 200, MAX_EXPIRING),
        # A tiny limit leaves room for at least one submission.
        (1, 1, 1),
        (2, 1, 0),
        (2, 2, 1),
        (10, 9, 0),
        (10, 10, 1),
    ],
)
def test_oldest_jobs_above_95_percent_of_the_limit_are_deleted(
    limit: int, finished: int, deleted: int
) -> None:
    assert expired(world_of(finished, limit)) == first(deleted)


@pytest.mark.parametrize("phase", ["done", "failed"])
def test_unfinished_jobs_count_but_are_not_deleted(phase: str) -> None:
    world = world_of(0)
    for n in range(LIMIT):
        world.job(f"q{n:03}", created=-7200)
    world.job("j000", created=-7200, phase=phase, completionTime=at(-3600))
    assert expired(world) == ["j000"]


def test_jobs_are_kept_for_15_minutes_after_their_end() -> None:
    world = World(replace(SETTINGS, max_imagejobs=LIMIT))
    for n in range(LIMIT):
        world.job(f"j{n:03}", created=-7200, seen=n, phase="done", completionTime=at(n))
    assert expired(world, MIN_KEPT_SECONDS - 1) == []
    assert expired(world, MIN_KEPT_SECONDS) == first(1)
    assert expired(world, MIN_KEPT_SECONDS + 2) == first(3)
    assert expired(world, MIN_KEPT_SECONDS + LIMIT) == first(LIMIT - TARGET)


def test_minimum_time_is_a_setting() -> None:
    world = world_of(0, min_job_kept=timedelta(seconds=2))
    for n in range(LIMIT):
        world.job(f"j{n:03}", created=-7200, phase="done", completionTime=at(0))
    assert expired(world, 1) == []
    assert expired(world, 2) == first(LIMIT - TARGET)


def test_end_that_the_operator_saw_protects_a_job_whose_worker_has_a_slow_clock() -> None:
    world = world_of(LIMIT - 1)
    world.job("late", created=-7200, phase="processing", worker="w0", attemptDeadline=at(30))
    world.job("late", created=-7200, phase="done", completionTime=at(-7000))
    assert expired(world) == first(LIMIT - TARGET)


def test_jobs_are_deleted_in_the_order_of_their_ends() -> None:
    world = World(replace(SETTINGS, max_imagejobs=LIMIT))
    for n in range(LIMIT):
        world.job(f"j{n:03}", created=-9000, phase="done", completionTime=at(-n - 1000))
    assert expired(world) == [f"j{n:03}" for n in (99, 98, 97, 96, 95)]


@pytest.mark.parametrize(
    ("finished", "with_short_life", "others"),
    [
        (110, range(100, 110), range(5)),
        # The oldest ones have expired, too. They are deleted once.
        (110, range(10), range(10, 15)),
        (130, range(10), range(10, MAX_EXPIRING)),
        (130, range(100, 130), range(0)),
        (100, range(90, 100), range(0)),
    ],
)
def test_expired_jobs_go_first_and_reduce_the_surplus(
    finished: int, with_short_life: range, others: range
) -> None:
    world = world_of(finished)
    for n in with_short_life:
        world.job(
            f"j{n:03}",
            created=-7200,
            phase="done",
            completionTime=at(n - 3600),
            spec={"ttlSecondsAfterFinished": 60},
        )

    names = [f"j{n:03}" for n in (*with_short_life, *others)]
    assert expired(world) == names[:MAX_EXPIRING]


def test_expired_jobs_and_surplus_share_the_limit_of_deletions() -> None:
    world = world_of(130)
    for name in first(10):
        world.begin_write("imagejobs", name)
    assert expired(world) == [f"j{n:03}" for n in range(10, MAX_EXPIRING)]


@pytest.mark.parametrize("pending", range(6))
def test_deletions_in_flight_are_neither_repeated_nor_followed_by_others(pending: int) -> None:
    world = world_of(LIMIT)
    for name in first(pending):
        world.begin_write("imagejobs", name)
    assert expired(world) == first(5)[pending:]


def test_assignments_in_flight_are_not_deletions() -> None:
    world = world_of(TARGET)
    world.job("q", created=-7200)
    world.begin_write("imagejobs", "q", "w0")
    assert expired(world) == first(1)


def test_jobs_that_wait_for_a_finalizer_are_not_deleted_again_and_count_as_deleted() -> None:
    world = world_of(LIMIT)
    for name in first(2):
        delete_with_finalizer(world, name)
    assert expired(world) == ["j002", "j003", "j004"]

    for name in ("j002", "j003", "j004"):
        delete_with_finalizer(world, name)
    assert expired(world) == []

    world.forget("imagejobs", "j000")
    assert expired(world) == []


def delete_with_finalizer(world: World, name: str) -> None:
    """Report that an ImageJob is being deleted but still has a finalizer."""
    world.observe(
        "imagejobs",
        name,
        metadata={
            "creationTimestamp": at(-7200),
            "deletionTimestamp": at(0),
            "finalizers": ["example.com/archive"],
        },
        spec={"image": {"key": "images/1"}},
        status={"phase": "done", "completionTime": at(-3600)},
    )


def test_jobs_that_cannot_be_deleted_do_not_protect_others() -> None:
    world = world_of(LIMIT)
    for name in first(50):
        world.back_off("imagejobs", name, 30)
    assert expired(world, 29) == [f"j{n:03}" for n in range(50, 55)]


def test_job_that_could_not_be_deleted_is_tried_again() -> None:
    world = world_of(TARGET)
    world.job("new", phase="done", completionTime=at(0))
    for name in first(TARGET):
        world.back_off("imagejobs", name, 30)
    assert expired(world, 29) == []
    assert expired(world, 30) == first(1)


def test_jobs_that_cannot_be_deleted_are_not_examined_in_every_round() -> None:
    """A webhook may refuse the deletion of thousands of jobs."""
    world = world_of(LIMIT)
    for name in first(50):
        world.back_off("imagejobs", name, 30)
    queue = world.state.job_queue
    assert [done.name for done in queue.evictable(NOW)] == [f"j{n:03}" for n in range(50, LIMIT)]


class DeletingWriter:
    """A writer whose deletions succeed, before the watch reports them."""

    async def perform(self, action: Write, now: Any) -> Any:
        return "imagejobs", None


async def test_deletions_that_the_watch_has_not_reported_count_as_deleted() -> None:
    world = world_of(LIMIT)
    ended = asyncio.Event()
    server: Any = DeletingWriter()
    executor = ActionExecutor(world.state, server, server, "ns", ended)

    for name in expired(world):
        ended.clear()
        executor.start(Expire(name, world.version), NOW)
        await asyncio.wait_for(ended.wait(), 30)

    assert not world.state.pending_writes
    assert expired(world) == []

    world.job("new", created=-1, phase="done", completionTime=at(0))
    assert expired(world) == ["j005"]

    for name in first(5):
        world.forget("imagejobs", name)
    assert expired(world) == ["j005"]


def test_deletions_that_the_watch_never_reports_are_not_repeated_for_the_surplus() -> None:
    """The next complete list shows whether the ImageJobs still exist."""
    world = world_of(5, limit=5)
    for name in first(5):
        world.state.record_deletion(ObjectKey("imagejobs", name), NOW + timedelta(seconds=30))
    for n in range(5):
        world.job(f"new{n}", created=-1, phase="done", completionTime=at(0))

    assert expired(world, MIN_KEPT_SECONDS - 1) == []
    assert expired(world, MIN_KEPT_SECONDS) == ["new0"]


def test_settings_have_defaults_with_older_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    required = {"POD_NAMESPACE": "ns", "DESCRIBERS_CONFIGMAP": "d", "JOB_PREFIX": "vn"}
    for name, text in {**required, "NO_WORKER_SECONDS": "3600"}.items():
        monkeypatch.setenv(name, text)
    for name in ("MAX_IMAGEJOBS", "JOB_SECONDS"):
        monkeypatch.delenv(name, raising=False)

    settings = Settings.from_env()
    assert (settings.max_imagejobs, settings.job_kept) == (30_000, timedelta(days=1))
    assert settings.min_job_kept == timedelta(minutes=15)

    monkeypatch.setenv("MAX_IMAGEJOBS", "500")
    monkeypatch.setenv("JOB_SECONDS", "60")
    settings = Settings.from_env()
    assert (settings.max_imagejobs, settings.job_kept) == (500, timedelta(seconds=60))
