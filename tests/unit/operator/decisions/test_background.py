"""Tests of the writes that are not urgent: their number, their order, and their sources."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from vision_node_operator.decisions.actions import Action, Assign, Fail, Write, target
from vision_node_operator.decisions.background import (
    ATTEMPTS,
    MAX_BACKGROUND,
    RESERVED_FOR_ATTEMPTS,
    source_of,
)
from vision_node_operator.decisions.decide import MAX_EVENTS, decide
from vision_node_operator.decisions.expiry import MAX_EXPIRING
from vision_node_operator.runtime.executor import MAX_WRITES, ActionExecutor
from vision_node_operator.state.object_versions import ObjectKey
from vision_node_operator.state.state import State
from world import NOW, SETTINGS, World, at, to_text

MANY = 20_000

MAX_OTHERS = MAX_BACKGROUND - RESERVED_FOR_ATTEMPTS
"""Maximum number of background writes without those that end attempts."""

MAX_LOOKS = 200
"""Maximum number of ImageJobs that a round may look at, however many must fail."""


def doom(world: World, number: int, describer: str = "deleted", prefix: str = "") -> None:
    """Report old queued ImageJobs of a Describer that does not exist."""
    for n in range(number):
        name = f"{prefix or describer}{n:05}"
        world.job(name, created=-600, spec={"describer": describer, "image": {"key": name}})


def cancel(world: World, number: int) -> None:
    for n in range(number):
        world.job(f"cancelled{n:05}", spec={"cancel": True, "image": {"key": f"c{n}"}})


def lose(world: World, number: int) -> None:
    """Report ImageJobs in processing whose workers no longer exist."""
    for n in range(number):
        world.processing(f"lost{n:05}", f"gone{n % 500}")


def expire(world: World, number: int) -> None:
    for n in range(number):
        spec = {"ttlSecondsAfterFinished": 0, "image": {"key": f"e{n}"}}
        world.job(f"expired{n:05}", spec=spec, phase="done", completionTime=at(-(10**7)))


def fail_without_event(world: World, number: int) -> None:
    """Report ImageJobs that have just failed, so that an Event is to be written for each."""
    for n in range(number):
        world.job(f"failed{n:05}")
        error = {"reason": "X", "message": "", "retryable": False}
        world.job(f"failed{n:05}", phase="failed", error=error)


def serving_world() -> World:
    """Return a cluster in which the Describer `metadata` has a worker and one queued ImageJob."""
    world = World()
    world.worker(0)
    world.job("single")
    return world


def actions_of(world: World, after: float = 0) -> list[Action]:
    now = NOW + timedelta(seconds=after)
    world.state.begin_round(now)
    return decide(world.state, SETTINGS, now)


def background(actions: list[Action]) -> list[Write]:
    """Return the background writes among the actions."""
    return [a for a in actions if not to_text(a).startswith("cordon") and source_of(a)]  # type: ignore[arg-type]


def start(world: World, actions: list[Write]) -> None:
    """Record the start of background writes, as the executor does."""
    for action in actions:
        world.state.begin_write(target(action), source=source_of(action))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how many times decide() asks whether an object may be written."""
    counts: Counter[str] = Counter()
    is_free = State.is_free

    def counted(state: State, key: ObjectKey, now: datetime) -> bool:
        counts["looks"] += 1
        return is_free(state, key, now)

    monkeypatch.setattr(State, "is_free", counted)
    return counts


FLOODS: list[tuple[Callable[[World, int], None], int]] = [
    (doom, MAX_OTHERS),
    (cancel, MAX_OTHERS),
    (lose, MAX_BACKGROUND),
    (expire, MAX_EXPIRING),
    (fail_without_event, MAX_EVENTS),
]


@pytest.mark.parametrize(("flood", "expected"), FLOODS, ids=[f.__name__ for f, _ in FLOODS])
def test_mass_of_writes_is_started_in_portions_behind_the_assignment(
    looks: Counter[str], flood: Callable[[World, int], None], expected: int
) -> None:
    world = serving_world()
    flood(world, 1000)
    looks.clear()
    actions = actions_of(world)
    assert to_text(actions[0]) == "assign single to w0"
    assert len(background(actions)) == expected
    assert actions[-expected:] == background(actions)
    assert looks["looks"] <= MAX_LOOKS


def test_round_looks_at_a_portion_of_20000_doomed_jobs(looks: Counter[str]) -> None:
    world = serving_world()
    doom(world, MANY)
    looks.clear()
    actions = actions_of(world)
    assert [type(action) for action in background(actions)] == [Fail] * MAX_OTHERS
    assert "assign single to w0" in map(to_text, actions)
    assert looks["looks"] <= MAX_LOOKS


