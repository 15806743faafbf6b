"""Tests of upload memory: how it is granted, and that at least one upload can always finish."""

import asyncio
import random
from contextlib import ExitStack

import pytest
from owners_of_requests import acting
from vision_node_api.uploads.upload_limit import UploadLimiter, UploadLimits, UploadSlot
from vision_node_api.uploads.upload_memory import UploadMemory
from vision_node_api.web.problems import Problem

SHARED, RESERVE = 100, 50

STEPS = {
    "memory is taken as bytes arrive": "a=10 a=20 b=80",
    "an upload that does not fit moves into the reserve": "a=100 b=50 c=1!",
    "only one upload at a time uses the reserve": "a=100 b=1 c=1! b=50",
    "moving into the reserve makes room for others": "a=40 b=60 a=41 c=40",
    "the reserve is not exceeded": "a=100 b=50 b=51! b=50",
    "freed memory is used by others": "a=100 b=50 a=50 c=50",
    "the reserve is freed when its upload ends": "a=100 b=50 b=0 c=50",
    "an upload that shrinks stays in the reserve": "a=100 b=50 b=1 c=1!",
    "a refusal changes nothing": "a=100 b=1 c=9! a=91 c=9",
    "an upload larger than the reserve needs the shared part": "a=51 b=51! a=49 b=51",
    "an upload that holds nothing can end": "a=0 a=0",
}
"""Steps such as `a=10`, in which upload `a` asks to hold 10 bytes in total.

Steps that end in `!` must be refused.
"""


@pytest.mark.parametrize("case", STEPS)
def test_memory_is_granted_or_refused(case: str) -> None:
    memory = UploadMemory(SHARED, RESERVE)
    for step in STEPS[case].split():
        upload, size = step.removesuffix("!").split("=")
        assert memory.resize(upload, int(size)) is not step.endswith("!"), step


SHARES = {
    "an owner gets half of the shared part": "anna/a=50 anna/b=1 anna/c=1!",
    "beyond it, one upload moves into the reserve": "anna/a=50 anna/b=50 anna/c=1! ben/d=50",
    "others get the rest": "anna/a=50 ben/b=50 anna/c=1",
    "freed memory is used by others of the owner": "anna/a=50 anna/b=9 anna/a=41 anna/c=9",
    "what is in the reserve does not count": "anna/a=30 anna/b=30 anna/c=20 anna/d=1!",
    "uploads without an owner have no share": "/a=60 /b=40",
    "an upload that ends is forgotten": "anna/a=50 anna/a=0 anna/b=50",
}
"""Steps as in STEPS, with the owner before the upload."""


@pytest.mark.parametrize("case", SHARES)
def test_owner_gets_no_more_than_its_share(case: str) -> None:
    memory = UploadMemory(SHARED, RESERVE)
    for step in SHARES[case].split():
        upload, size = step.removesuffix("!").split("=")
        owner, _, name = upload.partition("/")
        assert memory.resize(name, int(size), owner) is not step.endswith("!"), step


def test_only_one_upload_gets_memory_if_there_is_no_shared_part() -> None:
    memory = UploadMemory(0, RESERVE)
    assert memory.resize("a", 1)
    assert not memory.resize("b", 1)
    assert memory.resize("a", RESERVE)
    assert memory.resize("a", 0)
    assert memory.resize("b", RESERVE)


@pytest.mark.parametrize("seed", range(20))
def test_some_upload_can_always_continue(seed: int) -> None:
    """Uploads grow at random until all of them have finished, one after another if necessary."""
    rng = random.Random(seed)  # noqa: S311 (not a secret)
    memory = UploadMemory(SHARED, RESERVE)
    wanted = {name: rng.randint(1, RESERVE) for name in range(30)}
    held = dict.fromkeys(wanted, 0)

    while held:
        grown = False
        for name in rng.sample(sorted(held), len(held)):
            size = min(held[name] + rng.randint(1, 9), wanted[name])
            if memory.resize(name, size):
                held[name], grown = size, True

        assert grown, "no upload can continue"
        assert memory.held_bytes <= SHARED + RESERVE
        for name in [name for name, size in held.items() if size == wanted[name]]:
            memory.resize(name, 0)
            del held[name]

    assert memory.held_bytes == 0


def limiter(
    memory: int = SHARED + RESERVE, max_uploads: int = 100, wait: float = 60
) -> UploadLimiter:
    return UploadLimiter(
        UploadLimits(memory, RESERVE, 1, max_uploads=max_uploads, wait_seconds=wait)
    )


