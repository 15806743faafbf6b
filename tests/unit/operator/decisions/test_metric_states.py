"""Tests of the states of workers and queues that the metrics show."""

from collections.abc import Callable
from typing import Any

import pytest
from vision_node_operator.decisions.queue_states import QueueState, queue_states
from vision_node_operator.decisions.worker_states import count_workers
from vision_node_operator.state.statistics.job_statistics import OTHER_DESCRIBER
from world import NOW, World


def cordoned(world: World) -> None:
    world.worker(0)
    world.state.cordon("w0")


def busy(world: World) -> None:
    world.worker(0)
    world.processing("a", "w0")


def being_assigned(world: World) -> None:
    world.worker(0)
    world.job("a")
    world.begin_write("imagejobs", "a", "w0")


def being_retired(world: World) -> None:
    world.worker(0)
    world.begin_write("jobs", "vn-metadata-0")


def silent_and_cordoned(world: World) -> None:
    world.worker(0, renewed=-100)
    world.state.cordon("w0")


WORKERS: dict[str, tuple[Callable[[World], None], str]] = {
    "no pod yet": (lambda w: w.worker(0, pod=False, renewed=None), "starting"),
    "no Lease yet": (lambda w: w.worker(0, renewed=None), "starting"),
    "no image": (lambda w: w.worker(0), "idle"),
    "an image": (busy, "busy"),
    "an image is being assigned": (being_assigned, "busy"),
    "cordoned": (cordoned, "cordoned"),
    "an old Lease": (lambda w: w.worker(0, renewed=-100), "silent"),
    "an old Lease, and cordoned": (silent_and_cordoned, "cordoned"),
    "its Job has ended": (lambda w: w.worker(0, job_status={"failed": 1}), "ending"),
    "its pod is being deleted": (lambda w: w.worker(0, deleting=True), "ending"),
    "its pod has ended": (lambda w: w.worker(0, phase="Failed"), "ending"),
    "the operator is deleting its Job": (being_retired, "ending"),
}


@pytest.mark.parametrize("case", WORKERS)
def test_worker_has_exactly_one_state(case: str) -> None:
    prepare, expected = WORKERS[case]
    world = World()
    prepare(world)
    assert dict(count_workers(world.state, NOW)) == {("metadata", expected): 1}


def test_workers_of_deleted_describers_share_their_series() -> None:
    world = World()
    for number in range(3):
        world.worker(number, describer=f"gone{number}")
    assert dict(count_workers(world.state, NOW)) == {(OTHER_DESCRIBER, "idle"): 3}


QUEUES: dict[str, tuple[list[dict[str, Any]], dict[str, QueueState]]] = {
    "nothing": ([], {}),
    "one": ([{"created": -7}], {"metadata": QueueState(1, 7)}),
    "one in processing": ([{"phase": "processing", "worker": "w0"}], {}),
    "an older one of another priority": (
        [{"created": -7}, {"created": -9, "spec": {"priority": 5}}],
        {"metadata": QueueState(2, 9)},
    ),
    "an older one of another owner": (
        [{"created": -7, "owner": "x"}, {"created": -9, "owner": "y"}],
        {"metadata": QueueState(2, 9)},
    ),
    "one that was cancelled": ([{"spec": {"cancel": True}}], {"metadata": QueueState(1, 10)}),
    "two describers that do not exist": (
        [
            {"created": -7, "spec": {"describer": "x"}},
            {"created": -9, "spec": {"describer": "y"}},
        ],
        {OTHER_DESCRIBER: QueueState(2, 9)},
    ),
}


@pytest.mark.parametrize("case", QUEUES)
def test_queue_has_a_depth_and_an_oldest_age(case: str) -> None:
    jobs, expected = QUEUES[case]
    world = World()
    for number, job in enumerate(jobs):
        world.job(f"j{number}", **job)
    assert queue_states(world.state, NOW) == expected


def test_empty_queue_of_a_describer_is_shown() -> None:
    world = World()
    world.observe("describers", "metadata", spec={})
    assert queue_states(world.state, NOW) == {"metadata": QueueState(0, 0)}


def test_jobs_are_counted_by_phase() -> None:
    world = World()
    world.job("a")
    world.processing("b", "w0")
    for name in ("c", "d"):
        world.job(name, phase="done")
    world.job("e", phase="failed")
    expected = {"queued": 1, "processing": 1, "done": 2, "failed": 1}
    assert world.state.job_queue.by_phase() == expected

    world.forget("imagejobs", "c")
    world.job("d", phase="done")
    world.forget("imagejobs", "e")
    assert world.state.job_queue.by_phase() == {**expected, "done": 1, "failed": 0}
