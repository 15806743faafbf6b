"""decide(): tables of what is and what is to be done."""

from datetime import timedelta
from typing import Any

import pytest
from vision_node_operator.state.objects import Kind
from world import NOW, World, at

DONE = {"phase": "done"}
KEPT = {"ttlSecondsAfterFinished": 10}


def test_nothing_asked_nothing_done() -> None:
    assert World().decide() == []


def test_work_without_workers_launches_one() -> None:
    world = World()
    world.job("a")
    assert world.decide() == ["launch vn-metadata-0"]


def test_a_backlog_launches_up_to_the_pool() -> None:
    world = World()
    for n in range(50):
        world.job(f"j{n}")
    assert world.decide() == ["launch vn-metadata-0", "launch vn-metadata-1"]


def test_names_that_others_have_are_passed_over() -> None:
    world = World()
    world.state.workers.taken_names |= {"vn-metadata-0", "vn-metadata-2"}
    for n in range(50):
        world.job(f"j{n}")
    assert world.decide() == ["launch vn-metadata-1", "launch vn-metadata-3"]


def test_min_workers_are_kept_warm() -> None:
    assert World().decide(minWorkers=1) == ["launch vn-metadata-0"]


@pytest.mark.parametrize(
    ("why", "worker"),
    [
        ("no pod yet", {"pod": False, "heard": None}),
        ("starting: it does not say yet that it serves", {"heard": None}),
    ],
)
def test_a_worker_that_does_not_serve_gets_nothing_and_is_waited_for(why: str, worker: Any) -> None:
    world = World()
    world.worker(0, **worker)
    world.job("a")
    assert world.decide() == [], why


@pytest.mark.parametrize(
    ("why", "worker"),
    [
        ("silent for 21 s: hung or cut off", {"heard": -21}),
        ("its pod is being deleted", {"deleting": True}),
    ],
)
def test_a_doubtful_worker_gets_nothing(why: str, worker: Any) -> None:
    world = World()
    world.worker(0, **worker)
    world.job("a")
    assert not any(d.startswith("assign") for d in world.decide()), why


def test_assignment_goes_by_priority_then_age_and_to_who_holds_least() -> None:
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

    world.job("single", created=-1, owner="somebody")
    world.job("other", created=-2, owner="somebody else")
    assert [word.split()[1] for word in world.decide()] == ["many00", "other", "single", "many01"]


def test_what_an_owner_has_in_work_counts() -> None:
    world = World()
    world.worker(0)
    world.processing("first", "w0", owner="bulk")
    world.job("second", created=-100, owner="bulk")
    world.job("single", created=-1, owner="somebody")
    assert world.decide()[0] == "assign single to w0"


def test_priority_goes_before_fairness() -> None:
    world = World()
    world.worker(0)
    world.processing("first", "w0", owner="bulk")
    world.job("urgent", owner="bulk", spec={"priority": 1})
    world.job("single", created=-100, owner="somebody")
    assert world.decide()[0] == "assign urgent to w0"


def test_backing_off_is_respected() -> None:
    world = World()
    world.worker(0)
    world.job("a", nextAttemptTime=at(5), attempts=1)
    assert world.decide() == []
    assert world.decide(after=5) == ["assign a to w0"]


def test_what_is_being_written_is_left_alone_and_counts() -> None:
    world = World()
    world.worker(0)
    for name in "abc":
        world.job(name)
    world.begin_write("imagejobs", "a", "w0")
    world.record.load.measure(10)
    assert world.decide() == ["assign b to w0", "launch vn-metadata-1"]


def test_a_launch_under_way_counts() -> None:
    world = World()
    world.job("a")
    world.begin_write("jobs", "vn-metadata-0")
    assert world.decide() == []


