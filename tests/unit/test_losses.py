"""Losses are free within a bound, suspects are tried alone, and broken workers get no more."""

from datetime import timedelta
from typing import Any

import pytest
from vision_node_contract.reasons import STORAGE_REASONS
from world import NOW, World, at

OOM = {"reason": "OOMKilled", "exitCode": 137}
CRASH = {"reason": "Error", "exitCode": 139}
KILLED = {"reason": "Error", "exitCode": 137}
ENDED = {"reason": "Completed", "exitCode": 0}
STORAGE = {"reason": "StorageUnavailable", "message": "m", "retryable": True}


def ended(how: Any) -> Any:
    """Return the status of a pod whose container has ended so; None: nobody told how."""
    return {"containerStatuses": [{"state": {"terminated": how}}]} if how else {}


@pytest.mark.parametrize(
    ("why", "status", "expected"),
    [
        ("the first loss costs nothing, and no time", {"attempts": 1}, "requeue j WorkerLost +0 free"),
        ("the next waits", {"attempts": 2, "losses": 1}, "requeue j WorkerLost +1 free"),
        ("the last free one", {"attempts": 5, "losses": 2}, "requeue j WorkerLost +2 free"),
        ("from now on it pays", {"attempts": 4, "losses": 3}, "requeue j WorkerLost +4"),
        ("and ends", {"attempts": 6, "losses": 3}, "fail j AttemptsExhausted"),
        ("paid attempts don't end a job that is lost", {"attempts": 3}, "requeue j WorkerLost +0 free"),
    ],
)
def test_losses_are_free_within_a_bound(why: str, status: Any, expected: str) -> None:
    world = World()
    world.worker(0, phase="Failed")
    world.processing("j", "w0", **status)
    assert world.decide()[0] == expected, why


every_failure_of_storage = pytest.mark.parametrize("reason", sorted(STORAGE_REASONS))


@every_failure_of_storage
@pytest.mark.parametrize(
    ("why", "status", "expected"),
    [
        ("storage is not the image's fault", {"attempts": 9, "losses": 7}, "requeue j {} +60 free"),
        ("but for ever is too long", {"attempts": 13, "losses": 10}, "fail j AttemptsExhausted"),
    ],
)
def test_an_outage_of_storage_costs_nothing_within_a_bound(
    why: str, status: Any, expected: str, reason: str
) -> None:
    world = World()
    world.worker(0)
    world.processing("j", "w0", error={**STORAGE, "reason": reason}, **status)
    assert world.decide()[0] == expected.format(reason), why


@pytest.mark.parametrize(
    ("why", "ending", "message", "suspects"),
    [
        ("out of memory: what it was describing", OOM, "a\nb", "ab"),
        ("crashed: what it was describing", CRASH, "c", "c"),
        ("without a word: all that it held", OOM, "", "abc"),
        ("killed by whom? only what it was describing", KILLED, "a", "a"),
        ("killed from outside, between two images", KILLED, "", ""),
        ("what it names but never held is nobody's fault", OOM, "x\ny", ""),
        ("retired", ENDED, "a", ""),
    ],
)
def test_only_what_was_being_described_is_suspected(
    why: str, ending: Any, message: str, suspects: str
) -> None:
    world = World()
    world.worker(0, phase="Failed", pod_status=ended({**ending, "message": message}))
    for name in "abc":
        world.processing(name, "w0")
    said = [word for word in world.decide() if word.startswith("requeue")]
    assert [word.split()[1] for word in said if "suspect" in word] == [*suspects], why
    assert all("free" in word for word in said), why


@pytest.mark.parametrize(
    ("why", "ending", "expected"),
    [
        ("out of memory", OOM, "fail j OutOfMemory"),
        ("crashed", CRASH, "fail j DescriberFailed"),
        ("killed from outside: not its fault", KILLED, "requeue j WorkerLost +1 free"),
        ("its pod is deleted", None, "requeue j WorkerLost +1 free"),
    ],
)
def test_a_suspect_that_kills_alone_is_the_culprit(why: str, ending: Any, expected: str) -> None:
    world = World()
    world.worker(0, phase="Failed", pod_status=ended(ending))
    world.processing("j", "w0", suspect=True, attempts=2, losses=1)
    assert world.decide()[0] == expected, why


