"""Tests of the order in which images of shards and single images are described."""

import asyncio
from contextlib import ExitStack

import pytest
from vision_node_describer import describe_slots
from vision_node_describer.describe_slots import DescribeSlots, StartInterval


async def granted(slots: DescribeSlots, wanted: int, interval: StartInterval | None = None) -> int:
    """Return how many of `wanted` images of a shard get a slot at once."""
    tasks = [
        asyncio.create_task(slots.acquire(interval or StartInterval(0))) for _ in range(wanted)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    return sum(1 for it in await asyncio.gather(*tasks, return_exceptions=True) if it is None)


@pytest.mark.parametrize(("singles", "free"), [(0, 3), (1, 2), (3, 0), (4, 0)])
async def test_shard_gets_the_slots_that_singles_leave(singles: int, free: int) -> None:
    slots = DescribeSlots(3)
    with ExitStack() as stack:
        for _ in range(singles):
            stack.enter_context(slots.single())
        assert await granted(slots, 5) == free


async def test_freed_slot_goes_to_the_next_image() -> None:
    slots = DescribeSlots(1)
    with slots.single():
        waiting = asyncio.create_task(slots.acquire(StartInterval(0)))
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 30)
    assert await granted(slots, 1) == 0
    slots.release()
    assert await granted(slots, 1) == 1


async def test_shard_without_any_slot_gets_one_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(describe_slots, "PATIENCE_SECONDS", 0.01)
    slots = DescribeSlots(1)
    with slots.single():
        await asyncio.wait_for(slots.acquire(StartInterval(0)), 30)
        second = asyncio.create_task(slots.acquire(StartInterval(0)))
        await asyncio.sleep(0.05)
        assert not second.done()
        second.cancel()


async def test_pace_keeps_an_interval_between_starts() -> None:
    slots, interval = DescribeSlots(5), StartInterval(60.0)
    assert await granted(slots, 5, interval) == 1
