"""Tests of the turns that owners take when requests wait."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from owners_of_requests import acting
from vision_node_api.web.fair_turns import FairTurns


async def wait_in_line(turns: FairTurns, owner: str, name: str, order: list[str]) -> None:
    """Wait for a turn as an owner, and note its name when it comes."""
    with acting(owner):
        async with turns:
            order.append(name)
            await asyncio.sleep(0)


async def begin(
    turns: FairTurns, names: Sequence[str], order: list[str]
) -> list[asyncio.Task[None]]:
    """Let requests wait, whose owners are the first letters of their names."""
    tasks = [asyncio.create_task(wait_in_line(turns, it[0], it, order)) for it in names]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        ("a1 a2 a3 a4 b1", "a1 b1 a2 a3 a4"),
        ("a1 a2 b1 b2 c1", "a1 b1 c1 a2 b2"),
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 b1 a2 b2", "a1 b1 a2 b2"),
    ],
)
async def test_owners_that_wait_take_turns(waiting: str, expected: str) -> None:
    turns, order = FairTurns(1), list[str]()
    async with turns:
        tasks = await begin(turns, waiting.split(), order)
        assert order == []
    await asyncio.gather(*tasks)

    assert " ".join(order) == expected
    assert turns.waiting_owners == 0


async def test_turns_of_clients_without_owners_come_in_order() -> None:
    turns, order = FairTurns(1), list[str]()

    async def request(name: str) -> None:
        async with turns:
            order.append(name)

    async with turns:
        tasks = [asyncio.create_task(request(it)) for it in "abc"]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]


async def test_number_at_the_same_time_is_limited() -> None:
    turns, running, most = FairTurns(2), 0, 0

    async def request(owner: str) -> None:
        nonlocal running, most
        with acting(owner):
            async with turns:
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1

    await asyncio.gather(*(request(it) for it in "aaabbbcc"))
    assert most == 2
    assert turns.waiting_owners == 0


async def test_request_that_leaves_delays_no_other() -> None:
    turns, order = FairTurns(1), list[str]()
    async with turns:
        tasks = await begin(turns, ["a1", "a2", "b1"], order)
        tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(order) == ["a2", "b1"]


async def test_turn_of_a_request_that_leaves_when_it_comes_is_passed_on() -> None:
    turns, order = FairTurns(1), list[str]()
    async with turns:
        tasks = await begin(turns, ["a1", "b1"], order)
    tasks[0].cancel()  # its turn has come, but it has not run since
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["b1"]


@pytest.mark.parametrize("seed", range(20))
async def test_no_turn_is_lost_when_requests_leave_at_random(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 (not a secret)
    turns, order = FairTurns(2), list[str]()
    names = [f"{rng.choice('abc')}{it}" for it in range(40)]
    tasks = await begin(turns, names, order)
    for task in rng.sample(tasks, 20):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    async with asyncio.timeout(5), turns, turns:
        assert turns.waiting_owners == 0