@pytest.mark.parametrize(
    ("why", "status", "after", "expected"),
    [
        ("all is well", {}, 0, []),
        ("late", {}, 30, ["cordon w0", "requeue j AttemptTimedOut +31"]),
        ("late for the last time", {"attempts": 3}, 30, ["cordon w0", "fail j AttemptsExhausted"]),
        (
            "the worker reported a passing error",
            {
                "attempts": 2,
                "error": {"reason": "StorageUnavailable", "message": "m", "retryable": True},
            },
            0,
            ["requeue j StorageUnavailable +2 free"],
        ),
        (
            "a provider asked for a longer wait",
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
            "with a reason that only a newer worker knows",
            {"error": {"reason": "SunSpots", "message": "m", "retryable": True}},
            0,
            ["requeue j DescriberFailed +1"],
        ),
    ],
)
def test_processing(why: str, status: Any, after: float, expected: list[str]) -> None:
    world = World()
    world.worker(0, heard=after)
    world.processing("j", "w0", **status)
    assert world.decide(after=after) == expected, why


@pytest.mark.parametrize("loss", ["deleted", "Failed", "Succeeded"])
def test_a_lost_workers_jobs_are_requeued(loss: str) -> None:
    world = World()
    world.worker(0)
    world.processing("j", "w0")

    if loss == "deleted":
        world.forget("pods", "w0")
    else:
        world.worker(0, phase=loss)

    assert "requeue j WorkerLost +0 free" in world.decide()


def test_a_stopping_worker_may_finish_what_it_holds() -> None:
    world = World()
    world.worker(0, deleting=True)
    world.processing("j", "w0")
    assert world.decide() == []


@pytest.mark.parametrize("phase", ["queued", "processing"])
def test_cancel(phase: str) -> None:
    world = World()
    world.worker(0)
    world.job("j", spec={"cancel": True}, phase=phase, worker="w0", attemptDeadline=at(9))
    assert world.decide() == ["fail j Cancelled"]


def test_an_unknown_describer_has_a_minutes_grace() -> None:
    world = World()
    world.job("j", created=0, spec={"describer": "poet"})
    assert world.decide(after=60) == []
    assert world.decide(after=61) == ["fail j DescriberNotFound"]


def test_idle_workers_are_retired_down_to_min_workers() -> None:
    world = World()
    world.worker(0, heard=0)
    world.worker(1, heard=0)
    world.lease(0, 50)
    world.lease(1, 50)
    assert world.decide(after=59) == []
    assert world.decide(after=60) == ["retire vn-metadata-0", "retire vn-metadata-1"]
    assert world.decide(after=60, minWorkers=1) == ["retire vn-metadata-0"]


def test_idle_time_starts_when_the_last_job_leaves() -> None:
    world = World()
    world.worker(0, heard=-100)
    world.processing("j", "w0")
    world.job("j", phase="done", completionTime=at(0))
    world.lease(0, 50)
    assert world.decide(after=59) == []
    assert world.decide(after=60) == ["retire vn-metadata-0"]


def test_a_worker_with_an_assignment_under_way_is_not_retired() -> None:
    world = World()
    world.worker(0, heard=-100)
    world.worker(0, heard=-1)
    world.job("j")
    assert world.decide() == ["assign j to w0"]
    world.begin_write("imagejobs", "j", "w0")
    assert world.decide() == []


def test_workers_of_an_older_template_are_replaced_when_they_hold_nothing() -> None:
    world = World()
    world.worker(0, template="old")
    world.worker(1, template="old")
    world.processing("j", "w1")
    world.job("k")
    # No name is free for the successor until the retired one's Job is gone.
    assert world.decide() == ["retire vn-metadata-0"]
    world.forget("jobs", "vn-metadata-0")
    assert world.decide() == ["launch vn-metadata-0"]


def test_ended_jobs_make_room() -> None:
    world = World()
    world.worker(0, phase="Failed", job_status={"failed": 1})
    assert world.decide() == ["retire vn-metadata-0"]


@pytest.mark.parametrize("heard", [None, -29])
def test_workers_that_end_at_once_are_launched_ever_more_slowly(heard: float | None) -> None:
    world = World()
    world.job("j")
    for failures in (1, 2, 3):
        uid = f"uid-{failures}"
        world.worker(0, heard=heard, uid=uid)
        world.worker(0, phase="Failed", heard=None, job_status={"failed": 1}, uid=uid)
        world.forget("jobs", "vn-metadata-0")
        world.forget("leases", "w0")
        world.forget("pods", "w0")
        assert world.decide(after=2**failures - 0.1) == []
        assert world.decide(after=2**failures) == ["launch vn-metadata-0"]

    world.worker(0, heard=-30, uid="good")
    world.worker(0, phase="Failed", heard=None, job_status={"failed": 1}, uid="good")
    assert world.record.launch_backoff.failures == 0


