"""Tests of the decisions about ImageBatches: creation, assignment, counting and deletion."""

from collections.abc import Callable
from typing import Any

import pytest
from batch_world import BatchWorld
from vision_node_contract.models.imagebatch import MAX_COUNTED_CHARACTERS
from vision_node_operator.decisions.actions import AdvanceBatch
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, at

FIRST = ["create 0-7", "create 8-15"]
"""The shards that are created for one worker: one for it, and one ahead."""


@pytest.mark.parametrize(
    ("why", "batch", "spec", "expected"),
    [
        ("one for each worker and one ahead", {}, {}, FIRST),
        ("no more than there are images", {"images": 3}, {}, ["create 0-2"]),
        (
            "one image in a dedicated pool",
            {"images": 9},
            {"isolation": "dedicated"},
            ["create 0", "create 1"],
        ),
        ("ten seconds of a rate limit", {}, {"requestsPerMinute": 12}, ["create 0", "create 1"]),
        ("no more than a worker may have", {}, {"maxImagesPerWorker": 3}, ["create 0-2"]),
        (
            "only gaps between counted images",
            {"status": {"counted": "0-3,6-9"}},
            {},
            ["create 4-5", "create 10-17"],
        ),
        (
            "suspects alone and first",
            {"status": {"suspects": "9,4-5"}},
            {},
            ["create 9 alone", "create 4-5 alone"],
        ),
        ("none if it is suspended", {"suspend": True}, {}, []),
        ("none if it is cancelled", {"cancel": True}, {}, []),
        ("none while the manifest is not frozen", {"status": {"phase": "queued"}}, {}, []),
        (
            "none after too many failures",
            {
                "maxFailedImages": 1,
                "status": {"images": {"total": 100, "done": 0, "failed": 2}},
            },
            {},
            [],
        ),
    ],
)
def test_shards_are_created_ahead(why: str, batch: Any, spec: Any, expected: Any) -> None:
    world = BatchWorld(0, **{"maxWorkers": 1, **spec})
    world.batch(**batch)
    created = [text for text in world.decided() if text.startswith("create")]
    assert created[: max(1, len(expected))] == expected, why


def test_nothing_is_created_assigned_counted_or_deleted_until_all_shards_are_known() -> None:
    world = BatchWorld(0)
    world.batch()
    world.done(0)
    world.shard(8)
    world.shard(16, batch="unknown")
    world.state.knows_all_shards = False
    assert world.decided() == []
    world.state.knows_all_shards = True
    assert {"assign b-8 to w0", "advance b +0-7", "delete unknown-16"} <= {*world.decided()}


def test_shard_that_is_being_created_covers_its_images() -> None:
    world = BatchWorld(0, maxWorkers=1)
    world.batch()
    actions = decide(world.state, SETTINGS, NOW)
    spec = next(it.spec for it in actions if type(it).__name__ == "CreateShard")  # type: ignore[union-attr]
    world.state.batches.begin_creation(spec)
    assert [it for it in world.decided() if it.startswith("create")] == ["create 8-15"]
    world.state.batches.end_creation("b-uid-b-0")
    assert [it for it in world.decided() if it.startswith("create")] == FIRST


Setup = Callable[[BatchWorld], None]


def plain(world: BatchWorld) -> None:
    world.shard(0)


def old_worker(world: BatchWorld) -> None:
    world.shard(0)
    world.lease(0, -1)


def cordoned(world: BatchWorld) -> None:
    world.shard(0)
    world.state.cordon("w0")


def outdated(world: BatchWorld) -> None:
    world.shard(0)
    world.worker(0, template="old", renewed=None)


def used_up(world: BatchWorld) -> None:
    world.describer(maxImagesPerWorker=8)
    world.shard(0)
    world.working(8)
    world.shard(8, phase="queued")


def second(world: BatchWorld) -> None:
    world.working(8)
    world.shard(0)


def waits(world: BatchWorld) -> None:
    world.shard(0, nextAttemptTime=at(5))


def counted(world: BatchWorld) -> None:
    world.batch(status={"counted": "7"})
    world.shard(0)


