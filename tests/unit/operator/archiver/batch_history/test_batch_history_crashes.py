"""Tests of the history of ImageBatches while processes are killed, and while the database is away.

Each process talks to the others only through requests. It is killed before or after each of them,
and another process goes on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from batch_history_world import HistoryWorld, eventually, uid_of
from postgres import Postgres
from vision_node_contract.clients.kube import Kube
from vision_node_operator.archiver.batch_history import (
    deletions,
    evictions,
    evictor,
    index_archiver,
)
from vision_node_operator.archiver.batch_history.batch_history import BatchHistory
from vision_node_operator.archiver.batch_watch import BatchWatch

CALLS = {
    "store": (
        *("add_batch", "add_batch_images", "mark_batch_evicted", "batch_rows", "batches_in_etcd"),
        *("expired_batches", "add_tombstones", "delete_batch_images"),
    ),
    "client": ("read", "delete"),
    "bucket": ("get", "get_part", "stat"),
}
"""What a process asks of others, and what it tells them."""


class Killed(BaseException):
    """The process was killed."""


class Killer:
    """Stands in front of everything that a process uses, and kills it at one of its requests."""

    def __init__(self, world: HistoryWorld, at: int, *, is_done: bool) -> None:
        self.calls = 0
        self._at = at
        self._is_done = is_done
        """Whether the request is carried out before the process is killed."""
        self.database: Any = self._wrap(world.store, CALLS["store"])
        self.batches: Any = self._wrap(world.client, CALLS["client"])
        self.bucket: Any = self._wrap(world.bucket, CALLS["bucket"])

    def _wrap(self, target: Any, names: tuple[str, ...]) -> Any:
        class Wrapped:
            def __getattr__(self, name: str) -> Any:
                return getattr(target, name)

        wrapped = Wrapped()
        for name in names:
            setattr(wrapped, name, self._killing(getattr(target, name)))
        return wrapped

    def _killing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def request(*values: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self._at and not self._is_done:
                raise Killed
            answer = await call(*values, **named)
            if self.calls == self._at:
                raise Killed
            return answer

        return request

    def stores(self) -> dict[str, Any]:
        return {"batches": self.batches, "bucket": self.bucket, "database": self.database}


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take many small steps, and take over at once from a process that was killed."""
    monkeypatch.setattr(index_archiver, "GROUP_ROWS", 2)
    monkeypatch.setattr(deletions, "PIECE_ROWS", 2)
    monkeypatch.setattr(evictions, "MARK_AGE", timedelta(0))
    monkeypatch.setattr(evictor, "MARK_AGE", timedelta(0))


async def live_through(world: HistoryWorld, history: BatchHistory, name: str) -> None:
    """Let a batch be archived and evicted, and another one be archived and deleted."""
    kept, deleted = f"kept-{name}", f"deleted-{name}"
    await world.settle(history)
    if deleted in world.api.bodies:
        world.api.delete(deleted)
        history.observe_deleted(uid_of(deleted))
    if kept in world.api.bodies:
        world.finish(kept)
        world.show(history)
    await world.settle(history)


@pytest.mark.parametrize("is_done", [False, True])
async def test_process_that_is_killed_at_any_step_loses_nothing_and_doubles_nothing(
    world: HistoryWorld, *, is_done: bool
) -> None:
    at, was_killed = 0, True
    while was_killed:
        at += 1
        name = f"{at}-{is_done}"
        kept, deleted = f"kept-{name}", f"deleted-{name}"
        world.create(kept, parts=2, images=3)
        world.create(deleted, parts=1, images=3)

        killer, was_killed = Killer(world, at, is_done=is_done), False
        try:
            await live_through(world, world.start(**killer.stores()), name)
        except Killed:
            was_killed = True
        before = (kept in world.api.bodies, world.images(kept))
        assert before[0] or before[1] == [0, 1, 2, 3, 4, 5], "evicted too early"

        await live_through(world, world.start(), name)
        assert kept not in world.api.bodies
        assert world.is_marked(kept)
        assert world.images(kept) == [0, 1, 2, 3, 4, 5]
        assert world.images(deleted) == []
        assert world.is_marked(deleted) is None

    assert at > 25
    batches = world.query("SELECT count(*) FROM batches")[0][0]
    assert world.query("SELECT written FROM owner")[0][0] >= 6 * batches
    assert world.query("SELECT sum(rows)::int FROM chunks") == [(6 * batches,)]
    assert world.query("SELECT sum(images)::int FROM usage") == [(9 * batches,)]


async def test_two_archivers_at_the_same_time(world: HistoryWorld, monkeypatch: Any) -> None:
    monkeypatch.setattr(evictions, "MARK_AGE", timedelta(seconds=60))
    monkeypatch.setattr(evictor, "MARK_AGE", timedelta(seconds=60))
    for number in range(6):
        world.create(f"kept{number}", parts=2, images=3)
        world.create(f"deleted{number}", parts=2, images=3)
    both = [world.start(), world.start()]

    async def work(history: BatchHistory) -> None:
        while True:
            await history.round()
            world.show(history)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work(history)) for history in both]
    await eventually(lambda: world.query("SELECT count(*) > 30 FROM images") == [(True,)])
    for number in range(6):
        world.finish(f"kept{number}")
        world.api.delete(f"deleted{number}")
        for history in both:
            history.observe_deleted(uid_of(f"deleted{number}"))

    await eventually(lambda: not world.api.bodies)
    await eventually(lambda: world.query("SELECT count(*) FROM batches") == [(6,)])
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(it) for it in results] == [asyncio.CancelledError] * 2
    for history in both:
        await world.settle(history)

    assert [world.images(f"kept{number}") for number in range(6)] == [[*range(6)]] * 6
    assert [world.images(f"deleted{number}") for number in range(6)] == [[]] * 6
    assert sum(it.counts.evicted for it in both) == 6


async def test_database_that_is_away_delays_only(
    world: HistoryWorld, postgres: Postgres, cluster: tuple[Any, Kube]
) -> None:
    """Meanwhile, batches are created, go on, end, and are deleted."""
    history = world.start()
    watch = BatchWatch(
        cluster[1], world.client, world.cleaner, world.bucket.folders, observer=history
    )

    class Queue:
        def offer(self, batch: Any) -> None:
            """Freeze nothing."""

        def remove(self, uid: str) -> None:
            history.observe_deleted(uid)

    queue: Any = Queue()
    tasks = [asyncio.create_task(history.run()), asyncio.create_task(watch.run(queue))]
    world.create("running", parts=1)
    world.create("deleted", parts=1)
    await eventually(lambda: world.query("SELECT count(*) FROM images") == [(4,)])

    world.finish("deleted", datetime.now(UTC))
    await eventually(lambda: history.waiting == 0)
    postgres.stop()
    world.api.delete("deleted")
    world.count("running")
    world.finish("running", datetime.now(UTC) - timedelta(hours=2))
    for number in range(3):
        world.create(f"new{number}", parts=1)
        world.finish(f"new{number}", datetime.now(UTC) - timedelta(hours=2))
    await eventually(lambda: history.waiting == 4)
    await asyncio.sleep(0)
    assert len(world.api.bodies) == 4
    assert world.folder("deleted")

    postgres.start()
    await eventually(lambda: not world.api.bodies and history.waiting == 0)
    assert world.images("running") == [0, 1, 2, 3]
    assert [world.images(f"new{number}") for number in range(3)] == [[0, 1]] * 3
    await eventually(lambda: world.images("deleted") == [])
    await eventually(lambda: not world.folder("deleted"))
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
