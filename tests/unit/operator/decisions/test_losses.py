"""Tests of lost attempts, suspects (images that may have crashed a worker), and cordoning."""

from datetime import timedelta
from typing import Any

import pytest
from vision_node_contract.models import transitions
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import STORAGE_REASONS
from vision_node_operator.decisions.actions import Requeue
from vision_node_operator.decisions.decide import decide
from world import NOW, SETTINGS, World, at

OOM = {"reason": "OOMKilled", "exitCode": 137}
CRASH = {"reason": "Error", "exitCode": 139}
KILLED = {"reason": "Error", "exitCode": 137}
ENDED = {"reason": "Completed", "exitCode": 0}
STORAGE = {"reason": "StorageUnavailable", "message": "m", "retryable": True}


def pod_status(termination: Any) -> Any:
    """Return the status of a pod whose container was terminated; empty if `termination` is None."""
    return {"containerStatuses": [{"state": {"terminated": termination}}]} if termination else {}


@pytest.mark.parametrize(
    ("why", "status", "expected"),
    [
        (
            "the first loss is free, and the retry is immediate",
            {"attempts": 1},
            "requeue j WorkerLost +0 free",
        ),
        (
            "the second loss is free, but the retry waits",
            {"attempts": 2, "losses": 1},
            "requeue j WorkerLost +1 free",
        ),
        ("the third loss is free", {"attempts": 5, "losses": 2}, "requeue j WorkerLost +2 free"),
        ("further losses count", {"attempts": 4, "losses": 3}, "requeue j WorkerLost +4"),
        ("all attempts are used up", {"attempts": 6, "losses": 3}, "fail j AttemptsExhausted"),
        (
            "a free loss does not fail a job that has no attempts left",
            {"attempts": 3},
            "requeue j WorkerLost +0 free",
        ),
    ],
)
def test_lost_attempts_are_free_within_a_limit(why: str, status: Any, expected: str) -> None:
    world = World()
    world.worker(0, phase="Failed")
    world.processing("j", "w0", **status)
    assert world.decide()[0] == expected, why


every_storage_reason = pytest.mark.parametrize("reason", sorted(STORAGE_REASONS))


@every_storage_reason
@pytest.mark.parametrize(
    ("why", "status", "expected"),
    [
        ("within the limit", {"attempts": 9, "losses": 7}, "requeue j {} +60 free"),
        ("beyond the limit", {"attempts": 13, "losses": 10}, "fail j AttemptsExhausted"),
    ],
)
def test_storage_errors_are_free_within_a_limit(
    why: str, status: Any, expected: str, reason: str
) -> None:
    world = World()
    world.worker(0)
    world.processing("j", "w0", error={**STORAGE, "reason": reason}, **status)
    assert world.decide()[0] == expected.format(reason), why


THROTTLED = {"reason": "RateLimited", "message": "m", "retryable": True}

CAUSES: dict[str, dict[str, Any]] = {
    "worker": {},
    "storage": {"error": STORAGE},
    "provider": {"error": THROTTLED},
}
"""Status fields of an ImageJob that is about to lose an attempt, by the cause of the loss."""


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize(
    ("why", "before", "free"),
    [
        ("all free attempts are used up", {"worker": 3, "storage": 10, "provider": 20}, ""),
        ("the free attempts for lost workers are used up", {"worker": 3}, "storage provider"),
        ("the free attempts for storage errors are used up", {"storage": 10}, "worker provider"),
        ("the free attempts for provider refusals are used up", {"provider": 20}, "worker storage"),
        (
            "one free attempt is left for each cause",
            {"worker": 2, "storage": 9, "provider": 19},
            "worker storage provider",
        ),
    ],
)
def test_each_cause_has_its_own_free_attempts(
    why: str, before: dict[str, int], free: str, cause: str
) -> None:
    world = World()
    world.worker(0, phase="Failed")
    losses = sum(before.values())
    status = {"attempts": losses + 1, "losses": losses, "lossesByCause": before, **CAUSES[cause]}
    world.processing("j", "w0", **status)
    decision = world.decide()[0]
    assert (decision.startswith("requeue"), "free" in decision) == (True, cause in free), why