async def started(slot: UploadSlot, size: int, ahead: int = 0) -> "asyncio.Task[None]":
    """Start a task that requests memory and may have to wait, and return the task."""
    task = asyncio.create_task(slot.hold(size, ahead))
    await asyncio.sleep(0)
    return task


async def test_reserve_goes_to_the_longest_waiting_upload() -> None:
    limit = limiter()
    with limit.admit() as a, limit.admit() as b, limit.admit() as c, limit.admit() as d:
        await a.hold(100)
        await b.hold(50)
        first, second = await started(c, 20), await started(d, 20)
        await b.hold(0)
        await first
        assert not second.done()
        await c.hold(0)
        await second

    assert limit.held_bytes == 0


async def test_small_uploads_overtake_large_ones_that_wait() -> None:
    limit = limiter()
    with limit.admit() as a, limit.admit() as b, limit.admit() as c, limit.admit() as d:
        await a.hold(90)
        await b.hold(50)
        large = await started(c, 20)
        await d.hold(10)
        assert not large.done()
        await a.hold(80)
        await d.hold(0)
        await large
        assert limit.held_bytes == 80 + 50 + 20


async def test_upload_in_the_reserve_never_waits() -> None:
    limit = limiter()
    with limit.admit() as a, limit.admit() as b, limit.admit() as c:
        await a.hold(100)
        await b.hold(1)
        waiting = await started(c, 1)
        for size in (2, RESERVE, 1, 2):
            await b.hold(size)
        assert not waiting.done()
        await b.hold(0)
        await waiting


async def test_waiting_upload_reserves_no_memory_in_advance() -> None:
    limit = limiter()
    with limit.admit() as a, limit.admit() as b, limit.admit() as c:
        await a.hold(50)
        await b.hold(10, 40)
        await c.hold(1, 49)
        assert limit.held_bytes == 150
        waiting = await started(b, 12, 40)
        assert limit.held_bytes == 50 + 12 + 50
        await a.hold(40)
        await waiting
        assert limit.held_bytes == 40 + 52 + 50


async def test_upload_that_waits_too_long_is_refused_and_frees_its_memory() -> None:
    limit = limiter(wait=0.01)
    with limit.admit() as a, limit.admit() as b:
        await a.hold(100)
        await b.hold(50)
        with pytest.raises(Problem) as refused, limit.admit() as c:
            await c.hold(1)
        problem = refused.value
        assert (problem.status, problem.reason, problem.headers) == (
            429,
            "TooManyUploads",
            {"Retry-After": "5"},
        )
        assert limit.held_bytes == 150
        await b.hold(0)
        with limit.admit() as d:
            await d.hold(50)


@pytest.mark.parametrize(
    "error", [Problem(400, "X", "x"), RuntimeError(), asyncio.CancelledError(), GeneratorExit()]
)
async def test_memory_is_freed_however_an_upload_ends(error: BaseException) -> None:
    limit = limiter(max_uploads=1)
    for _ in range(3):
        with pytest.raises(type(error)), limit.admit() as slot:  # noqa: PT012 (both are tested)
            await slot.hold(RESERVE)
            raise error
    assert limit.held_bytes == 0


async def test_number_of_uploads_is_limited() -> None:
    limit = limiter(max_uploads=2)
    with limit.admit(), limit.admit(), pytest.raises(Problem) as refused, limit.admit():
        pass
    assert (refused.value.status, refused.value.reason) == (429, "TooManyUploads")
    assert refused.value.headers == {"Retry-After": "5"}
    with limit.admit(), limit.admit():
        pass


async def test_owner_that_waits_for_its_share_hurries_only_its_own_uploads() -> None:
    """Others' uploads may stall as long as there is memory for all of them."""
    limit = limiter()
    with ExitStack() as admitted:
        slots = []
        for owner in ("anna", "anna", "anna", "ben"):
            with acting(owner):
                slots.append(admitted.enter_context(limit.admit()))
        first, second, third, other = slots
        await first.hold(50)
        await second.hold(50)
        waiting = await started(third, 10)
        assert limit.is_short_for("anna")
        assert not limit.is_short_for("ben")
        assert other.try_hold(50), "another owner's upload gets memory at once"

        await first.hold(0)
        await waiting
        assert not limit.is_short_for("anna")

    assert limit.held_bytes == 0
