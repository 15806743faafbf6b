"""Tests of the actions that decide() returns."""

from datetime import timedelta
from typing import Any

import pytest
from vision_node_operator.state.object_versions import Kind
from world import NOW, World, at

DONE = {"phase": "done"}
KEPT = {"ttlSecondsAfterFinished": 10}


def test_no_actions_are_decided_without_jobs() -> None:
    assert World().decide() == []


def test_first_job_launches_a_worker() -> None:
    world = World()
    world.job("a")
    assert world.decide() == ["launch vn-metadata-0"]


def test_many_jobs_launch_workers_up_to_the_maximum() -> None:
    world = World()
    for n in range(50):
        world.job(f"j{n}")
    assert world.decide() == ["launch vn-metadata-0", "launch vn-metadata-1"]


def test_taken_job_names_are_skipped() -> None:
    world = World()
    world.state.workers.taken_names |= {"vn-metadata-0", "vn-metadata-2"}
    for n in range(50):
        world.job(f"j{n}")
    assert world.decide() == ["launch vn-metadata-1", "launch vn-metadata-3"]


def test_min_workers_are_launched_without_jobs() -> None:
    assert World().decide(minWorkers=1) == ["launch vn-metadata-0"]


@pytest.mark.parametrize(
    ("why", "worker"),
    [
        ("it has no pod yet", {"pod": False, "renewed": None}),
        ("it does not serve yet", {"renewed": None}),
    ],
)
def test_no_worker_is_launched_while_another_one_starts(why: str, worker: Any) -> None:
    world = World()
    world.worker(0, **worker)
    world.job("a")
    assert world.decide() == [], why


@pytest.mark.parametrize(
    ("why", "worker"),
    [
        ("it has not renewed its Lease for 21 s", {"renewed": -21}),
        ("its pod is being deleted", {"deleting": True}),
    ],
)
def test_silent_or_terminating_worker_is_assigned_nothing(why: str, worker: Any) -> None:
    world = World()
    world.worker(0, **worker)
    world.job("a")
    assert not any(d.startswith("assign") for d in world.decide()), why


def test_jobs_are_assigned_by_priority_then_age_to_the_least_busy_worker() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    world.processing("busy", "w0")
    world.job("old", created=-30)
    world.job("older", created=-40)
    world.job("urgent", created=-1, spec={"priority": 5})
    world.job("new", created=-2)
    assert world.decide() == ["assign urgent to w1", "assign older to w0", "assign old to w1"]


def test_owners_take_turns() -> None:
    world = World()
    world.worker(0)
    world.worker(1)
    for n in range(20):
        world.job(f"many{n:02}", created=-100 + n, owner="bulk")

    world.job("single", created=-1, owner="alice")
    world.job("other", created=-2, owner="bob")
    assert [decision.split()[1] for decision in world.decide()] == [
        "many00",
        "other",
        "single",
        "many01",
    ]


def test_jobs_being_processed_count_toward_their_owners_share() -> None:
    world = World()
    world.worker(0)
    world.processing("first", "w0", owner="bulk")
    world.job("second", created=-100, owner="bulk")
    world.job("single", created=-1, owner="alice")
    assert world.decide()[0] == "assign single to w0"


def test_priority_takes_precedence_over_fairness() -> None:
    world = World()
    world.worker(0)
    world.processing("first", "w0", owner="bulk")
    world.job("urgent", owner="bulk", spec={"priority": 1})
    world.job("single", created=-100, owner="alice")
    assert world.decide()[0] == "assign urgent to w0"


def test_job_is_not_assigned_before_its_next_attempt() -> None:
    world = World()
    world.worker(0)
    world.job("a", nextAttemptTime=at(5), attempts=1)
    assert world.decide() == []
    assert world.decide(after=5) == ["assign a to w0"]


def test_pending_assignment_is_not_repeated_and_counts_toward_its_workers_load() -> None:
    world = World()
    world.worker(0)
    for name in "abc":
        world.job(name)
    world.begin_write("imagejobs", "a", "w0")
    world.record.load.measure(10)
    assert world.decide() == ["assign b to w0", "launch vn-metadata-1"]


def test_pending_launch_is_not_repeated() -> None:
    world = World()
    world.job("a")
    world.begin_write("jobs", "vn-metadata-0")
    assert world.decide() == []


