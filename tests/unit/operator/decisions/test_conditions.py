"""Tests of a Describer's status (conditions, counts, Events) and of jobs that wait for workers."""

from datetime import timedelta
from typing import Any

import pytest
from vision_node_contract.models.describer import READY, DescriberStatus
from vision_node_operator.decisions.actions import UpdateStatus
from world import NOW, World, at


def ready(status: str, reason: str, since: float = 0, message: str = "m") -> Any:
    condition = {"type": READY, "status": status, "reason": reason, "message": message}
    return {"conditions": [{**condition, "lastTransitionTime": at(since)}]}


@pytest.mark.parametrize(
    ("since", "created", "started", "fails"),
    [
        (-3600, -3600, -600, True),
        (-3599, -9999, -9999, False),
        (-9999, -3599, -9999, False),
        (-9999, -9999, -599, False),
    ],
)
def test_queued_job_fails_after_an_hour_without_workers(
    since: float, created: float, started: float, *, fails: bool
) -> None:
    """A job fails if it is an hour old and no worker has served for an hour.

    No job fails during the first ten minutes after the operator starts.
    """
    world = World()
    world.state.since = NOW + timedelta(seconds=started)
    world.job("j", created=created)
    world.describer(status=ready("False", "InsufficientResources", since))
    assert ("fail j NoWorker" in world.decide()) is fails


def test_queued_job_waits_while_workers_serve() -> None:
    world = World()
    world.job("j", created=-99_999)
    world.describer(status=ready("True", "InsufficientResources", -99_999))
    assert "fail j NoWorker" not in world.decide()


def test_job_is_not_assigned_and_failed_in_the_same_round() -> None:
    """The first worker for an hour serves already, but the condition does not say so yet."""
    world = World()
    world.state.since = NOW - timedelta(hours=2)
    for n in range(100):
        world.job(f"j{n:02}", created=-9999)
    world.describer(status=ready("False", "InsufficientResources", -9999))
    assert "fail j00 NoWorker" in world.decide()

    world.worker(0)
    actions = world.decide()
    assert "assign j00 to w0" in actions
    assert not [action for action in actions if action.startswith("fail")]


UNSCHEDULABLE = {
    "conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}]
}
NO_IMAGE = {
    "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "denied"}}}]
}
NO_SECRET = {
    "containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}]
}
STARTS = {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        (None, ("False", "Starting", "No worker is serving yet")),
        (
            {"renewed": None, "pod_status": STARTS},
            ("False", "Starting", "No worker is serving yet"),
        ),
        ({"renewed": -1}, ("True", "Serving", "Workers are serving")),
        (
            {"renewed": None, "pod_status": UNSCHEDULABLE},
            ("False", "InsufficientResources", "0/1 nodes"),
        ),
        (
            {"renewed": None, "pod_status": NO_IMAGE},
            ("False", "ImagePullFailed", "ErrImagePull: denied"),
        ),
        (
            {"renewed": None, "pod_status": NO_SECRET},
            ("False", "LaunchFailed", "CreateContainerConfigError: "),
        ),
        (
            {"renewed": None, "pod": False, "created": -9},
            ("False", "Starting", "No worker is serving yet"),
        ),
    ],
)
def test_readiness_while_jobs_wait(worker: Any, expected: Any) -> None:
    world = World()
    if worker:
        world.worker(0, **worker)

    world.job("j")
    update = world.status_update()
    assert update is not None
    condition = update.status.readiness
    assert condition is not None
    assert (condition.status, condition.reason, condition.message) == expected
    assert update.emit_event is (condition.reason not in {"Starting", "Serving"})


def test_missing_pod_is_reported_as_insufficient_resources() -> None:
    world = World()
    world.worker(0, pod=False, renewed=None, created=-11)
    world.job("j")
    update = world.status_update()
    assert reason(update) == "InsufficientResources"
    assert update is not None
    assert update.status.readiness is not None
    assert "kubectl describe job vn-metadata-0" in update.status.readiness.message


def test_describer_stays_ready_when_no_more_workers_can_be_added() -> None:
    world = World()
    world.worker(0)
    world.worker(1, renewed=None, pod_status=UNSCHEDULABLE)
    for n in range(99):
        world.job(f"j{n}")

    update = world.status_update()
    assert update is not None
    condition = update.status.readiness
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "InsufficientResources")
    assert "0/1 nodes" in condition.message
    assert "assign j0 to w0" in world.decide()


