"""Tests of ImageBatches that a restore of the cluster, or of the database, has lost."""

from datetime import UTC, datetime, timedelta

import pytest
from batch_history_world import HistoryWorld, uid_of


async def test_batches_that_a_restored_cluster_lacks_keep_their_data(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)

    del world.api.bodies["b"]
    world.api.version -= 10
    world.show(history)
    assert world.holds.held == {"clean"}
    await world.settle(history)

    assert world.images("b") == [0, 1]
    assert world.folder("b")


async def test_batch_that_is_missing_when_it_is_read_keeps_its_data(world: HistoryWorld) -> None:
    """The process may be about to archive it when the cluster is restored."""
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)
    world.finish("b")
    world.show(history)
    del world.api.bodies["b"]
    world.holds.held = {"clean"}
    for _ in range(5):
        await history.round()

    assert world.images("b") == [0, 1]
    assert world.folder("b")


@pytest.mark.parametrize("is_restored", [False, True])
async def test_batch_that_is_missing_when_it_is_frozen_is_deleted_unless_there_was_a_restore(
    world: HistoryWorld, *, is_restored: bool
) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)
    del world.api.bodies["b"]
    world.holds.held = {"clean"} if is_restored else set()

    history.observe_missing(uid_of("b"))
    for _ in range(5):
        await history.round()
    assert world.images("b") == ([0, 1] if is_restored else [])
    assert bool(world.folder("b")) is is_restored


async def test_batch_that_is_missing_at_its_eviction_keeps_its_data(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    world.finish("b")

    async def lose(name: str) -> None:
        world.api.bodies.pop(name, None)
        world.holds.held = {"clean"}

    world.api.before_delete = lose
    history = world.start()
    while world.api.bodies:
        await history.round()
    for _ in range(5):
        await history.round()

    assert world.images("b") == [0, 1]
    assert world.is_marked("b") is False
    assert world.folder("b")


async def test_rows_that_a_restored_database_lacks_are_written_before_an_eviction(
    world: HistoryWorld,
) -> None:
    world.create("b", parts=2)
    world.holds.held = {"clean"}
    world.finish("b")
    history = world.start()
    await world.settle(history)

    body = world.query("SELECT body FROM batches")
    await world.store.delete_batch_images(uid_of("b"), 1)
    assert len(world.images("b")) == 3
    world.execute("UPDATE batches SET archived_index = 0, body = '{}', finished_at = NULL")

    world.holds.held = set()
    history.write_again()
    await world.settle(history)
    assert not world.api.bodies
    assert world.images("b") == [0, 1, 2, 3]
    assert world.query("SELECT archived_index, finished_at IS NULL, body FROM batches") == [
        (2, False, body[0][0])
    ]


async def test_evicted_batch_that_a_restored_cluster_has_again_may_be_deleted(
    world: HistoryWorld,
) -> None:
    world.create("b", parts=1)
    world.finish("b", datetime.now(UTC) - timedelta(minutes=10))
    await world.settle(world.start())
    world.execute("UPDATE batches SET evicted_at = now() - interval '1 h'")
    world.holds.held = {"clean"}
    history = world.start()
    await world.settle(history)

    await world.store.keep_all([uid_of("b")], [uid_of("b")])
    history.write_again()
    world.holds.held = set()
    await world.settle(history)
    assert world.is_marked("b") is False
    assert "b" in world.api.bodies

    world.api.delete("b")
    history.observe_deleted(uid_of("b"))
    await world.settle(history)
    assert world.images("b") == []


@pytest.mark.parametrize("is_early", [False, True], ids=["after the answer", "before the answer"])
async def test_evicted_batch_whose_mark_a_restore_lost_keeps_its_data(
    world: HistoryWorld, *, is_early: bool
) -> None:
    """The database is restored between the mark of an eviction and the news of the deletion."""
    uid = world.create("b", parts=2)
    world.finish("b")
    history = world.start()

    async def restore(_: str) -> None:
        world.execute("UPDATE batches SET evicted_at = NULL; UPDATE owner SET written = 0")
        world.holds.held = {"clean"}
        if is_early:
            history.observe_deleted(uid)

    world.api.before_delete = restore
    while world.api.bodies:
        await history.round()
    if not is_early:
        history.observe_deleted(uid)
    world.store.counter.restart(0)
    for _ in range(5):
        await history.round()

    assert world.images("b") == [0, 1, 2, 3]
    assert world.folder("b")
    assert world.is_marked("b") is False
