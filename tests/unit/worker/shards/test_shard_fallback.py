"""Tests of shards whose describer has a fallback."""

import asyncio
import threading
from typing import cast

import pytest
from shard_world import Asking, Blocking, World, refused, settings, until
from vision_node_contract.models.reasons import Reason


@pytest.mark.parametrize("primary", [Asking, Blocking])
@pytest.mark.parametrize("fallback", [Asking, Blocking])
async def test_fallback_describes_the_images_of_an_exhausted_provider(
    primary: type, fallback: type
) -> None:
    describer = primary()
    describer.steps = {str(index): [refused(Reason.QUOTA_EXHAUSTED)] * 9 for index in range(6)}
    world = World(describer, count=6, settings=settings(fallback="fb"))
    world.images._fallback = fallback()
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (6, 0)
    assert world.results == {index: str(index) for index in range(6)}


async def test_fallback_has_as_much_time_as_the_describer_had() -> None:
    timeout = 0.5
    world = World(
        Asking(),
        count=1,
        settings=settings(fallback="fb", timeout_seconds=timeout, max_attempts=1),
    )
    world.describer.answers.clear()
    gate = threading.Event()
    fallback = Blocking()
    fallback.steps["0"] = [lambda: cast("None", gate.wait(10))]
    world.images._fallback = fallback

    assigned_at = asyncio.get_running_loop().time()
    world.assign()
    await until(lambda: bool(world.describer.asked))
    steps = world.runner._run.steps  # type: ignore[union-attr]
    await until(lambda: bool(fallback.described))
    run = world.runner._run
    assert run
    (runner,) = run._runners
    assert (runner.busy_since or 0.0) >= assigned_at + 0.9 * timeout
    assert run.steps > steps, "the operator sees that the shard advances"

    gate.set()
    await until(world.runner.idle.is_set)
    assert world.results == {0: "0"}
