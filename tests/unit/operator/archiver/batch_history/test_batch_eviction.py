"""Tests of evicting ImageBatches: what stays, what goes, and who may do it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from batch_history_world import LONG_AGO, HistoryWorld, eventually, uid_of
from vision_node_contract.clients.kube import KubeError
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_operator.archiver.batch_history import batch_history, evictions, evictor

SECONDS_AGO: dict[str, tuple[float, bool]] = {
    "ended just now": (0, False),
    "ended almost an hour ago": (3500, False),
    "ended an hour ago": (3601, True),
}


@pytest.mark.parametrize(("age", "is_evicted"), SECONDS_AGO.values(), ids=SECONDS_AGO.keys())
async def test_batch_is_evicted_when_it_ended_long_ago(
    world: HistoryWorld, age: float, *, is_evicted: bool
) -> None:
    world.create("b", parts=2)
    world.finish("b", datetime.now(UTC) - timedelta(seconds=age))
    history = world.start()
    await world.settle(history)

    assert world.is_marked("b") is is_evicted
    assert ("b" not in world.api.bodies) is is_evicted
    assert world.images("b") == [0, 1, 2, 3]
    assert world.folder("b")
    assert history.counts.evicted == is_evicted


async def test_oldest_ones_above_the_limit_are_evicted(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evictions, "MAX_FINISHED", 2)
    for number, seconds in enumerate([30, 200, 400, 300]):
        world.create(f"b{number}")
        world.finish(f"b{number}", datetime.now(UTC) - timedelta(seconds=seconds))
    await world.settle(world.start())
    assert sorted(world.api.bodies) == ["b0", "b1"]


async def test_batch_that_ended_just_now_stays_above_the_limit(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evictions, "MAX_FINISHED", 0)
    world.create("b")
    world.finish("b", datetime.now(UTC))
    await world.settle(world.start())
    assert sorted(world.api.bodies) == ["b"]


@pytest.mark.parametrize("hold", ["clean", "archive"])
async def test_nothing_is_evicted_during_a_hold(world: HistoryWorld, hold: Any) -> None:
    world.create("b", parts=1)
    world.finish("b")
    world.holds.held = {hold}
    history = world.start()
    for _ in range(5):
        await history.round()
    assert "b" in world.api.bodies
    assert not world.is_marked("b")

    world.holds.held = set()
    await world.settle(history)
    assert not world.api.bodies


async def test_unfinished_and_unarchived_batches_stay(world: HistoryWorld) -> None:
    world.create("running", parts=1)
    world.create("unreadable", parts=1)
    world.finish("unreadable")
    world.s3.fails = (503, "SlowDown")
    history = world.start()
    for _ in range(10):
        await history.round()
    assert sorted(world.api.bodies) == ["running", "unreadable"]


async def test_batch_that_waits_for_a_finalizer_is_left_alone(world: HistoryWorld) -> None:
    world.create("b")
    world.api.bodies["b"]["metadata"]["deletionTimestamp"] = datetime.now(UTC).isoformat()
    world.finish("b")
    await world.settle(world.start())
    assert world.is_marked("b") is False


async def test_change_meanwhile_prevents_the_eviction_until_it_is_in_the_row(
    world: HistoryWorld,
) -> None:
    world.create("b", parts=1)
    world.finish("b")

    async def change(name: str) -> None:
        if "ttlSecondsAfterFinished" not in world.api.bodies["b"]["spec"]:
            assert world.is_marked("b")
            world.api.change("b", ttlSecondsAfterFinished=2 * 10**9)

    world.api.before_delete = change
    await world.settle(world.start())

    assert not world.api.bodies
    assert world.is_marked("b")
    assert world.query("SELECT expires_at - finished_at FROM batches") == [
        (timedelta(seconds=2 * 10**9),)
    ]
    assert len(world.api.deletions) == 1


@pytest.mark.parametrize("has_successor", [False, True])
async def test_batch_that_a_user_deletes_meanwhile_loses_its_data(
    world: HistoryWorld, *, has_successor: bool
) -> None:
    world.create("b", parts=1)
    world.finish("b")

    async def delete(name: str) -> None:
        if not world.api.deletions and world.api.bodies["b"]["metadata"]["uid"] == uid_of("b"):
            world.api.delete("b")
            if has_successor:
                world.api.create("b", uid_of("c"), prefix="inbox/")

    world.api.before_delete = delete
    history = world.start()
    await world.settle(history)

    assert world.images("b") == []
    assert world.is_marked("b") is None
    assert (history.counts.evicted, history.counts.deleted) == (0, 1)
    assert ("b" in world.api.bodies) is has_successor


async def test_lost_answer_is_no_deletion_by_a_user(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.finish("b")
    world.api.loses_answers = 1
    history = world.start()
    for _ in range(4):
        await history.round()
    await world.settle(history)

    assert not world.api.bodies
    assert world.images("b") == [0, 1]
    assert (history.counts.evicted, history.counts.deleted) == (1, 0)


async def test_successor_after_a_lost_answer_is_no_deletion_by_a_user(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.finish("b")
    world.api.loses_answers = 1
    history = world.start()
    while world.api.bodies:
        await history.round()
    world.api.create("b", uid_of("c"), prefix="inbox/")
    for _ in range(4):
        await history.round()

    await world.settle(history)
    assert world.images("b") == [0, 1]
    assert world.is_marked("b")


async def test_late_watch_is_no_deletion_by_a_user(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process goes on for more than a minute before it hears of its own deletion."""
    monkeypatch.setattr(evictions, "MARK_AGE", timedelta(0))
    monkeypatch.setattr(evictor, "MARK_AGE", timedelta(0))
    world.create("b", parts=1)
    world.finish("b")
    history = world.start()
    for _ in range(20):
        await history.round()
    await world.settle(history)
    assert world.images("b") == [0, 1]
    assert (history.counts.evicted, history.counts.deleted) == (1, 0)


