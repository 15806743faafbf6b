"""Tests of the deletion of expired ImageJobs, including those that can't be deleted."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from vision_node_contract.clients.kube import KubeError
from vision_node_operator.decisions.actions import Expire, Write
from vision_node_operator.decisions.expiry import MAX_EXPIRING
from vision_node_operator.runtime.executor import ActionExecutor
from vision_node_operator.state.object_versions import ObjectKey
from world import NOW, SETTINGS, World, at

OTHERS = 100


def add_expired_job(world: World, name: str, ended: float = -50, **metadata: Any) -> None:
    """Report a finished ImageJob whose time to live has passed."""
    world.observe(
        "imagejobs",
        name,
        metadata={"uid": name, "creationTimestamp": at(-200), **metadata},
        spec={"image": {"key": f"images/{name}"}, "ttlSecondsAfterFinished": 0},
        status={"phase": "done", "attempts": 1, "completionTime": at(ended)},
    )


def add_job_whose_deletion_failed(world: World, name: str) -> None:
    """Report an expired ImageJob, and record that its deletion has just failed."""
    add_expired_job(world, name, ended=-100)
    world.state.backoff_until[ObjectKey("imagejobs", name)] = NOW + timedelta(seconds=30)


def add_job_with_a_finalizer(world: World, name: str) -> None:
    """Report an expired ImageJob that is being deleted but still has a finalizer."""
    add_expired_job(
        world, name, ended=-100, deletionTimestamp=at(-60), finalizers=["example.com/archive"]
    )


@pytest.mark.parametrize("add_stuck_job", [add_job_whose_deletion_failed, add_job_with_a_finalizer])
def test_jobs_that_cannot_be_deleted_do_not_block_others(
    add_stuck_job: Callable[[World, str], None],
) -> None:
    world = World()
    for n in range(MAX_EXPIRING):
        add_stuck_job(world, f"stuck{n:02}")
    for n in range(OTHERS):
        add_expired_job(world, f"fine{n:03}")
    assert world.decide() == [f"expire fine{n:03}" for n in range(MAX_EXPIRING)]


def test_pending_deletions_count_toward_the_limit() -> None:
    world = World()
    for n in range(OTHERS):
        add_expired_job(world, f"fine{n:03}")
    for n in range(MAX_EXPIRING - 1):
        world.begin_write("imagejobs", f"fine{n:03}")
    assert world.decide() == [f"expire fine{MAX_EXPIRING - 1:03}"]


def test_job_being_deleted_is_not_deleted_again() -> None:
    world = World()
    add_expired_job(world, "j")
    assert world.decide() == ["expire j"]
    add_job_with_a_finalizer(world, "j")
    assert world.decide(after=3600) == []
    world.forget("imagejobs", "j")
    assert not world.state.job_queue.finished


class RefusingWriter:
    """A writer that fails every action, as if an admission webhook refused it."""

    async def perform(self, action: Write, now: datetime) -> Any:
        raise KubeError(403, "Forbidden", "refused by a webhook")


async def refuse(world: World) -> None:
    """Try to delete the ImageJob `j` while the API server refuses deletions."""
    ended = asyncio.Event()
    server: Any = RefusingWriter()
    executor = ActionExecutor(world.state, server, server, "ns", ended)
    executor.start(Expire("j", world.version), NOW)
    await asyncio.wait_for(ended.wait(), 30)


async def test_refused_deletion_is_retried_with_backoff() -> None:
    world = World()
    add_expired_job(world, "j")
    await refuse(world)
    until = world.state.backoff_until[ObjectKey("imagejobs", "j")]
    assert list(world.state.job_queue.expired(until - timedelta(milliseconds=1))) == []
    assert [done.name for done in world.state.job_queue.expired(until)] == ["j"]


async def test_time_to_live_can_be_extended_after_a_refused_deletion() -> None:
    world = World()
    add_expired_job(world, "j")
    await refuse(world)
    world.job("j", phase="done", completionTime=at(0), spec={"ttlSecondsAfterFinished": 10**6})
    assert [done.name for done in world.state.job_queue.finished.values()] == ["j"]
    assert world.decide(after=10**5) == []


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 60),
        ({"ttlSecondsAfterFinished": 0}, 0),
        ({"ttlSecondsAfterFinished": 600}, 600),
        ({"ttlSecondsAfterFinished": 604_800}, 604_800),
    ],
)
def test_default_time_to_live_comes_from_the_settings(spec: dict[str, int], seconds: int) -> None:
    """604,800 is what older releases stored in every ImageJob. It is honored like any other."""
    world = World(replace(SETTINGS, job_kept=timedelta(seconds=60)))
    world.job("j", phase="done", completionTime=at(0), spec=spec)
    assert world.decide(after=seconds - 1) == []
    assert world.decide(after=seconds) == ["expire j"]


@pytest.mark.parametrize(
    ("before", "completed", "ended"),
    [
        # The operator saw the job end, so it needs no one else's clock.
        ("processing", 0, 0),
        ("processing", -3600, 0),
        ("processing", 3600, 0),
        ("processing", None, 0),
        # The job ended before the operator started, after the job was created 100 s ago.
        ("unknown", -20, -20),
        ("unknown", -3600, -100),
        ("unknown", 3600, 0),
        ("unknown", None, 0),
    ],
)
def test_workers_cannot_falsify_the_end_of_a_job(
    before: str, completed: float | None, ended: float
) -> None:
    world = World(replace(SETTINGS, job_kept=timedelta(seconds=60)))
    if before == "processing":
        world.job("j", created=-100, phase="processing", worker="w0", attemptDeadline=at(30))

    status = {} if completed is None else {"completionTime": at(completed)}
    world.job("j", created=-100, phase="done", **status)
    # A later change, of the labels for example, is not a later end.
    world.job("j", created=-100, seen=10, phase="done", **status)
    assert expiry_seconds(world) == ended + 60


def expiry_seconds(world: World) -> float:
    """Return how many seconds after NOW the ImageJob `j` expires."""
    ends = range(-100, 3700)
    return next(end for end in ends if "expire j" in world.decide(after=end))


def test_new_job_with_the_name_of_an_old_one_has_an_end_of_its_own() -> None:
    world = World(replace(SETTINGS, job_kept=timedelta(seconds=60)))
    world.job("j", created=-100, phase="done", completionTime=at(-50))
    world.job("j", created=-30, phase="done", completionTime=at(-5))
    assert expiry_seconds(world) == 55
