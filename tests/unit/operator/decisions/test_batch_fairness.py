"""Tests that batches leave workers, writes and time to single images and to other batches."""

from collections import Counter
from typing import Any

import pytest
from batch_world import BatchWorld
from vision_node_operator.decisions.actions import CreateShard
from vision_node_operator.decisions.batches.counting import MAX_ADVANCING
from vision_node_operator.decisions.decide import decide
from vision_node_operator.state.object_versions import ObjectKey
from world import NOW, at


def assigned(world: BatchWorld, after: float = 0) -> list[str]:
    world.progress(0, when=after)
    return [it for it in world.decided(after) if it.startswith("assign")]


def with_suspects(*workers: int) -> BatchWorld:
    """Return a cluster with shards that must be tried alone, and with single images."""
    world = BatchWorld(*workers, maxWorkers=len(workers), concurrency=2)
    world.batch(status={"suspects": "0,1,2"})
    for index in range(3):
        world.shard(index, 1, alone=True)

    return world


def test_only_worker_serves_singles_until_its_shard_ends() -> None:
    world = with_suspects(0)
    world.working(8)
    world.job("x")
    assert assigned(world) == ["assign x to w0"]

    world.processing("x", "w0")
    world.done(8)
    world.job("y")
    assert assigned(world) == [], "w0 becomes free for b-0"
    world.job("x", phase="done", worker="w0")
    assert assigned(world) == ["assign b-0 to w0"]


def test_another_worker_serves_singles_while_a_shard_ends() -> None:
    world = with_suspects(0, 1)
    world.working(8)
    world.working(16, worker="w1")
    world.job("x")
    assert assigned(world) == ["assign x to w1"], "w0 becomes free for b-0"


def test_singles_have_their_turn_between_two_shards_that_are_tried_alone() -> None:
    world = with_suspects(0)
    for name in "xyz":
        world.job(name)
    assert assigned(world) == ["assign b-0 to w0"]

    world.working(0, 1, alone=True)
    assert assigned(world, 1) == []

    world.done(0, 1, seen=2)
    world.forget("imagejobs", "b-0")
    assert assigned(world, 2) == ["assign x to w0", "assign y to w0"]
    for name in "xy":
        world.job(name, phase="done", worker="w0")
    assert assigned(world, 3) == ["assign z to w0"]

    world.job("z", phase="done", worker="w0")
    world.job("late", created=3)
    assert assigned(world, 4) == ["assign b-1 to w0"]


def test_only_worker_serves_singles_until_a_suspect_can_have_it() -> None:
    world = BatchWorld(0, maxWorkers=1, concurrency=2)
    world.batch()
    world.working(8)
    world.job("suspect", attempts=1, losses=1, suspect=True)
    world.job("x")
    assert assigned(world) == ["assign x to w0"]

    world.processing("x", "w0")
    world.done(8)
    world.job("y")
    assert assigned(world) == [], "w0 becomes free for the suspect"
    world.job("x", phase="done", worker="w0")
    assert assigned(world) == ["assign suspect to w0"]


def advanced(world: BatchWorld) -> list[str]:
    return [it for it in world.decided() if it.startswith("advance")]


def test_few_statuses_are_written_at_a_time_and_none_is_forgotten() -> None:
    world = BatchWorld(0)
    names = [f"b{number}" for number in range(20)]
    for name in names:
        world.batch(name, suspend=True)

    seen = list[str]()
    while found := [it.split()[1] for it in advanced(world)]:
        assert len(found) <= MAX_ADVANCING
        seen += found
        for name in found:
            world.state.batches.record_advance(name, NOW)
            world.begin_write("imagebatches", name)
        assert advanced(world) == [] or len(found) < MAX_ADVANCING
        for name in found:
            world.end_write("imagebatches", name)
            condition = {"type": "Suspended", "status": "True", "reason": "Suspended"}
            condition |= {"message": "m", "lastTransitionTime": at(0)}
            world.batch(name, suspend=True, status={"conditions": [condition]})

    assert sorted(seen) == sorted(names)


def test_deletions_of_batches_leave_statuses_their_share() -> None:
    world = BatchWorld(0)
    world.batch("b", suspend=True)
    for number in range(MAX_ADVANCING):
        world.state.begin_write(ObjectKey("imagebatches", f"old{number}"), source="expiry")
    assert advanced(world) == ["advance b idle"]


def test_status_that_was_written_longest_ago_is_written_first() -> None:
    world = BatchWorld(0)
    for number in range(MAX_ADVANCING + 1):
        world.batch(f"b{number}", suspend=True)
        world.state.batches.record_advance(f"b{number}", NOW.replace(year=NOW.year - 1 - number))
    assert advanced(world)[0] == f"advance b{MAX_ADVANCING} idle"
    assert "advance b0 idle" not in advanced(world)


@pytest.mark.parametrize("pool", [{"maxWorkers": 1}, {"maxWorkers": 10}])
def test_workers_that_are_too_old_are_not_multiplied(pool: Any) -> None:
    world = BatchWorld(**pool)
    world.worker(0)
    world.batch(images=10_000)
    assert not any(it.startswith(("launch", "retire")) for it in world.decide())


def created(world: BatchWorld) -> list[str]:
    """Return the ImageBatches for which shards are to be created, once for each shard."""
    actions = decide(world.state, world.settings, NOW)
    return [it.spec.images.batch for it in actions if isinstance(it, CreateShard)]


@pytest.mark.parametrize(
    ("why", "spec", "expected"),
    [
        ("for four workers and one ahead, twice", {}, {"b0": 5, "b1": 5}),
        (
            "more batches if they can't use all workers",
            {"parallelism": 1},
            {"b0": 2, "b1": 2, "b2": 2, "b3": 2, "b4": 2},
        ),
    ],
)
def test_batches_that_have_their_turn_much_later_get_no_shards(
    why: str, spec: Any, expected: Any
) -> None:
    world = BatchWorld(0, 1, 2, 3, maxWorkers=4)
    for number in range(100):
        world.batch(f"b{number}", priority=100 - number, **spec)
    assert Counter(created(world)) == expected, why
