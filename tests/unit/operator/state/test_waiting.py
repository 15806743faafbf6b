"""Tests of the times until which ImageJobs wait."""

from datetime import timedelta

from vision_node_operator.state.waiting import MAX_OUTDATED, Waiting
from world import NOW


def in_seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def test_only_the_latest_time_of_an_imagejob_counts() -> None:
    waiting = Waiting()
    for seconds in (5, 9, 7):
        waiting.add("a", NOW + in_seconds(seconds))
    waiting.add("b", NOW + in_seconds(6))
    waiting.add("forgotten", NOW)
    waiting.discard("forgotten")

    assert [*waiting.release(NOW + in_seconds(8))] == ["b"]
    assert "a" in waiting
    assert [*waiting.release(NOW + in_seconds(9))] == ["a"]
    assert "a" not in waiting


def test_forgotten_imagejobs_take_up_no_memory() -> None:
    waiting = Waiting()
    for n in range(10 * MAX_OUTDATED):
        waiting.add(f"j{n}", NOW)
        waiting.discard(f"j{n}")

    assert len(waiting._heap) <= MAX_OUTDATED + 2