def lose(world: World, **cause: Any) -> None:
    """Simulate a lost attempt of the ImageJob `j`, and apply the operator's status update."""
    found = world.state.job_queue.unfinished["j"]
    world.processing("j", "w0", **status_of(found, attempts=found.status.attempts + 1, **cause))
    lost = world.state.job_queue.unfinished["j"]
    (action,) = (
        action for action in decide(world.state, SETTINGS, NOW) if isinstance(action, Requeue)
    )
    patch = transitions.requeue(
        lost,
        reason=action.reason,
        message=action.message,
        next_attempt=action.next_attempt,
        lost=action.lost,
        now=NOW,
    )
    world.job("j", **merged(status_of(lost), patch))


def status_of(job: ImageJob, **more: Any) -> dict[str, Any]:
    kept = ("attempts", "losses", "lossesByCause")
    return {key: value for key, value in job.status.to_json().items() if key in kept} | more


def merged(status: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Return the status after applying the merge patch (RFC 7386)."""
    both = dict(status)
    for key, value in patch.items():
        before = both.get(key)
        both[key] = (
            merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
        )
    return {key: value for key, value in both.items() if value is not None}


def test_provider_refusals_do_not_use_up_the_free_losses_of_workers() -> None:
    world = World()
    world.worker(0, phase="Failed")
    world.job("j")
    for cause in ("provider", "provider", "provider", "worker", "storage", "worker", "worker"):
        lose(world, **CAUSES[cause])

    status = world.state.job_queue.unfinished["j"].status
    assert (status.attempts, status.losses) == (7, 7)
    assert status.to_json()["lossesByCause"] == {"worker": 3, "storage": 1, "provider": 3}
    lose(world)
    assert world.state.job_queue.unfinished["j"].status.losses == 7, (
        "the fourth lost worker uses up an attempt"
    )


def test_first_lost_worker_after_refusals_is_retried_immediately() -> None:
    world = World()
    world.worker(0, phase="Failed")
    world.processing("j", "w0", attempts=4, losses=3, lossesByCause={"provider": 3})
    assert world.decide()[0] == "requeue j WorkerLost +0 free"


@pytest.mark.parametrize(
    ("why", "status", "free"),
    [
        (
            "an older operator recorded no causes",
            {"losses": 3},
            False,
        ),
        (
            "only one loss has a cause",
            {"losses": 3, "lossesByCause": {"worker": 1}},
            False,
        ),
        ("all losses have a cause", {"losses": 3, "lossesByCause": {"provider": 3}}, True),
        ("the counts are inconsistent", {"losses": 1, "lossesByCause": {"provider": 3}}, True),
    ],
)
def test_losses_without_a_cause_count_toward_every_cause(
    why: str, status: dict[str, Any], *, free: bool
) -> None:
    world = World()
    world.worker(0, phase="Failed")
    world.processing("j", "w0", attempts=4, **status)
    assert ("free" in world.decide()[0]) is free, why


@pytest.mark.parametrize(
    ("why", "ending", "message", "suspects"),
    [
        ("images in progress when the worker ran out of memory are suspects", OOM, "a\nb", "ab"),
        ("the image in progress when the worker crashed is a suspect", CRASH, "c", "c"),
        ("all images of a worker without a termination message are suspects", OOM, "", "abc"),
        ("the image in progress when the worker was killed is a suspect", KILLED, "a", "a"),
        ("no image was in progress when the worker was killed", KILLED, "", ""),
        (
            "the termination message contains only images that the worker did not have",
            OOM,
            "x\ny",
            "",
        ),
        ("the worker was retired", ENDED, "a", ""),
    ],
)
def test_images_in_progress_become_suspects_when_their_worker_is_killed(
    why: str, ending: Any, message: str, suspects: str
) -> None:
    world = World()
    world.worker(0, phase="Failed", pod_status=pod_status({**ending, "message": message}))
    for name in "abc":
        world.processing(name, "w0")
    decisions = [decision for decision in world.decide() if decision.startswith("requeue")]
    assert [decision.split()[1] for decision in decisions if "suspect" in decision] == [
        *suspects
    ], why
    assert all("free" in decision for decision in decisions), why


@pytest.mark.parametrize(
    ("why", "ending", "expected"),
    [
        ("the worker ran out of memory", OOM, "fail j OutOfMemory"),
        ("the worker crashed", CRASH, "fail j DescriberFailed"),
        (
            "the worker was killed, perhaps not because of the image",
            KILLED,
            "requeue j WorkerLost +1 free",
        ),
        ("the worker's pod was deleted", None, "requeue j WorkerLost +1 free"),
    ],
)
def test_suspect_fails_if_its_worker_crashes_again(why: str, ending: Any, expected: str) -> None:
    world = World()
    world.worker(0, phase="Failed", pod_status=pod_status(ending))
    world.processing("j", "w0", suspect=True, attempts=2, losses=1)
    assert world.decide()[0] == expected, why


def test_termination_message_of_a_killed_worker_is_not_reported() -> None:
    world = World()
    world.worker(0, phase="Failed", pod_status=pod_status({**CRASH, "message": "some-uid"}))
    pod = world.state.workers.pod("w0")
    assert pod is not None
    assert pod.problem is not None
    assert pod.problem.message == "a worker ended with exit code 139: Error"


def test_suspect_gets_a_worker_to_itself() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("busy", "w0")
    world.job("s", suspect=True)
    for name in "abc":
        world.job(name)

    assert world.decide() == ["assign s to w1", "assign a to w0"]
    world.begin_write("imagejobs", "s", "w1")
    assert world.decide() == ["assign a to w0"]
    world.end_write("imagejobs", "s")
    world.processing("s", "w1", suspect=True)
    assert world.decide() == ["assign a to w0"]
    world.job("s", phase="done", completionTime=at(0), suspect=True)
    assert world.decide()[0] == "assign a to w1"


def test_busy_worker_is_reserved_for_a_suspect() -> None:
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


def test_suspects_are_tried_one_at_a_time_while_others_continue() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.job("s", suspect=True)
    world.job("t", suspect=True)
    world.job("next")
    assert world.decide() == ["assign s to w0", "assign next to w1"]


def test_worker_is_launched_for_a_suspect() -> None:
    world = World()
    world.job("s", suspect=True)
    assert world.decide() == ["launch vn-metadata-0"]


@every_storage_reason
def test_worker_with_storage_errors_is_cordoned_if_another_succeeds(reason: str) -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    for name in "abc":
        world.processing(name, "w0", error={**STORAGE, "reason": reason})

    assert "cordon w0" not in world.decide(), (
        "no other worker succeeds, so storage may be unavailable"
    )
    world.job("d", phase="done", worker="w1", completionTime=at(0), seen=1)
    assert "cordon w0" in world.decide()


def test_success_clears_storage_errors() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    for name in "abc":
        world.processing(name, "w0", error=STORAGE)

    world.job("d", phase="done", worker="w0", completionTime=at(0), seen=1)
    world.job("e", phase="done", worker="w1", completionTime=at(0), seen=2)
    assert not any(decision.startswith("cordon") for decision in world.decide())


def test_deadlines_and_leases_are_not_enforced_in_the_grace_period() -> None:
    world = World()
    world.worker(0, renewed=0)
    world.processing("late", "w0")
    world.worker(1, renewed=0)
    world.state.grace_until = NOW + timedelta(seconds=100)
    assert world.decide(after=99, minWorkers=2) == []
    decided = world.decide(after=100)
    assert (decided[0], decided[-1]) == ("cordon w0", "requeue late WorkerLost +100 free")


@pytest.mark.parametrize(
    ("why", "renewed", "expected"),
    [
        (
            "the worker is responsive, so the image may be the cause",
            41,
            "requeue late AttemptTimedOut +61",
        ),
        (
            "the worker's node is gone, but Kubernetes has not noticed yet",
            40,
            "requeue late WorkerLost +60 free",
        ),
        (
            "the worker has deleted its Lease but does not finish in time",
            None,
            "requeue late AttemptTimedOut +61",
        ),
    ],
)
def test_timeout_is_free_if_the_worker_is_silent(
    why: str, renewed: float | None, expected: str
) -> None:
    world = World()
    world.worker(0, renewed=renewed)
    world.processing("late", "w0", attemptDeadline=at(60))
    assert world.decide(after=60)[1] == expected, why


@pytest.mark.parametrize("ending", [OOM, CRASH, KILLED])
def test_killed_worker_counts_as_a_successful_launch(ending: Any) -> None:
    """A series of images that kill workers must not delay the launches of the whole pool."""
    world = World()
    world.job("j")
    world.worker(0, renewed=-1)
    world.worker(0, phase="Failed", renewed=None, pod_status=pod_status(ending))
    world.worker(
        0, phase="Failed", renewed=None, pod_status=pod_status(ending), job_status={"failed": 1}
    )
    world.forget("jobs", "vn-metadata-0")
    assert world.decide() == ["launch vn-metadata-0"]
