"""Tests of reading the keys again for clients with unknown keys."""

import asyncio
import time

import pytest
from vision_node_api.services.auth import secret_refresh
from vision_node_api.services.auth.secret_refresh import MAX_WAITING, SecretRefresh


async def test_clients_that_have_waited_do_not_continue_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API would be busy with all of them before it answers anyone else."""
    monkeypatch.setattr(secret_refresh, "CONTINUED_PER_SECOND", 100)
    reads, ends = 0, list[float]()

    async def read() -> None:
        nonlocal reads
        reads += 1

    refresh = SecretRefresh(read)

    async def wait() -> None:
        await refresh.wait()
        ends.append(time.monotonic())

    await asyncio.gather(*(wait() for _ in range(40)))
    assert reads == 1
    assert ends[-1] - ends[0] >= 0.3
    assert ends[0] < ends[20] < ends[39]


async def test_number_of_clients_that_wait_is_limited() -> None:
    may_read = asyncio.Event()

    async def read() -> None:
        await may_read.wait()

    refresh = SecretRefresh(read)
    waiting = [asyncio.create_task(refresh.wait()) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await refresh.wait()
        assert not any(each.done() for each in waiting)

        may_read.set()
        await asyncio.gather(*waiting)
