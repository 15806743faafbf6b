"""Tests of an archiver that is killed between any two steps, and of two that run at once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from archive_place import IMAGES, Place
from archiver_helpers import until
from vision_node_contract.clients.bucket import Bucket
from vision_node_contract.clients.kube import Kube
from vision_node_contract.history.database import Database
from vision_node_operator.archiver.history import marks
from vision_node_operator.runtime.garbage_collector import GRACE

WRITES = 14
"""More writes than the archiver needs for all that happens in the test."""


class Killer:
    """Ends an archiver before or after its n-th write: a commit, or a request to delete."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.is_before = True
        self.dead = asyncio.Event()
        for kind, name in ((Database, "run"), (Kube, "request"), (Bucket, "delete")):
            monkeypatch.setattr(kind, name, self._wrapped(getattr(kind, name)))

    def arm(self, left: int, *, is_before: bool) -> None:
        """End at this write."""
        self.left, self.is_before, self.dead = left, is_before, asyncio.Event()

    def _wrapped(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def wrapped(sender: Any, *args: Any, **more: Any) -> Any:
            if isinstance(sender, Kube) and args[0] == "GET":
                return await send(sender, *args, **more)

            is_last = self.left == 0
            self.left -= 1
            if self.dead.is_set() or (is_last and self.is_before):
                await self._die()
            answer = await send(sender, *args, **more)
            if is_last:
                await self._die()
            return answer

        return wrapped

    async def _die(self) -> None:
        self.dead.set()
        await asyncio.Event().wait()


async def sweep(place: Place) -> None:
    """Sweep once, as if all objects were old."""
    async with place.archiver() as jobs:
        await jobs.live.synced.wait()
        while not await jobs.link.check():  # noqa: ASYNC110 (a condition of the history)
            await asyncio.sleep(0.001)
        await jobs.garbage.sweep(datetime.now(UTC) + 2 * GRACE)


@pytest.mark.parametrize("is_before", [True, False])
@pytest.mark.parametrize("at", range(WRITES))
async def test_killed_archiver_loses_and_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, at: int, is_before: bool
) -> None:
    """One job is evicted, one is deleted, the time of one has ended, and one stays."""
    monkeypatch.setattr(marks, "TAKE_OVER", timedelta(seconds=-1))
    killer = Killer(monkeypatch)
    killer.arm(10**9, is_before=True)
    hour = 3600
    place.create_done("deleted")
    place.create_done("young")
    async with place.archiver():
        await until(lambda: place.names == ["deleted", "young"])

    place.api.delete("deleted")
    place.create_done("evicted", hour + 1)
    place.create_done("expired", hour + 1, spec={"ttlSecondsAfterFinished": 10})
    killer.arm(at, is_before=is_before)
    async with place.archiver():
        await until(lambda: killer.dead.is_set() or is_quiet(place))

    killer.arm(10**9, is_before=True)
    async with place.archiver():
        await until(lambda: is_quiet(place))
    await sweep(place)

    assert place.names == ["evicted", "young"]
    assert place.evicted == ["evicted"]
    assert list(place.api.bodies) == ["young"]
    images = {key for key in place.s3.objects if key.startswith(IMAGES)}
    assert images == {f"{IMAGES}evicted", f"{IMAGES}young"}
    assert place.rows("SELECT count(*) FROM images") == [(2,)]
    assert place.rows("SELECT sum(images)::int FROM usage") == [(4,)]


def is_quiet(place: Place) -> bool:
    return (place.names, place.evicted) == (["evicted", "young"], ["evicted"]) and list(
        place.api.bodies
    ) == ["young"]


async def test_slow_archiver_beside_a_new_one_deletes_nothing_of_what_was_evicted(
    place: Place,
) -> None:
    """Each finds the ImageJobs gone that the other has just evicted."""
    names = sorted(f"j{number}" for number in range(40))
    for name in names:
        place.create_done(name, 3601)

    async def dawdle(_: str) -> None:
        await asyncio.sleep(0.005)

    place.api.before_delete = place.api.after_delete = dawdle
    async with place.archiver() as one, place.archiver() as other:
        await until(lambda: not place.api.bodies)
        await until(lambda: place.evicted == names)
        await until(lambda: not len(one.live) and not len(other.live))
        await until(lambda: not len(one.deletions) and not len(other.deletions))

    assert place.names == place.evicted == names
    assert {f"{IMAGES}{name}" for name in names} <= place.s3.objects.keys()


async def test_archiver_whose_mark_was_taken_over_does_not_take_the_eviction_for_a_deletion(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "TAKE_OVER", timedelta(seconds=-1))
    place.create_done("j", 3601)
    go_on, waits = asyncio.Event(), asyncio.Event()

    async def wait_once(_: str) -> None:
        if not waits.is_set():
            waits.set()
            await go_on.wait()

    place.api.before_delete = wait_once
    async with place.archiver() as slow:
        await waits.wait()
        async with place.archiver():
            await until(lambda: not place.api.bodies)
        go_on.set()
        await until(lambda: not slow.deletions.busy and not len(slow.live))
        await until(lambda: not len(slow.deletions))

    assert place.evicted == ["j"]


@pytest.mark.parametrize("loses_answer", [False, True])
async def test_job_that_is_deleted_while_it_is_evicted(place: Place, *, loses_answer: bool) -> None:
    """A user's deletion counts, but not an eviction whose answer was lost."""
    place.create_done("j", 3601)

    async def delete(name: str) -> None:
        if name in place.api.bodies and not loses_answer:
            place.api.delete(name)

    place.api.before_delete = delete
    place.api.loses_answers = int(loses_answer)
    async with place.archiver():
        await until(lambda: not place.api.bodies)
        if loses_answer:
            await until(lambda: place.evicted == ["j"])
        else:
            await until(lambda: f"{IMAGES}j" not in place.s3.objects)

    assert place.names == (["j"] if loses_answer else [])
    assert (f"{IMAGES}j" in place.s3.objects) == loses_answer


async def test_job_that_changes_while_it_is_evicted_stays_and_may_be_deleted(
    place: Place,
) -> None:
    place.create_done("j", 3601)
    changed = asyncio.Event()

    async def change(name: str) -> None:
        if not changed.is_set():
            changed.set()
            place.api.change(name, cancel=True)

    place.api.before_delete = change
    async with place.archiver() as jobs:
        await changed.wait()
        await until(lambda: not jobs.deletions.busy)
        assert (place.names, place.evicted) == (["j"], [])
        place.api.delete("j")
        await until(lambda: not place.names)
