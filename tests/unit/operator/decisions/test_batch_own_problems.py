"""Tests of problems that only one ImageBatch, or one of its images, has."""

from typing import Any

import pytest
from batch_world import BatchWorld
from vision_node_operator.decisions.actions import AdvanceBatch
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, at

REFUSED = {"reason": "StorageDenied", "message": "no right to index/"}
WRONG_KEY = {"reason": "CredentialsRefused", "message": "wrong key"}
UNREADABLE = {"reason": "ManifestUnreadable", "message": "m1/0 is missing"}


def waiting(reason: str, message: str) -> dict[str, Any]:
    shown = {"type": "Waiting", "status": "True", "reason": reason, "message": message}
    return {"conditions": [{**shown, "lastTransitionTime": at(0)}]}


def of_kind(world: BatchWorld, word: str, after: float = 0) -> list[str]:
    for slot in (0, 1):
        world.progress(slot, when=after)
    return [it for it in world.decided(after) if it.startswith(word)]


def test_bucket_that_stores_nothing_is_shown_before_it_is_tried_again() -> None:
    world = BatchWorld(0, 1)
    world.batch()
    world.done(0)
    world.state.batches.record_storage_problem("b", **REFUSED)
    assert of_kind(world, "advance") == ["advance b waiting StorageDenied"]

    world.batch(status=waiting(**REFUSED))
    assert of_kind(world, "advance") == ["advance b +0-7 idle"]

    counts = {"total": 100, "done": 8, "failed": 0}
    counted = {"counted": "0-7", "images": counts, "results": {"index": 1}}
    world.batch(status={**waiting(**REFUSED), **counted})
    assert of_kind(world, "advance") == ["advance b idle"], "the condition is over"


def test_manifest_that_cannot_be_read_stops_only_its_own_batch() -> None:
    world = BatchWorld(0, 1)
    world.batch("b")
    world.batch("c")
    world.done(0, done=0, rest="0-7", stopped=UNREADABLE)
    world.shard(0, batch="c")

    assert of_kind(world, "advance b") == ["advance b waiting ManifestUnreadable idle"]
    assert of_kind(world, "assign") == ["assign c-0 to w0"]
    assert not [it for it in of_kind(world, "create") if "b" in it.split()[-1]]

    world.shard(8)
    assert of_kind(world, "assign b", after=29) == []
    assert of_kind(world, "assign b", after=31) == ["assign b-8 to w1"], "after the other batch"


def stop_alone(world: BatchWorld, seen: float, problem: Any = None) -> None:
    """Report that an image which is tried alone has been stopped by a problem."""
    images = {"done": 0, "failed": 0, "rest": "7", "stopped": problem or WRONG_KEY}
    world.shard(7, 1, alone=True, seen=seen, phase="processing", worker="w0", attempts=1)
    world.shard(7, 1, alone=True, seen=seen, phase="done", worker="w0", attempts=1, images=images)


SUSPECT = {"suspects": "7", "counted": "0-6", "images": {"total": 8, "done": 7, "failed": 0}}


def test_image_that_is_stopped_alone_does_not_stop_others() -> None:
    world = BatchWorld(0, 1)
    world.batch(images=8, status=SUSPECT)
    world.batch("c")
    stop_alone(world, 0)
    world.shard(0, batch="c")
    assert of_kind(world, "assign") == ["assign c-0 to w0"]
    assert of_kind(world, "delete") == ["delete b-7"]

    world.forget("imagejobs", "b-7")
    assert of_kind(world, "create 7", after=29) == []
    assert of_kind(world, "advance b", after=29) == ["advance b waiting CredentialsRefused idle"]
    assert of_kind(world, "create 7", after=31) == ["create 7 alone"]


@pytest.mark.parametrize(("others", "expected"), [(7, ["advance b +7 idle"]), (0, [])])
def test_image_fails_after_it_was_stopped_alone_five_times(
    others: int, expected: list[str]
) -> None:
    """If no image of the batch has been described, the problem may be that of the Describer."""
    world = BatchWorld(0, 1)
    images = {"total": 8, "done": others, "failed": 0}
    world.batch(images=8, status={**SUSPECT, "images": images})

    seen = 0.0
    for _ in range(5):
        assert not [it for it in of_kind(world, "advance b", seen) if "+7" in it]
        world.forget("imagejobs", "b-7")
        seen += 301
        stop_alone(world, seen)

    assert [it for it in of_kind(world, "advance b", seen) if "+7" in it] == expected


@pytest.mark.parametrize(
    ("why", "reason", "is_of_all"),
    [
        ("others have the problem, too", "CredentialsRefused", True),
        ("no image can cause it", "QuotaExhausted", False),
    ],
)
def test_image_does_not_fail_by_a_problem_of_all(why: str, reason: str, is_of_all: bool) -> None:  # noqa: FBT001
    world = BatchWorld(0, 1)
    world.batch(images=8, status=SUSPECT)
    world.batch("c")
    problem = {"reason": reason, "message": "m"}

    seen = 0.0
    for _ in range(9):
        seen += 301
        if is_of_all:
            images = {"done": 0, "failed": 0, "rest": "0-7", "stopped": problem}
            for phase in ({"phase": "processing"}, {"phase": "done", "images": images}):
                world.shard(0, batch="c", seen=seen, worker="w1", attempts=1, **phase)
            world.forget("imagejobs", "c-0")
        stop_alone(world, seen + 1, problem)
        assert not [it for it in of_kind(world, "advance b", seen + 2) if "+7" in it], why
        world.forget("imagejobs", "b-7")


def test_batch_that_alone_has_a_problem_does_not_stop_others() -> None:
    """An archived folder may look like a bucket that denies access."""
    world = BatchWorld(0, 1)
    world.batch("b")
    world.batch("c")
    for tries in range(3):
        seen = 400.0 * tries
        world.done(0, done=0, rest="0-7", stopped=REFUSED, seen=seen)
        world.forget("imagejobs", "b-0")
        created = of_kind(world, "create", seen + 31)
        world.shard(8 * tries, batch="c", seen=seen + 31)
        assert created, "another batch is tried first"
        assert of_kind(world, "assign", seen + 31) == [f"assign c-{8 * tries} to w0"]

        images = {"done": 8, "failed": 0, "key": "k"}
        for phase in ({"phase": "processing"}, {"phase": "done", "images": images}):
            shard = {"batch": "c", "seen": seen + 32, "worker": "w0", "attempts": 1}
            world.shard(8 * tries, **shard, **phase)
        world.forget("imagejobs", f"c-{8 * tries}")


@pytest.mark.parametrize(
    ("why", "spec", "status"),
    [
        ("suspended", {"suspend": True}, {}),
        ("waiting", {"describer": "unknown"}, {}),
    ],
)
def test_batch_that_stands_still_has_no_rate(why: str, spec: Any, status: Any) -> None:
    world = BatchWorld()
    world.batch(status=status, **spec)
    (action,) = (it for it in decide(world.state, SETTINGS, NOW) if isinstance(it, AdvanceBatch))
    assert action.progress.rate == 0, why
