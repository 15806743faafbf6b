"""Tests of batches that wait for their Describer."""

from datetime import timedelta
from typing import Any

import pytest
from batch_world import BatchWorld
from vision_node_contract.ranges import RangeSet
from vision_node_operator.decisions.actions import CreateShard
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, at

KEY = {"reason": "CredentialsRefused", "message": "wrong key"}
THROTTLED = {"reason": "RateLimited", "message": "m", "retryAfterSeconds": 20}


def paused() -> BatchWorld:
    """Return a cluster whose Describer has refused a shard, while others are queued."""
    world = BatchWorld(0, 1)
    world.batch()
    world.done(0, done=0, rest="0-7", stopped=KEY)
    world.shard(8)
    world.shard(16)
    return world


def assigned(world: BatchWorld, after: float) -> list[str]:
    for slot in (0, 1):
        world.progress(slot, when=after)
    return [it for it in world.decided(after) if it.startswith("assign")]


@pytest.mark.parametrize(
    "reason",
    ["CredentialsRefused", "QuotaExhausted", "ProviderUnavailable", "StorageUnavailable"],
)
def test_problem_of_the_describer_pauses_its_batches(reason: str) -> None:
    world = BatchWorld(0)
    world.batch()
    world.done(0, done=3, rest="3-7", stopped={**KEY, "reason": reason})
    world.shard(8)
    assert world.decided() == [f"advance b +0-2 waiting {reason}"]


def test_one_shard_is_tried_after_a_while_and_the_wait_doubles() -> None:
    world = paused()
    assert assigned(world, 29.9) == []
    assert len(assigned(world, 30)) == 1

    world.done(8, seen=30, done=0, rest="8-15", stopped=KEY)
    assert assigned(world, 89.9) == []
    assert assigned(world, 90) == ["assign b-16 to w0"]


def test_only_one_shard_is_tried_at_a_time() -> None:
    world = paused()
    world.working(8)
    assert assigned(world, 31) == []


def test_failures_at_the_same_time_count_once() -> None:
    world = paused()
    world.done(8, seen=1, done=0, rest="8-15", stopped=KEY)
    assert assigned(world, 30) == ["assign b-16 to w0"]


def test_longest_wait_is_five_minutes() -> None:
    world = paused()
    when = 0.0
    for _ in range(20):
        pause = world.state.batches.history("metadata").pause
        assert pause is not None
        when = (pause.probe_at - NOW).total_seconds()
        world.done(8, seen=when, done=0, rest="8-15", stopped=KEY)

    pause = world.state.batches.history("metadata").pause
    assert pause is not None
    assert (pause.probe_at - NOW).total_seconds() - when == 300


def shard_succeeds(world: BatchWorld) -> None:
    world.done(24, seen=1)


def single_succeeds(world: BatchWorld) -> None:
    world.processing("j", "w0")
    result = {"describer": "metadata", "summary": "s"}
    world.job("j", phase="done", worker="w0", result=result)


def describer_changes(world: BatchWorld) -> None:
    spec = {"maxWorkers": 2, "model": "new"}
    world.observe("describers", "metadata", spec=spec)
    for slot in (0, 1):
        world.worker(slot)


@pytest.mark.parametrize("event", [shard_succeeds, single_succeeds, describer_changes])
def test_pause_ends_at_once(event: Any) -> None:
    world = paused()
    assert assigned(world, 1) == []
    event(world)
    assert len(assigned(world, 2)) == 2


def test_paused_batch_demands_no_worker_except_to_try() -> None:
    world = BatchWorld()
    world.batch()
    world.done(0, done=0, rest="0-7", stopped=KEY)
    assert not any(it.startswith(("launch", "create")) for it in world.decide(29))
    later = world.decide(30)
    assert [it for it in later if it.startswith("launch")] == ["launch vn-metadata-0"]
    assert [it for it in later if it.startswith("create")] == ["create 8-15"]


def test_refusal_blocks_the_pool_and_then_shards_are_small() -> None:
    world = BatchWorld(0)
    world.batch()
    world.done(0, done=3, rest="3-7", stopped=THROTTLED)
    world.shard(8)
    world.job("single")
    assert world.decided() == ["advance b +0-2 waiting RateLimited", "delete b-8"]

    world.forget("imagejobs", "b-8")
    world.progress(0, when=21)
    later = world.decided(21)
    assert "assign single to w0" in later
    assert "create 8" in later


def test_shards_that_are_too_large_after_a_refusal_make_room_for_small_ones() -> None:
    world = BatchWorld(0, maxWorkers=1)
    world.batch()
    for first in (8, 16, 24):
        world.shard(first)
    world.done(0, done=3, rest="3-7", stopped=THROTTLED)
    deleted = [it for it in world.decided() if it.startswith("delete")]
    assert deleted == ["delete b-8", "delete b-16", "delete b-24"]

    for first in (8, 16, 24):
        world.forget("imagejobs", f"b-{first}")
    world.progress(0, when=21)
    assert [it for it in world.decided(21) if it.startswith("create")] == ["create 8", "create 9"]


@pytest.mark.parametrize(
    ("why", "refusals", "expected"),
    [
        ("a short pause", [(0, 4)], []),
        ("a long pause", [(0, 6)], ["advance b waiting RateLimited idle"]),
        (
            "short pauses in a row",
            [(-4, 1), (-2, 1), (0, 4)],
            ["advance b waiting RateLimited idle"],
        ),
    ],
)
def test_batch_waits_if_refusals_last(
    why: str, refusals: list[tuple[float, float]], expected: list[str]
) -> None:
    world = BatchWorld(0)
    world.batch()
    limit = world.record.rate_limit = world.state.rate_limit("metadata")
    for since, seconds in refusals:
        limit.block(seconds, NOW + timedelta(seconds=since))
    assert [it for it in world.decided() if it.startswith("advance")] == expected, why
    assert [it for it in world.decided(3.9) if it.startswith("advance")] == expected, why