def test_what_a_killed_worker_was_describing_is_no_explanation() -> None:
    world = World()
    world.worker(0, phase="Failed", pod_status=ended({**CRASH, "message": "some-uid"}))
    trouble = world.state.fleet.pods["w0"].trouble
    assert trouble is not None
    assert trouble.message == "a worker ended with exit code 139: Error"


def test_a_suspect_gets_an_empty_worker_to_itself() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("busy", "w0")
    world.job("s", suspect=True)
    for name in "abc":
        world.job(name)
    assert world.decide() == ["assign s to w1", "assign a to w0"]
    world.state.busy = {"imagejobs/s": "w1"}
    assert world.decide() == ["assign a to w0"]
    world.state.busy = {}
    world.processing("s", "w1", suspect=True)
    assert world.decide() == ["assign a to w0"]
    world.job("s", phase="done", completionTime=at(0), suspect=True)
    assert world.decide()[0] == "assign a to w1"


def test_where_none_is_empty_one_is_kept_free_for_it() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    for name, worker in (("a", "w0"), ("b", "w0"), ("c", "w1")):
        world.processing(name, worker)
    world.job("s", suspect=True)
    world.job("next")
    assert world.decide() == []
    world.job("c", phase="done", completionTime=at(0))
    assert world.decide() == ["assign s to w1"]


def test_suspects_are_tried_one_at_a_time_and_others_go_on() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.job("s", suspect=True)
    world.job("t", suspect=True)
    world.job("next")
    assert world.decide() == ["assign s to w0", "assign next to w1"]


def test_suspects_are_a_backlog_too() -> None:
    world = World()
    world.job("s", suspect=True)
    assert world.decide() == ["launch vn-metadata-0"]


@every_failure_of_storage
def test_a_worker_that_storage_fails_while_it_serves_another_is_cordoned(reason: str) -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    for name in "abc":
        world.processing(name, "w0", error={**STORAGE, "reason": reason})
    assert "cordon w0" not in world.decide(), "nobody else has had success: storage may be away"
    world.job("d", phase="done", worker="w1", completionTime=at(0), seen=1)
    assert "cordon w0" in world.decide()


def test_one_success_clears_its_name() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    for name in "abc":
        world.processing(name, "w0", error=STORAGE)
    world.job("d", phase="done", worker="w0", completionTime=at(0), seen=1)
    world.job("e", phase="done", worker="w1", completionTime=at(0), seen=2)
    assert not any(word.startswith("cordon") for word in world.decide())


def test_after_a_sleep_nobody_is_late_or_silent_until_there_was_time_to_show_it() -> None:
    world = World()
    world.worker(0, heard=0)
    world.processing("late", "w0")
    world.worker(1, heard=0)
    world.state.dazed_until = NOW + timedelta(seconds=100)
    assert world.decide(after=99, minWorkers=2) == []
    assert world.decide(after=100)[:2] == ["cordon w0", "requeue late WorkerLost +100 free"]


@pytest.mark.parametrize(
    ("why", "heard", "expected"),
    [
        ("it is heard of: the image may be at fault", 41, "requeue late AttemptTimedOut +61"),
        ("its node is away, which Kubernetes has yet to notice", 40, "requeue late WorkerLost +60 free"),
        ("it ends, and has said so: it does not finish in time", None, "requeue late AttemptTimedOut +61"),
    ],
)
def test_a_late_image_pays_only_where_its_worker_is_heard_of(
    why: str, heard: float | None, expected: str
) -> None:
    world = World()
    world.worker(0, heard=heard)
    world.processing("late", "w0", attemptDeadline=at(60))
    assert world.decide(after=60)[1] == expected, why


@pytest.mark.parametrize("ending", [OOM, CRASH, KILLED])
def test_a_worker_that_was_killed_was_launched_well(ending: Any) -> None:
    """Else one poison image after the other would have the whole pool wait ever longer."""
    world = World()
    world.job("j")
    world.worker(0, heard=-1)
    world.worker(0, phase="Failed", heard=None, pod_status=ended(ending))
    world.worker(0, phase="Failed", heard=None, pod_status=ended(ending), job_status={"failed": 1})
    world.forget("jobs", "vn-metadata-0")
    assert world.decide() == ["launch vn-metadata-0"]