def write_status(world: World, after: float = 0) -> UpdateStatus | None:
    """Apply the decided status update and return it; return None if the status is unchanged."""
    update = world.status_update(after)
    if update:
        world.state.record_status_write("metadata", NOW + timedelta(seconds=after))
        world.describer(status=update.status.to_json())
    return update


def test_status_is_written_only_if_changed_and_at_most_every_five_seconds() -> None:
    world = World()
    first = write_status(world)
    assert first is not None
    assert first.status.readiness is not None
    assert first.status.readiness.reason == "Idle"
    assert write_status(world, 60) is None, "nothing has changed"
    world.job("a")
    assert write_status(world, 60) is not None
    world.job("b")
    assert write_status(world, 64.9) is None
    second = write_status(world, 65)
    assert second is not None
    assert (second.status.queued, second.emit_event) == (2, False)


def test_one_event_is_emitted_when_a_problem_starts_and_one_when_it_ends() -> None:
    world = World()
    world.job("j")
    world.worker(0, renewed=None, pod_status=UNSCHEDULABLE)
    updates = [write_status(world)]
    world.job("k")
    updates.append(write_status(world, 10))
    world.worker(0, renewed=20)
    updates.append(write_status(world, 20))
    assert [update.emit_event for update in updates if update] == [True, False, True]


def test_transition_time_is_kept_when_only_the_reason_changes() -> None:
    world = World()
    world.job("j")
    world.describer(status=ready("False", "Starting", -500))
    world.worker(0, renewed=None, pod_status=NO_IMAGE)
    update = world.status_update()
    assert update is not None
    assert update.status.readiness is not None
    assert update.status.readiness.last_transition_time == NOW - timedelta(seconds=500)


def test_refused_launch_is_reported_for_two_minutes_or_until_a_launch_succeeds() -> None:
    world = World()
    world.job("j")
    refusal = 'jobs.batch "x" is forbidden: exceeded quota: tight'

    for after, expected in (
        (0, "InsufficientResources"),
        (119, "InsufficientResources"),
        (120, "Starting"),
    ):
        world.state.record_refusal("metadata", refusal, NOW)
        assert reason(world.status_update(after)) == expected

    world.state.record_refusal("metadata", refusal, NOW)
    world.worker(0, renewed=None, created=0)
    assert reason(world.status_update()) == "Starting"


def test_exit_code_and_message_of_a_failed_worker_are_reported() -> None:
    world = World()
    world.job("j")
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "no key"}}
    status = {"containerStatuses": [{"state": ended}]}
    for job_status in ({}, {"failed": 1}):  # a pod ends before Kubernetes marks its Job as failed
        world.worker(0, renewed=None, phase="Failed", pod_status=status, job_status=job_status)

    update = world.status_update()
    assert update is not None
    assert update.status.readiness is not None
    assert reason(update) == "LaunchFailed"
    assert update.status.readiness.message == "a worker ended with exit code 1: no key"


def reason(update: UpdateStatus | None) -> str:
    assert update is not None
    assert update.status.readiness is not None
    return update.status.readiness.reason


def test_status_counts_workers_and_jobs() -> None:
    world = World()
    world.worker(0)
    world.worker(1, renewed=None, job_status={"failed": 1}, phase="Failed")
    world.processing("held", "w0")
    world.job("waits", nextAttemptTime=at(50), attempts=1)
    world.job("other", spec={"describer": "other"})
    update = world.status_update()
    assert update is not None
    found = DescriberStatus(provider="metadata", workers=1, ready=1, queued=1, processing=1)
    assert update.status.model_copy(update={"conditions": []}) == found


def test_event_is_emitted_only_for_a_failure_that_was_observed() -> None:
    world = World()
    world.job("old", phase="failed", completionTime=at(0))
    world.job("good", phase="processing", worker="gone")
    world.job("bad", phase="processing", worker="gone")
    world.job("good", phase="done", completionTime=at(0))
    world.job("bad", phase="failed", completionTime=at(0))
    assert list(world.state.job_queue.unannounced) == ["bad"]
    assert "emit event for bad" in world.decide()