@pytest.mark.parametrize(
    ("why", "status", "after", "expected"),
    [
        ("the deadline has not passed", {}, 0, []),
        ("the deadline has passed", {}, 30, ["cordon w0", "requeue j AttemptTimedOut +31"]),
        (
            "the deadline of the last attempt has passed",
            {"attempts": 3},
            30,
            ["cordon w0", "fail j AttemptsExhausted"],
        ),
        (
            "the worker reported a temporary error",
            {
                "attempts": 2,
                "error": {"reason": "StorageUnavailable", "message": "m", "retryable": True},
            },
            0,
            ["requeue j StorageUnavailable +2 free"],
        ),
        (
            "the provider requested a longer wait",
            {
                "error": {
                    "reason": "RateLimited",
                    "message": "",
                    "retryable": True,
                    "retryAfterSeconds": 40.5,
                }
            },
            0,
            ["requeue j RateLimited +40.5 free"],
        ),
        (
            "the worker reported a reason that only newer versions know",
            {"error": {"reason": "SunSpots", "message": "m", "retryable": True}},
            0,
            ["requeue j DescriberFailed +1"],
        ),
    ],
)
def test_failed_attempt_is_retried_unless_it_was_the_last(
    why: str, status: Any, after: float, expected: list[str]
) -> None:
    world = World()
    world.worker(0, renewed=after)
    world.processing("j", "w0", **status)
    assert world.decide(after=after) == expected, why


@pytest.mark.parametrize("loss", ["deleted", "Failed", "Succeeded"])
def test_jobs_of_a_lost_worker_are_requeued(loss: str) -> None:
    world = World()
    world.worker(0)
    world.processing("j", "w0")

    if loss == "deleted":
        world.forget("pods", "w0")
    else:
        world.worker(0, phase=loss)

    assert "requeue j WorkerLost +0 free" in world.decide()


def test_terminating_worker_may_finish_its_jobs() -> None:
    world = World()
    world.worker(0, deleting=True)
    world.processing("j", "w0")
    assert world.decide() == []


@pytest.mark.parametrize("phase", ["queued", "processing"])
def test_cancelled_job_fails(phase: str) -> None:
    world = World()
    world.worker(0)
    world.job("j", spec={"cancel": True}, phase=phase, worker="w0", attemptDeadline=at(9))
    assert world.decide() == ["fail j Cancelled"]


def test_job_of_an_unknown_describer_fails_after_a_minute() -> None:
    world = World()
    world.job("j", created=0, spec={"describer": "poet"})
    assert world.decide(after=59) == []
    assert world.decide(after=61) == ["fail j DescriberNotFound"]


def test_idle_workers_are_retired_down_to_min_workers() -> None:
    world = World()
    world.worker(0, renewed=0)
    world.worker(1, renewed=0)
    world.lease(0, 50)
    world.lease(1, 50)
    assert world.decide(after=59) == []
    assert world.decide(after=60) == ["retire vn-metadata-0", "retire vn-metadata-1"]
    assert world.decide(after=60, minWorkers=1) == ["retire vn-metadata-0"]


def test_idle_time_starts_when_the_last_job_ends() -> None:
    world = World()
    world.worker(0, renewed=-100)
    world.processing("j", "w0")
    world.job("j", phase="done", completionTime=at(0))
    world.lease(0, 50)
    assert world.decide(after=59) == []
    assert world.decide(after=60) == ["retire vn-metadata-0"]


def test_worker_with_a_pending_assignment_is_not_retired() -> None:
    world = World()
    world.worker(0, renewed=-100)
    world.worker(0, renewed=-1)
    world.job("j")
    assert world.decide() == ["assign j to w0"]
    world.begin_write("imagejobs", "j", "w0")
    assert world.decide() == []


def test_outdated_workers_are_replaced_when_they_have_no_jobs() -> None:
    world = World()
    world.worker(0, template="old")
    world.worker(1, template="old")
    world.processing("j", "w1")
    world.job("k")
    # No name is free for a new worker until the Job of the retired worker is deleted.
    assert world.decide() == ["retire vn-metadata-0"]
    world.forget("jobs", "vn-metadata-0")
    assert world.decide() == ["launch vn-metadata-0"]


def test_ended_worker_is_retired() -> None:
    world = World()
    world.worker(0, phase="Failed", job_status={"failed": 1})
    assert world.decide() == ["retire vn-metadata-0"]


