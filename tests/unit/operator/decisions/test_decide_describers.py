"""Tests of Describers: isolation, worker limits, job defaults, changes and deletion."""

from datetime import timedelta

from vision_node_operator.decisions.actions import Assign
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, SPEC, World, at


def test_dedicated_worker_describes_one_image() -> None:
    world = World()
    world.describer(isolation="dedicated", concurrency=4, maxWorkers=3)
    for name in "abcde":
        world.job(name)

    assert world.decide() == [f"launch vn-metadata-{slot}" for slot in range(3)]
    for slot in range(3):
        world.worker(slot)

    assert world.decide() == ["assign a to w0", "assign b to w1", "assign c to w2"]
    world.processing("a", "w0")
    assert not [decision for decision in world.decide() if "w0" in decision], (
        "w0 already has the one image that it may describe"
    )
    world.job("a", phase="done", attempts=1, worker="w0", completionTime=at(0))
    assert [decision for decision in world.decide() if "0" in decision] == [
        "retire vn-metadata-0"
    ], "w0 has described the one image that it may describe"
    world.forget("jobs", "vn-metadata-0")
    world.forget("pods", "w0")
    assert "launch vn-metadata-0" in world.decide()


def test_worker_is_assigned_at_most_max_images_per_worker() -> None:
    world = World()
    world.describer(maxImagesPerWorker=3, concurrency=2, maxWorkers=1)
    world.worker(0)
    for n in range(5):
        world.job(f"j{n}", created=-9 + n)

    assert world.decide() == ["assign j0 to w0", "assign j1 to w0"]
    for name in ("j0", "j1"):
        world.processing(name, "w0")
        world.job(name, phase="done", attempts=1, worker="w0", completionTime=at(0))

    assert world.decide() == ["assign j2 to w0"]
    world.begin_write("imagejobs", "j2", "w0")
    assert world.decide() == [], "the pending assignment counts"
    world.end_write("imagejobs", "j2")
    world.processing("j2", "w0")
    assert world.decide() == [], "the worker finishes its last image"
    world.job("j2", phase="done", attempts=1, worker="w0", completionTime=at(0))
    assert world.decide() == ["retire vn-metadata-0"]


def test_finished_jobs_count_toward_the_workers_maximum_after_a_restart() -> None:
    world = World()
    world.describer(maxImagesPerWorker=1, maxWorkers=1)
    world.worker(0)
    world.job("before", phase="done", attempts=1, worker="w0", completionTime=at(0))
    world.job("next")
    assert world.decide() == ["retire vn-metadata-0"]


def test_worker_that_reached_its_maximum_counts_as_a_successful_launch() -> None:
    world = World()
    world.worker(0, renewed=-1)
    world.forget("leases", "w0")
    world.worker(0, renewed=None, phase="Succeeded", job_status={"succeeded": 1})
    assert world.record.launch_backoff.failures == 0


def test_idle_workers_are_replaced_when_their_describer_changes() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("j", "w1")
    assert world.decide(model="another") == ["retire vn-metadata-0"]
    assert world.decide(minWorkers=0) == [], "the pod template has not changed"


def test_worker_is_launched_immediately_after_a_describer_is_fixed() -> None:
    world = World()
    world.observe("describers", "metadata", spec={**SPEC, "image": "broken"})
    world.record.launch_backoff.until = NOW + timedelta(seconds=60)
    world.job("j")
    world.observe("describers", "metadata", spec={**SPEC, "image": "broken", "maxWorkers": 1})
    assert world.decide() == []
    world.observe("describers", "metadata", spec={**SPEC, "image": "fixed"})
    assert world.decide() == ["launch vn-metadata-0"]


def test_jobs_of_a_deleted_describer_fail_after_a_minute() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("held", "w1", attemptDeadline=at(999))
    world.job("queued", created=-1000)
    world.observe("describers", "metadata", spec=SPEC)
    world.forget("describers", "metadata")
    assert world.decide(after=60) == ["retire vn-metadata-0"], (
        "jobs wait for a minute, because the Describer may be created again"
    )
    assert world.decide(after=61) == ["retire vn-metadata-0", "fail queued DescriberNotFound"]


def test_job_overrides_the_describers_timeout_and_attempts() -> None:
    world = World()
    world.describer(timeoutSeconds=7, maxAttempts=1)
    world.worker(0)
    world.job("a", created=-2)
    world.job("b", created=-1, spec={"timeoutSeconds": 5, "maxAttempts": 2})
    assigned = [
        action for action in decide(world.state, SETTINGS, NOW) if isinstance(action, Assign)
    ]
    assert [action.timeout.total_seconds() for action in assigned] == [7, 5]
    for name, spec in (("a", {}), ("b", {"maxAttempts": 2})):
        world.job(name, spec=spec, phase="processing", attempts=4, losses=3, worker="gone")

    assert {decision for decision in world.decide() if "w0" not in decision} >= {
        "fail a AttemptsExhausted",
        "requeue b WorkerLost +4",
    }