def test_round_does_not_look_at_doomed_jobs_whose_failure_was_refused(
    looks: Counter[str],
) -> None:
    """A webhook has refused the failures of all but one of them."""
    world = serving_world()
    doom(world, 5000)
    for n in range(1, 5000):
        world.back_off("imagejobs", f"deleted{n:05}", 20)

    looks.clear()
    assert [to_text(a) for a in background(actions_of(world))] == [
        "fail deleted00000 DescriberNotFound"
    ]
    assert looks["looks"] <= MAX_LOOKS
    assert len(background(actions_of(world, after=21))) == MAX_OTHERS


def test_round_does_not_look_at_young_jobs_of_an_unknown_describer(looks: Counter[str]) -> None:
    world = serving_world()
    for n in range(1000):
        world.job(f"young{n:05}", created=-5, spec={"describer": "poet"})

    looks.clear()
    assert background(actions_of(world)) == []
    assert looks["looks"] <= MAX_LOOKS


@pytest.mark.parametrize("in_flight", [0, 1, MAX_OTHERS - 1, MAX_OTHERS])
def test_background_writes_in_flight_count_toward_the_limit(in_flight: int) -> None:
    world = serving_world()
    doom(world, 100)
    cancel(world, 100)
    expire(world, 100)
    fail_without_event(world, 100)
    start(world, background(actions_of(world))[:in_flight])
    actions = actions_of(world)
    assert len(background(actions)) == MAX_OTHERS - in_flight
    assert "assign single to w0" in map(to_text, actions)


def test_sources_take_turns_even_if_only_one_write_ends_at_a_time() -> None:
    """The failures of all unknown describers are one source, in which describers take turns."""
    world = World()
    doom(world, 1000, "a")
    for n in range(30):
        doom(world, 2, f"small{n:02}")
    expire(world, 1000)

    start(world, background(actions_of(world)))
    done: Counter[str] = Counter()
    for _ in range(200):
        key = next(iter(world.state.background_writes))
        done[world.state.background_writes[key]] += 1
        done["small"] += key.name.startswith("small")
        world.forget("imagejobs", key.name)
        world.state.end_write(key)
        start(world, background(actions_of(world)))

    assert done["small"] == 60
    assert abs(done["unknown"] - done["expiry"]) <= MAX_EXPIRING


def test_deletions_that_hang_leave_room_for_ended_attempts_and_failures() -> None:
    """A webhook on DELETE may hang until the request times out."""
    world = World()
    expire(world, 1000)
    start(world, background(actions_of(world)))
    assert len(world.state.background_writes) == MAX_EXPIRING

    doom(world, 1000)
    start(world, background(actions_of(world)))
    assert len(world.state.background_writes) == MAX_OTHERS

    lose(world, 1000)
    started = background(actions_of(world))
    assert [source_of(action) for action in started] == [ATTEMPTS] * RESERVED_FOR_ATTEMPTS


def test_describer_names_do_not_multiply_sources() -> None:
    """Anyone who may create ImageJobs chooses the names of their describers."""
    world = World()
    for n in range(100):
        doom(world, 1, f"unknown{n:03}")
        world.job(f"c{n}", spec={"cancel": True, "describer": f"u{n}", "image": {"key": f"c{n}"}})
    lose(world, 1000)

    sources = Counter(map(source_of, background(actions_of(world))))
    assert sources.keys() == {ATTEMPTS, "cancelled", "unknown"}
    assert sources[ATTEMPTS] >= MAX_BACKGROUND // 3


def test_cancelled_job_of_one_describer_does_not_wait_for_those_of_another() -> None:
    world = World()
    cancel(world, 1000)
    world.job("mine", spec={"cancel": True, "describer": "other", "image": {"key": "m"}})
    assert "fail mine Cancelled" in map(to_text, actions_of(world))


class BlockingWriter:
    """A writer whose background writes never end."""

    def __init__(self) -> None:
        self.started: list[Write] = []
        self.assigned = asyncio.Event()

    async def perform(self, action: Write, now: datetime) -> Any:
        self.started.append(action)
        if isinstance(action, Assign):
            self.assigned.set()
            return "imagejobs", None
        await asyncio.Event().wait()
        return "imagejobs", None


async def test_assignment_is_started_although_background_writes_use_up_their_limit() -> None:
    """Even if more of them are started than decide() returns, they leave slots free."""
    world = serving_world()
    doom(world, 2 * MAX_WRITES)
    fails = [
        Fail(job, "Cancelled", "")  # type: ignore[arg-type]
        for job in world.state.job_queue.queued("deleted")
    ]
    writer = BlockingWriter()
    fake: Any = writer
    executor = ActionExecutor(world.state, fake, fake, "ns", asyncio.Event())
    for action in fails:
        executor.start(action, NOW)

    (assign,) = (a for a in actions_of(world) if isinstance(a, Assign))
    executor.start(assign, NOW)
    await asyncio.wait_for(writer.assigned.wait(), 30)
    assert sum(isinstance(action, Fail) for action in writer.started) == MAX_BACKGROUND
    for task in executor._writes:
        task.cancel()