@pytest.mark.parametrize("renewed", [None, -29])
def test_failed_launches_are_retried_with_backoff(renewed: float | None) -> None:
    world = World()
    world.job("j")
    for failures in (1, 2, 3):
        uid = f"uid-{failures}"
        world.worker(0, renewed=renewed, uid=uid)
        world.worker(0, phase="Failed", renewed=None, job_status={"failed": 1}, uid=uid)
        world.forget("jobs", "vn-metadata-0")
        world.forget("leases", "w0")
        world.forget("pods", "w0")
        assert world.decide(after=2**failures - 0.1) == []
        assert world.decide(after=2**failures) == ["launch vn-metadata-0"]

    world.worker(0, renewed=-30, uid="good")
    world.worker(0, phase="Failed", renewed=None, job_status={"failed": 1}, uid="good")
    assert world.record.launch_backoff.failures == 0


def test_retired_worker_counts_as_a_successful_launch() -> None:
    world = World()
    world.record.launch_backoff.failures = 3
    world.worker(0, renewed=-5)
    world.forget("jobs", "vn-metadata-0")
    assert world.record.launch_backoff.failures == 0


@pytest.mark.parametrize(
    ("why", "worker", "kept"),
    [
        ("it stopped renewing its Lease", {"renewed": 0}, 60),
        ("it never served", {"renewed": None, "created": 0}, 300),
    ],
)
def test_unresponsive_worker_is_replaced(why: str, worker: Any, kept: float) -> None:
    world = World()
    world.worker(0, **worker)
    world.job("j", created=kept)
    assert world.decide(after=kept) == [], why
    decisions = world.decide(after=kept + 1)
    assert decisions == ["retire vn-metadata-0", "launch vn-metadata-1"], why


@pytest.mark.parametrize(
    ("why", "timeout", "after", "cordons"),
    [
        ("only the job's shorter timeout has passed", 1, 1, False),
        ("the job's shorter timeout and the describer's timeout have passed", 1, 30, True),
        ("the timeouts are equal and have passed", 30, 30, True),
        ("the job's longer timeout has not passed", 90, 30, False),
        ("the job's longer timeout has passed", 90, 90, True),
    ],
)
def test_worker_is_cordoned_after_the_longer_of_the_jobs_and_the_describers_timeout(
    why: str, timeout: int, after: float, *, cordons: bool
) -> None:
    world = World()
    world.describer(timeoutSeconds=30)
    world.worker(0, renewed=after)
    world.processing("j", "w0", spec={"timeoutSeconds": timeout}, attemptDeadline=at(timeout))
    decisions = world.decide(after=after)
    assert ("cordon w0" in decisions) == cordons, why
    assert decisions[-1:] == (
        ["requeue j AttemptTimedOut " + f"+{after + 1}"] if after >= timeout else []
    ), why


def test_cordoned_worker_is_replaced_and_retired_when_idle() -> None:
    world = World()
    world.worker(0)
    world.processing("late", "w0")
    world.job("next")
    assert world.decide()[0] == "assign next to w0"
    world.state.cordon("w0")
    assert world.decide() == ["launch vn-metadata-1"]
    world.job("late", phase="failed", completionTime=at(0))
    assert "retire vn-metadata-0" in world.decide()


def test_worker_being_retired_is_assigned_nothing() -> None:
    world = World()
    world.worker(0)
    world.job("j")
    world.begin_write("jobs", "vn-metadata-0")
    assert world.decide() == []
    world.end_write("jobs", "vn-metadata-0")
    world.back_off("jobs", "vn-metadata-0", 30)
    assert world.decide() == []


def test_new_worker_does_not_inherit_the_pod_of_an_earlier_job_with_the_same_name() -> None:
    world = World()
    world.worker(0)
    world.forget("jobs", "vn-metadata-0")
    world.worker(0, pod=False, renewed=None, uid="new")
    world.job("j")
    assert world.decide() == []


def test_refused_launch_is_retried_after_its_backoff() -> None:
    world = World()
    world.job("j")
    world.back_off("jobs", "vn-metadata-0", 5)
    assert world.decide() == []
    assert world.decide(after=5) == ["launch vn-metadata-0"]


def test_orphaned_workers_are_retired_when_they_have_no_jobs() -> None:
    world = World()
    world.worker(0, describer="gone")
    world.worker(1, describer="gone")
    world.processing("j", "w1")
    assert world.decide() == ["retire vn-gone-0"]


@pytest.mark.parametrize("how", ["pending", "just failed"])
def test_no_other_worker_is_retired_if_a_retirement_is_pending_or_has_just_failed(
    how: str,
) -> None:
    world = World()
    for slot in range(2):
        world.worker(slot, renewed=-100)
        world.lease(slot, -1)

    assert world.decide(minWorkers=1) == ["retire vn-metadata-0"]
    if how == "pending":
        world.begin_write("jobs", "vn-metadata-0")
    else:
        world.back_off("jobs", "vn-metadata-0", 1)

    assert world.decide() == []