def test_a_retired_worker_was_launched_well() -> None:
    world = World()
    world.record.launch_backoff.failures = 3
    world.worker(0, heard=-5)
    world.forget("jobs", "vn-metadata-0")
    assert world.record.launch_backoff.failures == 0


@pytest.mark.parametrize(
    ("why", "worker", "kept"),
    [
        ("silent since it served", {"heard": 0}, 60),
        ("never served: no image, no room, no start", {"heard": None, "created": 0}, 300),
    ],
)
def test_a_worker_that_hangs_makes_room_for_another(why: str, worker: Any, kept: float) -> None:
    world = World()
    world.worker(0, **worker)
    world.job("j", created=kept)
    assert world.decide(after=kept) == [], why
    said = world.decide(after=kept + 1)
    assert said == ["retire vn-metadata-0", "launch vn-metadata-1"], why


@pytest.mark.parametrize(
    ("why", "timeout", "after", "cordons"),
    [
        ("an impatient image says nothing of its worker", 1, 1, False),
        ("unless we came to look later", 1, 30, True),
        ("the usual time has passed", 30, 30, True),
        ("a patient image is waited for", 90, 30, False),
        ("but not longer", 90, 90, True),
    ],
)
def test_a_worker_is_cordoned_for_being_slower_than_its_describer_allows(
    why: str, timeout: int, after: float, *, cordons: bool
) -> None:
    world = World()
    world.describer(timeoutSeconds=30)
    world.worker(0, heard=after)
    world.processing("j", "w0", spec={"timeoutSeconds": timeout}, attemptDeadline=at(timeout))
    said = world.decide(after=after)
    assert ("cordon w0" in said) == cordons, why
    assert said[-1:] == (
        ["requeue j AttemptTimedOut " + f"+{after + 1}"] if after >= timeout else []
    ), why


def test_a_worker_that_let_an_attempt_time_out_gets_no_more() -> None:
    world = World()
    world.worker(0)
    world.processing("late", "w0")
    world.job("next")
    assert world.decide()[0] == "assign next to w0"
    world.state.cordon("w0")
    assert world.decide() == ["launch vn-metadata-1"]
    world.job("late", phase="failed", completionTime=at(0))
    assert "retire vn-metadata-0" in world.decide()


def test_a_worker_that_is_being_retired_gets_no_more() -> None:
    world = World()
    world.worker(0)
    world.job("j")
    world.begin_write("jobs", "vn-metadata-0")
    assert world.decide() == []
    world.end_write("jobs", "vn-metadata-0")
    world.back_off("jobs", "vn-metadata-0", 30)
    assert world.decide() == []


def test_a_job_of_the_same_name_does_not_inherit_its_predecessors_pod() -> None:
    world = World()
    world.worker(0)
    world.forget("jobs", "vn-metadata-0")
    world.worker(0, pod=False, heard=None, uid="new")
    world.job("j")
    assert world.decide() == []


def test_a_failed_launch_is_not_repeated_at_once() -> None:
    world = World()
    world.job("j")
    world.back_off("jobs", "vn-metadata-0", 5)
    assert world.decide() == []
    assert world.decide(after=5) == ["launch vn-metadata-0"]


def test_workers_of_a_describer_that_is_no_more_are_retired() -> None:
    world = World()
    world.worker(0, describer="gone")
    world.worker(1, describer="gone")
    world.processing("j", "w1")
    assert world.decide() == ["retire vn-gone-0"]


@pytest.mark.parametrize("how", ["under way", "failed just now"])
def test_a_retirement_that_is_under_way_or_waits_retires_no_other_worker_in_its_place(
    how: str,
) -> None:
    world = World()
    for slot in range(2):
        world.worker(slot, heard=-100)
        world.lease(slot, -1)

    assert world.decide(minWorkers=1) == ["retire vn-metadata-0"]
    if how == "under way":
        world.begin_write("jobs", "vn-metadata-0")
    else:
        world.back_off("jobs", "vn-metadata-0", 1)

    assert world.decide() == []