@pytest.mark.parametrize("status", [401, 403, 422])
async def test_refused_eviction_leaves_no_mark(world: HistoryWorld, status: int) -> None:
    """401 is refused, too, although it may be accepted later."""
    world.create("b", parts=1)
    world.finish("b")
    world.api.refusals = [status]
    history = world.start()
    for _ in range(2):
        await history.round()
    assert world.is_marked("b") is False

    await world.settle(history)
    assert not world.api.bodies


async def test_refused_batch_holds_up_no_others(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evictions, "REFUSED_STAY", timedelta(hours=1))
    monkeypatch.setattr(batch_history, "EVICT_RETRY_SECONDS", 3600.0)
    attempts = []

    async def refuse(name: str) -> None:
        attempts.append(name)
        world.api.refusals = [403] if name == "b" else []

    world.api.before_delete = refuse
    for name in ("b", "c"):
        world.create(name, parts=1)
        world.finish(name, LONG_AGO + timedelta(seconds=name == "c"))
    history = world.start()
    await world.settle(history)
    await world.settle(history)
    assert list(world.api.bodies) == ["b"]
    assert attempts == ["b", "c"]

    world.api.delete("b")
    history.observe_deleted(uid_of("b"))
    await world.settle(history)
    assert world.is_marked("b") is None
    assert world.is_marked("c")


async def test_refusal_after_a_lost_answer_leaves_the_mark(world: HistoryWorld) -> None:
    """The first request may have deleted the ImageBatch."""
    world.create("b", parts=1)
    world.finish("b")
    world.api.loses_answers = 1

    async def refuse(name: str) -> None:
        world.api.refusals = [403] if world.api.deletions else []

    world.api.before_delete = refuse
    history = world.start()
    for _ in range(8):
        await history.round()
    assert world.is_marked("b")

    await world.settle(history)
    assert world.images("b") == [0, 1]