def overlaps(world: BatchWorld) -> None:
    world.working(4, worker="w9")
    world.shard(0)


def beside_suspect(world: BatchWorld) -> None:
    world.batch(status={"suspects": "3"})
    world.shard(0)


def with_singles(world: BatchWorld) -> None:
    world.shard(0)
    for name in "abcd":
        world.processing(name, "w0")


def alone_beside_single(world: BatchWorld) -> None:
    world.shard(0, 1, alone=True)
    world.processing("a", "w0")


def alone_beside_nothing(world: BatchWorld) -> None:
    world.shard(0, 1, alone=True)


def parallel(world: BatchWorld) -> None:
    world.batch(parallelism=1)
    world.working(8, worker="w9")
    world.shard(0)


@pytest.mark.parametrize(
    ("setup", "is_assigned"),
    [
        (plain, True),
        (with_singles, True),
        (alone_beside_nothing, True),
        (old_worker, False),
        (cordoned, False),
        (outdated, False),
        (used_up, False),
        (second, False),
        (waits, False),
        (counted, False),
        (overlaps, False),
        (beside_suspect, False),
        (alone_beside_single, False),
        (parallel, False),
    ],
)
def test_shard_is_assigned_to_a_worker_that_may_have_it(setup: Setup, *, is_assigned: bool) -> None:
    world = BatchWorld(0)
    world.batch()
    setup(world)
    assert ("assign b-0 to w0" in world.decided()) == is_assigned


def test_worker_becomes_free_for_a_shard_that_must_be_alone() -> None:
    world = BatchWorld(0, 1, concurrency=4)
    world.batch()
    world.shard(0, 1, alone=True)
    world.processing("a", "w0")
    world.processing("b", "w0")
    world.processing("c", "w1")
    for name in "xyz":
        world.job(name)
    assigned = [it for it in world.decided() if it.startswith("assign")]
    assert assigned == ["assign x to w0", "assign y to w0"]


def test_worker_with_a_shard_that_must_be_alone_gets_nothing_else() -> None:
    world = BatchWorld(0)
    world.batch()
    world.working(0, 1, alone=True)
    world.shard(8)
    world.job("x")
    assert [it for it in world.decided() if it.startswith("assign")] == []


def test_shard_leaves_the_capacity_to_singles() -> None:
    world = BatchWorld(0, concurrency=2)
    world.batch()
    world.working(0)
    for name in "abc":
        world.job(name)
    assigned = [it for it in world.decided() if it.startswith("assign")]
    assert assigned == ["assign a to w0", "assign b to w0"]


@pytest.mark.parametrize(
    ("why", "busy", "expected"),
    [
        ("the owner without images in progress", "a", "c-0"),
        ("the batch without images in progress", "c", "a-0"),
    ],
)
def test_owners_take_turns(why: str, busy: str, expected: str) -> None:
    world = BatchWorld(0)
    for name, owner in (("a", "ann"), ("b", "ann"), ("c", "cid")):
        world.batch(name, owner=owner)
        world.shard(0, batch=name)
    world.working(50, worker="w9", batch=busy)
    assert f"assign {expected} to w0" in world.decided(), why


def test_higher_priority_comes_first() -> None:
    world = BatchWorld(0)
    world.batch("a")
    world.batch("z", priority=5)
    world.shard(0, batch="a")
    world.shard(0, batch="z")
    assert "assign z-0 to w0" in world.decided()