def test_short_refusals_with_success_in_between_are_not_shown() -> None:
    world = BatchWorld(0)
    world.batch()
    limit = world.record.rate_limit = world.state.rate_limit("metadata")
    for since in range(-50, 1, 5):
        limit.block(3, NOW + timedelta(seconds=since))
        limit.record_success(1)
    assert not any(it.startswith("advance") for it in world.decided())


def test_shard_that_must_be_alone_is_tried_after_a_refusal() -> None:
    """Its size is fixed, even if only one image may be in processing."""
    world = BatchWorld(0, concurrency=4)
    world.batch(status={"suspects": "96-97"})
    world.shard(96, 2, alone=True)
    world.record.rate_limit = world.state.rate_limit("metadata")
    world.record.rate_limit.block(0, NOW - timedelta(seconds=100))
    assert assigned(world, 0) == ["assign b-96 to w0"]

    world.processing("single", "w0")
    assert assigned(world, 0) == []


def test_rate_limit_applies_to_images_of_shards() -> None:
    world = BatchWorld(0, requestsPerMinute=60)
    world.batch()
    world.shard(0)
    world.shard(8)
    world.state.describers.record("metadata")
    assert assigned(world, 0) == ["assign b-0 to w0"]

    world.state.take_slot("metadata", NOW, images=8)
    assert assigned(world, 6) == []
    assert assigned(world, 8) == ["assign b-0 to w0"]


NOT_READY = {
    "type": "Ready",
    "status": "False",
    "reason": "ImagePullFailed",
    "message": "m",
    "lastTransitionTime": at(-31),
}


@pytest.mark.parametrize(
    ("why", "since", "expected"),
    [
        ("for a while", -31, ["advance b waiting ImagePullFailed idle"]),
        ("not long", -29, []),
    ],
)
def test_batch_waits_if_no_worker_serves(why: str, since: float, expected: list[str]) -> None:
    world = BatchWorld()
    world.batch()
    world.describer(status={"conditions": [{**NOT_READY, "lastTransitionTime": at(since)}]})
    assert [it for it in world.decided() if it.startswith("advance")] == expected, why


def test_batch_waits_if_workers_are_too_old() -> None:
    world = BatchWorld()
    world.worker(0)
    world.batch()
    assert "advance b waiting WorkerTooOld idle" in world.decided()


def test_batch_waits_if_the_api_server_refuses_its_shards() -> None:
    world = BatchWorld(0)
    world.batch()
    created = [it for it in decide(world.state, SETTINGS, NOW) if isinstance(it, CreateShard)]
    spec = created[0].spec
    world.state.batches.record_refusal(spec, "exceeded quota: jobs")
    assert "advance b waiting ShardsRefused idle" in world.decided()

    world.shard(0)
    assert not [it for it in world.decided() if "waiting" in it]


@pytest.mark.parametrize(
    ("why", "seconds", "expected"),
    [
        ("fast images: as many as before, up to 500", 0.02, [32, 114, 178, 332, 500, 500]),
        ("slow images: those that a worker describes at once", 20, [1, 1]),
        ("about 2.5 s for each shard", 1, [8, 16, 25]),
    ],
)
def test_size_of_shards_follows_the_measured_speed(
    why: str, seconds: float, expected: list[int]
) -> None:
    world = BatchWorld(0, maxWorkers=1)
    world.batch(images=100_000)
    size, first, sizes = 8, 0, []
    for _ in expected:
        world.done(first, size, took=seconds)
        first += size
        created = next(it for it in world.decided() if it.startswith("create"))
        size = len(RangeSet.parse(created.removeprefix("create ")))
        sizes.append(size)

    assert sizes == expected, why


def test_shards_become_smaller_towards_the_end() -> None:
    world = BatchWorld(0, 1, maxWorkers=2)
    counts = {"total": 500, "done": 200, "failed": 0}
    world.batch(images=500, status={"counted": "0-199", "images": counts})
    measure(world, seconds_per_image=0.01)
    created = [it for it in world.decided() if it.startswith("create")]
    assert created == ["create 200-274", "create 275-349", "create 350-424"]


@pytest.mark.parametrize(
    ("why", "seconds_per_image", "expected"),
    [
        ("0.2 s of a worker", 0.01, ["create 0-19", "create 20-39", "create 40-59"]),
        ("what a worker describes at once", 3, ["create 0", "create 1", "create 2"]),
    ],
)
def test_first_shards_of_a_batch_are_small(
    why: str, seconds_per_image: float, expected: list[str]
) -> None:
    """The first results are readable soon, even if the Describer's speed is known."""
    world = BatchWorld(0, 1, maxWorkers=2)
    world.batch(images=10_000)
    measure(world, seconds_per_image)
    assert [it for it in world.decided() if it.startswith("create")] == expected, why


def measure(world: BatchWorld, seconds_per_image: float) -> None:
    history = world.state.batches.history("metadata")
    history.seconds_per_image, history.measured_images = seconds_per_image, 500


def test_restarted_operator_tries_one_shard_of_a_waiting_batch() -> None:
    world = BatchWorld(0, 1)
    waiting = {**NOT_READY, "type": "Waiting", "status": "True", **KEY}
    world.batch(status={"conditions": [waiting]})
    world.shard(0)
    world.shard(8)
    assert assigned(world, 0) == ["assign b-0 to w0"]