async def test_batch_that_is_deleted_while_its_mark_cannot_be_removed_loses_its_data(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.create("b", parts=1)
    world.finish("b")
    mark = world.store.mark_batch_evicted

    async def fail(uid: str, *, evicted: bool) -> bool:
        if not evicted:
            raise HistoryUnavailableError("away")
        return await mark(uid, evicted=evicted)

    monkeypatch.setattr(world.store, "mark_batch_evicted", fail)
    world.api.refusals = [409]
    history = world.start()
    with pytest.raises(HistoryUnavailableError):
        await world.settle(history)

    world.api.delete("b")
    history.observe_deleted(uid_of("b"))
    await world.settle(history)
    assert world.images("b") == []
    assert world.is_marked("b") is None


async def test_marked_batch_of_a_killed_process_is_evicted_after_a_minute(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.create("b", parts=1)
    world.finish("b", datetime.now(UTC) - timedelta(seconds=1800))
    await world.settle(world.start())
    await world.store.mark_batch_evicted(uid_of("b"), evicted=True)

    history = world.start()
    await world.settle(history)
    assert "b" in world.api.bodies

    monkeypatch.setattr(evictions, "MARK_AGE", timedelta(0))
    monkeypatch.setattr(evictor, "MARK_AGE", timedelta(0))
    await world.settle(history)
    assert not world.api.bodies
    assert world.images("b") == [0, 1]
    assert history.counts.deleted == 0


async def test_batch_that_goes_on_after_a_restore_is_not_marked(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    await world.settle(world.start())
    await world.store.mark_batch_evicted(uid_of("b"), evicted=True)

    history = world.start()
    await world.settle(history)
    assert world.is_marked("b") is False

    world.count("b")
    await world.settle(history)
    assert world.images("b") == [0, 1, 2, 3]


async def test_two_archivers_do_not_take_each_other_for_a_user(world: HistoryWorld) -> None:
    """The second archiver works while the first one, which has marked the row, deletes."""
    world.create("b", parts=1)
    world.finish("b")
    both = [world.start(), world.start()]
    world.holds.held = {"clean"}
    for history in both:
        await world.settle(history)
    world.holds.held = set()
    entered = 0

    async def overtake(name: str) -> None:
        nonlocal entered
        entered += 1
        if entered == 1:
            assert world.is_marked("b")
            await both[1].round()

    world.api.before_delete = overtake
    for history in both:
        await world.settle(history)

    assert entered == 1
    assert not world.api.bodies
    assert world.images("b") == [0, 1]
    assert world.is_marked("b")
    assert [it.counts.deleted for it in both] == [0, 0]


async def test_checkpoints_go_when_the_batch_is_evicted(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.finish("b")
    key = f"{world.bucket.folders.batches}{uid_of('b')}/checkpoints/000000000"
    world.s3.put(key)
    await world.settle(world.start())
    await eventually(lambda: key not in world.s3.objects)
    assert world.folder("b")


async def test_error_of_the_api_server_stops_nothing(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.finish("b")

    async def refuse(name: str, uid: str, version: int) -> None:
        raise KubeError(500, "Internal", "no")

    world.client.delete = refuse  # type: ignore[method-assign]
    world.create("c", parts=1)
    history = world.start()
    for _ in range(10):
        await history.round()
    assert world.images("c") == [0, 1]
    assert world.is_marked("b") is False


async def test_second_mark_changes_nothing(world: HistoryWorld) -> None:
    """So an archiver knows whether it is the first one."""
    world.create("b")
    await world.settle(world.start())
    uid = uid_of("b")
    assert [await world.store.mark_batch_evicted(uid, evicted=True) for _ in range(2)] == [
        True,
        False,
    ]
    assert [row.uid for row in await world.store.batch_rows([uid, uid_of("c")])] == [uid]