@pytest.mark.parametrize(
    ("why", "outcome", "status", "expected"),
    [
        ("all images", {}, {}, ["advance b +0-7 idle"]),
        ("a part", {"done": 5, "rest": "5-7"}, {}, ["advance b +0-4 idle"]),
        ("suspects", {"done": 0, "rest": "0-7", "suspects": "3"}, {}, ["advance b + idle"]),
        ("nothing is deleted", {"done": 0, "rest": "0-7"}, {}, ["delete b-0"]),
        ("counted is deleted", {}, {"counted": "0-7"}, ["delete b-0"]),
        ("counted otherwise is deleted", {}, {"counted": "7-9"}, ["delete b-0"]),
        (
            "a known suspect is deleted",
            {"done": 0, "rest": "0-7", "suspects": "3"},
            {"suspects": "3"},
            ["delete b-0"],
        ),
        (
            "the parts of a suspect range are known",
            {"done": 0, "rest": "0-7", "suspects": "0-3"},
            {"suspects": "0-1,2-3"},
            ["delete b-0"],
        ),
        (
            "a range with a counted image is never a suspect",
            {"done": 0, "rest": "0-7", "suspects": "0-3,4-7"},
            {"counted": "3", "suspects": "4-7"},
            ["delete b-0"],
        ),
        (
            "a part of a known suspect range is news",
            {"done": 0, "rest": "0-7", "suspects": "0-1"},
            {"suspects": "0-3"},
            ["advance b + idle"],
        ),
    ],
)
def test_finished_shard_is_counted_and_then_deleted(
    why: str, outcome: Any, status: Any, expected: list[str]
) -> None:
    world = BatchWorld()
    world.batch(status=status)
    world.done(0, **outcome)
    found = [it for it in world.decided() if not it.startswith("create")]
    assert found == expected, why


def test_shards_with_the_same_images_are_not_both_counted() -> None:
    world = BatchWorld()
    world.batch()
    world.done(0)
    world.done(4)
    world.done(20)
    assert "advance b +0-7 +20-27" in world.decided()


@pytest.mark.parametrize(("after", "expected"), [(0.9, []), (1.0, ["advance b +0-7 idle"])])
def test_status_is_written_once_a_second(after: float, expected: list[str]) -> None:
    world = BatchWorld()
    world.batch()
    world.state.batches.record_advance("b", NOW)
    world.done(0)
    assert [it for it in world.decided(after) if it.startswith("advance")] == expected


def test_last_images_are_counted_at_once() -> None:
    world = BatchWorld()
    world.batch(images=8)
    world.state.batches.record_advance("b", NOW)
    world.done(0)
    assert [it for it in world.decided() if it.startswith("advance")] == ["advance b +0-7 idle"]


WAITING = {"type": "Waiting", "status": "True", "lastTransitionTime": at(0)}
SUSPENDED = {"type": "Suspended", "reason": "Suspended", "message": "", "status": "True"}


@pytest.mark.parametrize(
    ("why", "batch", "expected"),
    [
        ("nothing changes", {}, []),
        (
            "the Describer does not exist",
            {"describer": "x"},
            ["advance b waiting DescriberNotFound idle"],
        ),
        (
            "the problem is over",
            {"status": {"conditions": [{**WAITING, "reason": "Starting", "message": "m"}]}},
            ["advance b idle"],
        ),
        ("suspended", {"suspend": True}, ["advance b idle"]),
        (
            "shown as suspended",
            {
                "suspend": True,
                "status": {"conditions": [{**SUSPENDED, "lastTransitionTime": at(0)}]},
            },
            [],
        ),
        (
            "resumed",
            {"status": {"conditions": [{**SUSPENDED, "lastTransitionTime": at(0)}]}},
            ["advance b idle"],
        ),
        ("cancelled", {"cancel": True}, ["advance b idle"]),
    ],
)
def test_status_is_written_if_it_changes(why: str, batch: Any, expected: list[str]) -> None:
    world = BatchWorld()
    world.batch(**batch)
    assert [it for it in world.decided() if it.startswith("advance")] == expected, why


@pytest.mark.parametrize("stop", [{"suspend": True}, {"cancel": True}])
def test_stopped_batch_deletes_queued_shards_and_cancels_others(stop: Any) -> None:
    world = BatchWorld(0)
    world.batch(**stop)
    world.shard(0)
    world.working(8)
    world.working(16, worker="w0", spec={"cancel": True})
    actions = [it for it in world.decided() if not it.startswith("advance")]
    assert actions == ["cancel b-8", "delete b-0"]
    late = [it for it in world.decided(29.9) if it.startswith("give")]
    assert late == []
    assert "give up b-16 Cancelled" in world.decided(30)


def test_batch_that_must_stop_ends_only_without_uncounted_shards() -> None:
    world = BatchWorld(0)
    world.batch(cancel=True)
    world.working(8)
    assert not any("idle" in it for it in world.decided())
    world.done(8)
    assert "advance b +8-15 idle" in world.decided()