def test_thousands_that_expire_do_so_bit_by_bit() -> None:
    world = World()
    for n in range(100):
        world.job(f"j{n}", phase="done", completionTime=at(0), spec={"ttlSecondsAfterFinished": 0})
    assert len(world.decide()) == 16


def test_finished_jobs_expire() -> None:
    world = World()
    world.job("j", phase="done", completionTime=at(0), spec=KEPT)
    assert world.decide(after=9) == []
    assert world.decide(after=10) == ["expire j"]


def test_a_worker_whose_clock_is_ahead_neither_stops_the_operator_nor_keeps_its_images_for_ever() -> (
    None
):
    world = World()
    world.processing("j", "w0", startTime=at(-3))
    end = "9999-12-31T23:59:59Z"
    world.job("j", phase="done", attempts=1, startTime=at(-3), completionTime=end, spec=KEPT)
    assert world.decide(after=10) == ["expire j"]
    assert world.record.load.seconds_per_image == 3


def test_older_versions_are_ignored() -> None:
    world = World()
    world.processing("j", "w0")
    body = {"name": "j", "resourceVersion": "1"}
    world.state.observe("imagejobs", {"metadata": body, "spec": {"image": {"key": "inbox/x"}}}, NOW)
    assert world.state.job_queue.unfinished["j"].status.phase == "processing"


def test_a_list_drops_what_is_gone_but_not_what_is_newer() -> None:
    world = World()
    world.job("gone")
    listed_at = world.version
    world.job("newer")
    world.state.sweep("imagejobs", set(), listed_at, NOW)
    assert list(world.state.job_queue.unfinished) == ["newer"]


def test_a_list_read_before_a_deletion_does_not_bring_it_back() -> None:
    world = World()
    world.worker(0)
    listed = {"metadata": {"name": "vn-metadata-0", "resourceVersion": "101", "uid": "uid0"}}
    world.forget("jobs", "vn-metadata-0")
    world.state.observe("jobs", listed, NOW)
    assert world.state.workers.jobs == {}


def test_nor_does_one_that_is_still_being_read_when_a_later_one_ends() -> None:
    world = World()
    world.job("j")
    body = {
        "metadata": {"name": "j", "resourceVersion": "101"},
        "spec": {"image": {"key": "images/1"}},
    }
    world.forget("imagejobs", "j")
    world.state.sweep("imagejobs", set(), world.version + 5, NOW)
    world.state.observe("imagejobs", body, NOW)
    assert world.state.job_queue.unfinished == {}
    for later in (10, 20):
        world.state.sweep("imagejobs", set(), world.version + later, NOW)

    assert world.state.versions.deleted["imagejobs"] == {}, "remembered no longer than it must be"


def test_the_deletion_of_a_namesakes_predecessor_does_not_touch_the_namesake() -> None:
    world = World()
    world.job("j")
    deleted_at = world.version + 1
    world.version += 1
    world.job("j")
    world.state.forget("imagejobs", "j", deleted_at, NOW)
    assert list(world.state.job_queue.unfinished) == ["j"]


def test_a_relisted_lease_is_no_news() -> None:
    world = World()
    world.worker(0, heard=-1)
    lease = {
        "metadata": {"name": "w0", "resourceVersion": str(world.version)},
        "spec": {"renewTime": at(-1)},
    }
    world.state.observe("leases", lease, NOW + timedelta(seconds=600))
    world.job("j", created=600)
    assert not any(word.startswith("assign") for word in world.decide(after=25))


def test_a_lease_found_at_the_start_counts_from_its_own_time() -> None:
    world = World()
    world.worker(0, heard=None)
    world.see("leases", "w0", 0, metadata={"labels": {}}, spec={"renewTime": at(-21)})
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
def test_what_cannot_be_read_stops_nothing(kind: Kind, body: Any) -> None:
    world = World()
    world.see(kind, "odd", metadata={"labels": {}}, **body)
    world.job("j")
    assert world.decide() == ["launch vn-metadata-0"]
