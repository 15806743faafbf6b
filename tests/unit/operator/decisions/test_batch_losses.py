"""Tests of lost and late shards, and of the search for images that end workers."""

from typing import Any

import pytest
from batch_world import BatchWorld
from world import at

OOM = {"reason": "OOMKilled", "exitCode": 137}
CRASH = {"reason": "Error", "exitCode": 139}
KILLED = {"reason": "Error", "exitCode": 137}
ENDED = {"reason": "Completed", "exitCode": 0}


def ended(termination: Any, message: str = "") -> Any:
    """Return the status of a pod whose container was terminated."""
    terminated = {**termination, "message": message}
    return {"containerStatuses": [{"state": {"terminated": terminated}}]}


HALVES = "give up b-0 WorkerLost suspects 0-3,4-7"
RETRY = "requeue b-0 WorkerLost +0 free"


@pytest.mark.parametrize(
    ("why", "end", "shard", "expected"),
    [
        ("the first loss is free", ended(ENDED), {}, RETRY),
        ("it was killed without a word", ended(KILLED), {}, RETRY),
        ("waits grow", ended(ENDED), {"losses": 2}, "requeue b-0 WorkerLost +2 free"),
        ("too many losses", ended(ENDED), {"losses": 3}, HALVES),
        (
            "it named its images",
            ended(OOM, "u0/3 u0/5 single u9/1"),
            {},
            "give up b-0 WorkerLost suspects 3,5",
        ),
        ("killed with words", ended(KILLED, "u0/3"), {}, "give up b-0 WorkerLost suspects 3"),
        ("its end on its own has no suspects", ended(ENDED, "u0/3"), {}, RETRY),
        ("the words name another's images", ended(CRASH, "single u9/1"), {}, RETRY),
        ("the words name no image of it", ended(CRASH, "u0/99 u0/x u0/-1 u0/"), {}, RETRY),
        ("it crashed without a word", ended(CRASH), {}, HALVES),
        (
            "a half that crashed is divided",
            ended(CRASH),
            {"alone": True, "count": 3},
            "give up b-0 WorkerLost suspects 0-1,2",
        ),
        (
            "one image is tried alone first",
            ended(OOM),
            {"count": 1},
            "give up b-0 WorkerLost suspects 0",
        ),
        (
            "one image that was lost too often is tried alone first",
            ended(ENDED),
            {"count": 1, "losses": 3},
            "give up b-0 WorkerLost suspects 0",
        ),
        (
            "one image alone: memory",
            ended(OOM),
            {"count": 1, "alone": True},
            "fail b-0 OutOfMemory",
        ),
        (
            "one image alone: crash",
            ended(CRASH, "u0/0"),
            {"count": 1, "alone": True},
            "fail b-0 DescriberFailed",
        ),
        (
            "one image alone is not to blame for a kill",
            ended(KILLED, "u0/0"),
            {"count": 1, "alone": True},
            RETRY,
        ),
        (
            "one image alone that was lost too often",
            ended(ENDED),
            {"count": 1, "alone": True, "losses": 3},
            "fail b-0 DescriberFailed",
        ),
        (
            "a cancelled shard is not tried again",
            ended(ENDED),
            {"spec": {"cancel": True}},
            "give up b-0 Cancelled",
        ),
    ],
)
def test_lost_shard(why: str, end: Any, shard: Any, expected: str) -> None:
    world = BatchWorld()
    world.worker(0, phase="Failed", pod_status=end)
    world.batch()
    world.working(0, **shard)
    found = [it for it in world.decided() if " b-0" in it]
    assert found == [expected], why


def test_shard_of_a_worker_that_is_gone_is_tried_again() -> None:
    world = BatchWorld()
    world.batch()
    world.working(0, worker="w9")
    assert RETRY in world.decided()


@pytest.mark.parametrize(
    ("why", "reason", "losses", "expected"),
    [
        ("an unknown reason", "NewReason", 0, "requeue b-0 DescriberFailed +0 free"),
        ("storage", "StorageUnavailable", 3, "give up b-0 StorageUnavailable"),
    ],
)
def test_reported_error_ends_the_attempt(why: str, reason: str, losses: int, expected: str) -> None:
    world = BatchWorld(0)
    world.batch()
    error = {"reason": reason, "message": "m", "retryable": True}
    world.working(0, error=error, losses=losses)
    assert expected in world.decided(), why


LATE = "requeue b-0 AttemptTimedOut +{} free"


@pytest.mark.parametrize(
    ("why", "progress", "now", "shard", "expected"),
    [
        ("before the deadline", None, 29, {}, None),
        ("after the deadline", None, 31, {}, LATE.format(31)),
        ("an image has ended since", ("u0/1", 10), 31, {}, None),
        ("the timeout and its margin have passed since", ("u0/1", 10), 80, {}, LATE.format(80)),
        ("the progress is another shard's", ("u9/1", 30), 31, {}, LATE.format(31)),
        (
            "a half is divided",
            None,
            31,
            {"alone": True},
            "give up b-0 AttemptTimedOut suspects 0-3,4-7",
        ),
        (
            "an image alone has failed",
            None,
            31,
            {"alone": True, "count": 1},
            "fail b-0 AttemptTimedOut",
        ),
        (
            "too often",
            None,
            31,
            {"losses": 3},
            "give up b-0 AttemptTimedOut suspects 0-3,4-7",
        ),
    ],
)
def test_shard_without_progress_is_late(
    why: str, progress: Any, now: float, shard: Any, expected: str | None
) -> None:
    world = BatchWorld(0, timeoutSeconds=60)
    world.batch()
    world.working(0, **shard)
    if progress:
        world.progress(0, *progress)
    world.progress(0, progress[0] if progress else "", now - 1)

    found = [it for it in world.decided(now) if " b-0" in it]
    assert found == ([expected] if expected else []), why


@pytest.mark.parametrize(
    ("why", "timeout", "now", "is_cordoned"),
    [
        ("the Describer's timeout has passed", {}, 31, True),
        ("the batch's own timeout is shorter", {"timeoutSeconds": 10}, 31, False),
        ("the Describer's timeout has passed, too", {"timeoutSeconds": 10}, 81, True),
    ],
)
def test_worker_whose_shard_hangs_is_cordoned(
    why: str, timeout: Any, now: float, *, is_cordoned: bool
) -> None:
    world = BatchWorld(0, timeoutSeconds=60)
    world.batch()
    world.working(0, spec=timeout)
    world.progress(0, "", now - 1)
    assert ("cordon w0" in world.decided(now)) == is_cordoned, why


def test_silent_worker_loses_its_shard() -> None:
    world = BatchWorld(0)
    world.batch()
    world.working(0)
    assert "requeue b-0 WorkerLost +31 free" in world.decided(31)


def test_assignment_lasts_for_one_image_and_the_renewal_of_the_lease() -> None:
    world = BatchWorld(0, timeoutSeconds=60)
    world.batch(timeoutSeconds=20)
    world.shard(0, spec={"timeoutSeconds": 20})
    shard = world.state.batches.shards["b-0"]
    assert world.state.shard_timeout(shard).total_seconds() == 30


def test_deadline_is_not_enforced_in_the_grace_period() -> None:
    world = BatchWorld(0)
    world.batch()
    world.working(0)
    world.state.grace_until = world.state.since.max.replace(tzinfo=world.state.since.tzinfo)
    assert [it for it in world.decided(31) if "b-0" in it] == []
    assert at(0)