def test_cancelled_batch_ends_even_if_not_all_shards_can_be_counted() -> None:
    world = BatchWorld(0)
    counted = ",".join(str(2 * number + 100_000) for number in range(1170))
    assert MAX_COUNTED_CHARACTERS - len(counted) < len(",500000-500007")
    counts = {"total": 900_000, "done": 1170, "failed": 0}
    world.batch(images=900_000, cancel=True, status={"counted": counted, "images": counts})
    world.done(500_000)
    world.done(600_000)
    assert world.decided() == ["delete b-500000", "delete b-600000"]

    world.forget("imagejobs", "b-500000")
    world.forget("imagejobs", "b-600000")
    assert world.decided() == ["advance b idle"]


def test_rate_is_that_of_the_last_seconds() -> None:
    world = BatchWorld()
    world.batch(status={"images": {"total": 100, "done": 10, "failed": 0}, "counted": "0-9"})
    world.done(10, 20)
    actions = decide(world.state, SETTINGS, NOW.replace(second=4))
    (action,) = (it for it in actions if isinstance(it, AdvanceBatch))
    assert action.progress.rate == 5.0


def test_deleted_batch_leaves_orphaned_shards() -> None:
    world = BatchWorld(0)
    world.batch()
    world.shard(0)
    world.working(8)
    world.forget("imagebatches", "b")
    assert world.decided() == ["delete b-0", "delete b-8"]


def test_finished_batch_expires() -> None:
    world = BatchWorld()
    world.batch(ttlSecondsAfterFinished=60, status={"phase": "done", "completionTime": at(-10)})
    assert world.decided(49) == []
    assert world.decided(50) == ["expire batch b"]
    world.back_off("imagebatches", "b", 90)
    assert world.decided(89) == []


def test_missing_shards_are_forgotten_after_a_complete_list() -> None:
    world = BatchWorld()
    world.batch()
    world.shard(0)
    world.shard(8)
    world.job("single")
    world.state.sweep_shards({"b-8"}, world.version, NOW)
    assert set(world.state.batches.shards) == {"b-8"}
    assert set(world.state.job_queue.unfinished) == {"single"}


def test_list_of_unfinished_imagejobs_leaves_shards_alone() -> None:
    world = BatchWorld()
    world.batch()
    world.shard(0)
    world.done(8)
    world.state.sweep_unfinished(set(), world.version)
    assert world.state.unconfirmed == set()


@pytest.mark.parametrize(
    ("why", "batch", "pool", "expected"),
    [
        ("many images", {"images": 10_000}, {"maxWorkers": 5}, 5),
        ("parallelism", {"images": 10_000, "parallelism": 3}, {"maxWorkers": 5}, 3),
        ("few shards", {"images": 10}, {"maxWorkers": 5}, 2),
        ("one image", {"images": 1}, {"maxWorkers": 5}, 1),
        ("dedicated", {"images": 3}, {"maxWorkers": 5, "isolation": "dedicated"}, 3),
        ("suspended", {"suspend": True}, {"maxWorkers": 5}, 0),
        ("cancelled", {"cancel": True}, {"maxWorkers": 5}, 0),
        (
            "all described",
            {"images": 8, "status": {"images": {"total": 8, "done": 7, "failed": 1}}},
            {"maxWorkers": 5},
            0,
        ),
    ],
)
def test_batch_scales_the_pool(why: str, batch: Any, pool: Any, expected: int) -> None:
    world = BatchWorld(**pool)
    world.batch(**batch)
    launched = [it for it in world.decide() if it.startswith("launch")]
    assert len(launched) == expected, why


def test_worker_with_a_shard_is_not_idle() -> None:
    world = BatchWorld(0)
    world.batch(suspend=True)
    world.working(0)
    assert not any(it.startswith("retire") for it in world.decide(100, idleSeconds=1))
    world.done(0, seen=99)
    world.progress(0, when=99)
    assert not any(it.startswith("retire") for it in world.decide(99.5, idleSeconds=1))
    assert "retire vn-metadata-0" in world.decide(101, idleSeconds=1)