def test_number_of_concurrent_deletions_is_limited() -> None:
    world = World()
    for n in range(100):
        world.job(f"j{n}", phase="done", completionTime=at(0), spec={"ttlSecondsAfterFinished": 0})
    assert len(world.decide()) == 8


def test_finished_job_is_deleted_after_its_time_to_live() -> None:
    world = World()
    world.job("j", phase="done", completionTime=at(0), spec=KEPT)
    assert world.decide(after=9) == []
    assert world.decide(after=10) == ["expire j"]


def test_completion_time_in_the_future_does_not_postpone_expiry() -> None:
    world = World()
    world.processing("j", "w0", startTime=at(-3))
    end = "9999-12-31T23:59:59Z"
    world.job("j", phase="done", attempts=1, startTime=at(-3), completionTime=end, spec=KEPT)
    assert world.decide(after=10) == ["expire j"]
    assert world.record.load.seconds_per_image == 3


def test_older_version_of_an_object_is_ignored() -> None:
    world = World()
    world.processing("j", "w0")
    body = {"name": "j", "resourceVersion": "1"}
    world.state.observe(
        "imagejobs",
        {"metadata": body, "spec": {"image": {"key": "inbox/x"}, "describer": "metadata"}},
        NOW,
    )
    assert world.state.job_queue.unfinished["j"].status.phase == "processing"


def test_objects_missing_from_a_list_are_forgotten_unless_newer_than_the_list() -> None:
    world = World()
    world.job("gone")
    listed_at = world.version
    world.job("newer")
    world.state.sweep("imagejobs", set(), listed_at, NOW)
    assert list(world.state.job_queue.unfinished) == ["newer"]


def test_list_read_before_a_deletion_does_not_restore_the_object() -> None:
    world = World()
    world.worker(0)
    listed = {"metadata": {"name": "vn-metadata-0", "resourceVersion": "101", "uid": "uid0"}}
    world.forget("jobs", "vn-metadata-0")
    world.state.observe("jobs", listed, NOW)
    assert world.state.workers.jobs == {}


def test_older_list_that_ends_after_a_newer_one_does_not_restore_a_deleted_object() -> None:
    world = World()
    world.job("j")
    body = {
        "metadata": {"name": "j", "resourceVersion": "101"},
        "spec": {"image": {"key": "images/1"}, "describer": "metadata"},
    }
    world.forget("imagejobs", "j")
    world.state.sweep("imagejobs", set(), world.version + 5, NOW)
    world.state.observe("imagejobs", body, NOW)
    assert world.state.job_queue.unfinished == {}
    for later in (10, 20):
        world.state.sweep("imagejobs", set(), world.version + later, NOW)

    assert world.state.versions.deleted["imagejobs"] == {}, "deletions are not remembered forever"


def test_late_deletion_event_does_not_delete_a_newer_object_with_the_same_name() -> None:
    world = World()
    world.job("j")
    deleted_at = world.version + 1
    world.version += 1
    world.job("j")
    world.state.forget("imagejobs", "j", deleted_at, NOW)
    assert list(world.state.job_queue.unfinished) == ["j"]


def test_relisted_lease_does_not_count_as_renewed() -> None:
    world = World()
    world.worker(0, renewed=-1)
    lease = {
        "metadata": {"name": "w0", "resourceVersion": str(world.version)},
        "spec": {"renewTime": at(-1)},
    }
    world.state.observe("leases", lease, NOW + timedelta(seconds=600))
    world.job("j", created=600)
    assert not any(decision.startswith("assign") for decision in world.decide(after=25))


def test_lease_found_at_startup_expires_according_to_its_renewal_time() -> None:
    world = World()
    world.worker(0, renewed=None)
    world.observe("leases", "w0", 0, metadata={"labels": {}}, spec={"renewTime": at(-21)})
    world.job("j")
    assert world.decide() == []
    world.lease(0, 0)
    assert world.decide() == ["assign j to w0"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("imagejobs", {"spec": {"image": {}}, "status": {"attempts": "many"}}),
        (
            "imagejobs",
            {"spec": {"image": {"key": "a"}, "ttlSecondsAfterFinished": 10**15}, "status": DONE},
        ),
        ("jobs", {}),
        ("pods", {}),
        ("leases", {"spec": {}}),
    ],
)
def test_invalid_object_is_ignored(kind: Kind, body: Any) -> None:
    world = World()
    world.observe(kind, "odd", metadata={"labels": {}}, **body)
    world.job("j")
    assert world.decide() == ["launch vn-metadata-0"]
