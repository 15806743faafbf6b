"""Tests of what is counted about ImageJobs: each event once, and with few labels."""

from typing import Any

import pytest
from vision_node_operator.state.statistics.durations import PHASE_SECONDS, Durations
from vision_node_operator.state.statistics.job_statistics import (
    MAX_DESCRIBERS,
    OTHER_DESCRIBER,
    DescriberStatistics,
)
from world import World, at

DONE = {"phase": "done", "attempts": 1, "startTime": at(1), "completionTime": at(3)}


def error(reason: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "message": "m", "retryable": False}}


def count(durations: Durations) -> int:
    return int([*durations.buckets()][-1][1])


def statistics(world: World, describer: str = "metadata") -> DescriberStatistics:
    return world.state.statistics.by_describer.get(describer, DescriberStatistics())


def finished(world: World, describer: str = "metadata") -> dict[tuple[str, str], int]:
    return {k: n for k, n in statistics(world, describer).finished.items() if n}


HISTORIES: dict[str, tuple[list[dict[str, Any]], dict[tuple[str, str], int]]] = {
    "nothing": ([], {}),
    "queued": ([{}], {}),
    "queued and done": ([{}, DONE], {("done", "Described"): 1}),
    "done, and seen again in a list": ([{}, DONE, DONE], {("done", "Described"): 1}),
    "already done in the first list": ([DONE], {}),
    "already done, and seen again": ([DONE, DONE], {}),
    "failed": (
        [{}, {"phase": "failed", **error("ImageUnreadable")}],
        {("failed", "ImageUnreadable"): 1},
    ),
    "failed without an error": ([{}, {"phase": "failed"}], {("failed", "other"): 1}),
    "failed for a reason that somebody made up": (
        [{}, {"phase": "failed", **error("x" * 60)}],
        {("failed", "other"): 1},
    ),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_each_end_is_counted_once(case: str) -> None:
    history, expected = HISTORIES[case]
    world = World()
    for status in history:
        world.job("a", **status)
    assert finished(world) == expected


DURATIONS: dict[str, tuple[float, float, dict[str, Any], float, float]] = {
    # case: created, first seen, status, seconds in the queue, seconds in processing
    "seen within the second of its creation": (0, 0.2, DONE, 0.8, 2),
    "seen before its creation, by a clock that is behind": (0, -5, DONE, 1, 2),
    "seen late, because the operator was down": (-60, 0, DONE, 60, 2),
    "completed in the future": (0, 0.2, {**DONE, "completionTime": at(900)}, 0.8, 9),
    "completed before it was started": (0, 0.2, {**DONE, "completionTime": at(-9)}, 0.8, 0),
}


@pytest.mark.parametrize("case", DURATIONS)
def test_phases_are_measured(case: str) -> None:
    created, seen, status, queued, processing = DURATIONS[case]
    world = World()
    world.job("a", created=created, seen=seen)
    world.job("a", created=created, seen=10, **status)

    found = statistics(world)
    assert (count(found.queued), count(found.processing)) == (1, 1)
    assert found.queued.total_seconds == pytest.approx(queued)
    assert found.processing.total_seconds == pytest.approx(processing)


def test_queue_is_measured_at_the_first_assignment_only() -> None:
    world = World()
    world.job("a", created=0, seen=0)
    world.processing("a", "w0", startTime=at(2))
    assert count(statistics(world).queued) == 1

    world.job("a", attempts=1, startTime=at(2), **error("WorkerLost"))
    world.processing("a", "w0", startTime=at(2), attempts=2)
    world.job("a", **DONE)
    assert count(statistics(world).queued) == 1
    assert count(statistics(world).processing) == 1


def test_job_that_fails_in_the_queue_has_no_durations() -> None:
    world = World()
    world.job("a")
    world.job("a", phase="failed", **error("NoWorker"), completionTime=at(0))
    found = statistics(world)
    assert (count(found.queued), count(found.processing)) == (0, 0)


REQUEUES: dict[str, tuple[str, int, dict[str, int], dict[str, int]]] = {
    # case: reason, losses, requeued by reason, lost by cause
    "a retry": ("DescriberFailed", 0, {"DescriberFailed": 1}, {}),
    "a lost worker": ("WorkerLost", 1, {"WorkerLost": 1}, {"worker": 1}),
    "full storage": ("StorageFull", 1, {"StorageFull": 1}, {"storage": 1}),
    "a rate limit": ("RateLimited", 1, {"RateLimited": 1}, {"provider": 1}),
    "an unknown reason": ("Strange", 1, {"other": 1}, {"other": 1}),
}


@pytest.mark.parametrize("case", REQUEUES)
def test_requeues_and_losses_are_counted(case: str) -> None:
    reason, losses, requeued, lost = REQUEUES[case]
    world = World()
    world.processing("a", "w0", startTime=at(0))
    for _ in range(2):
        world.job("a", attempts=1, startTime=at(0), losses=losses, **error(reason))
    assert (statistics(world).requeued, statistics(world).lost) == (requeued, lost)


def test_unknown_describers_share_their_series() -> None:
    world = World()
    for number in range(1000):
        world.job(f"j{number}", spec={"describer": f"d{number}"})
        failed = {"phase": "failed", **error("DescriberNotFound")}
        world.job(f"j{number}", spec={"describer": f"d{number}"}, **failed)

    assert world.state.statistics.by_describer.keys() == {OTHER_DESCRIBER}
    assert finished(world, OTHER_DESCRIBER) == {("failed", "DescriberNotFound"): 1000}


def test_number_of_describers_with_their_own_series_is_limited() -> None:
    world = World()
    for number in range(MAX_DESCRIBERS + 5):
        world.observe("describers", f"d{number}", spec={})
        world.job(f"j{number}", spec={"describer": f"d{number}"})
        world.job(f"j{number}", spec={"describer": f"d{number}"}, **DONE)

    assert len(world.state.statistics.by_describer) == MAX_DESCRIBERS + 1
    assert finished(world, OTHER_DESCRIBER) == {("done", "Described"): 5}


def test_deleted_describer_loses_its_series() -> None:
    world = World()
    world.observe("describers", "gone", spec={})
    world.job("a", spec={"describer": "gone"})
    assert "gone" in world.state.statistics.by_describer

    world.forget("describers", "gone")
    world.job("a", spec={"describer": "gone"}, phase="failed", **error("DescriberNotFound"))
    assert world.state.statistics.by_describer.keys() == {OTHER_DESCRIBER}


def test_nothing_is_kept_about_jobs_that_started_or_were_deleted() -> None:
    world = World()
    for name in ("started", "deleted", "failed"):
        world.job(name)
    world.processing("started", "w0", startTime=at(0))
    world.forget("imagejobs", "deleted")
    world.job("failed", phase="failed")
    assert world.state.statistics._first_seen == {}


@pytest.mark.parametrize(
    ("seconds", "bound"), [(-1, "0.01"), (0.01, "0.01"), (0.011, "0.025"), (4000, "+Inf")]
)
def test_durations_are_counted_up_to_their_bound(seconds: float, bound: str) -> None:
    durations = Durations(PHASE_SECONDS)
    durations.add(seconds)
    buckets = dict(durations.buckets())
    assert next(le for le, within in buckets.items() if within) == bound
    assert buckets["+Inf"] == 1
    assert durations.total_seconds == max(0, seconds)
