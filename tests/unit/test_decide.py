"""decide(): tables of what is and what is to be done."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vision_node_contract.names import COMPONENT_LABEL, DESCRIBER_LABEL, WORKER_COMPONENT
from vision_node_operator.actions import Action, Assign, Expire, Fail, Launch, Requeue, Retire
from vision_node_operator.decide import decide
from vision_node_operator.settings import Pool, Settings
from vision_node_operator.state import TEMPLATE_LABEL, Kind, State, pool_key

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POOL = Pool("metadata", {"spec": {}}, min_workers=0, max_workers=2, concurrency=2, idle_seconds=60)
SETTINGS = Settings("ns", {"metadata": POOL}, owner_name="pools", job_prefix="vn")


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


class World:
    """Builds a State out of watch events, as the reconciler does."""

    def __init__(self) -> None:
        self.state = State()
        self.version = 100

    def see(self, kind: Kind, name: str, when: float = 0, **body: Any) -> None:
        self.version += 1
        meta = {"name": name, "resourceVersion": str(self.version), **body.pop("metadata", {})}
        self.state.observe(kind, {"metadata": meta, **body}, NOW + timedelta(seconds=when))

    def job(self, name: str, *, created: float = -10, spec: Any = None, **status: Any) -> None:
        self.see(
            "imagejobs",
            name,
            metadata={"uid": name, "creationTimestamp": at(created)},
            spec={"image": {"key": "images/1"}, **(spec or {})},
            status={"phase": "queued", **status},
        )

    def processing(self, name: str, worker: str, **status: Any) -> None:
        attempt = {"attempts": 1, "attemptDeadline": at(30)}
        self.job(name, **{"phase": "processing", "worker": worker, **attempt, **status})

    def worker(
        self,
        slot: int,
        *,
        pod: bool = True,
        phase: str = "Running",
        heard: float | None = -1,
        template: str = POOL.template_hash,
        job_status: Any = None,
        deleting: bool = False,
    ) -> None:
        labels = {
            COMPONENT_LABEL: WORKER_COMPONENT,
            DESCRIBER_LABEL: "metadata",
            TEMPLATE_LABEL: template,
            "batch.kubernetes.io/job-name": f"vn-metadata-{slot}",
        }
        name = f"vn-metadata-{slot}"
        self.see("jobs", name, metadata={"labels": labels}, status=job_status or {})
        gone = {"deletionTimestamp": at(0)} if deleting else {}
        if pod:
            self.see("pods", f"w{slot}", metadata={"labels": labels, **gone}, status={"phase": phase})
        if heard is not None:
            self.see("leases", f"w{slot}", heard, metadata={"labels": labels})

    def decide(self, after: float = 0, pool: Pool = POOL) -> list[str]:
        settings = replace(SETTINGS, pools={"metadata": pool})
        return [words(a) for a in decide(self.state, settings, NOW + timedelta(seconds=after))]


def words(action: Action) -> str:
    match action:
        case Assign():
            return f"assign {action.job.metadata.name} to {action.worker}"
        case Requeue():
            wait = (action.next_attempt - NOW).total_seconds()
            return f"requeue {action.job.metadata.name} {action.reason} +{wait:g}"
        case Fail():
            return f"fail {action.job.metadata.name} {action.reason}"
        case Expire() | Launch() | Retire():
            return f"{type(action).__name__.lower()} {action.name}"


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


def test_min_workers_are_kept_warm() -> None:
    assert World().decide(pool=replace(POOL, min_workers=1)) == ["launch vn-metadata-0"]


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
    world.state.busy = {"a": "w0"}
    assert world.decide() == ["assign b to w0", "launch vn-metadata-1"]


def test_a_launch_under_way_counts() -> None:
    world = World()
    world.job("a")
    world.state.busy = {"vn-metadata-0": ""}
    assert world.decide() == []


@pytest.mark.parametrize(
    ("why", "status", "after", "expected"),
    [
        ("all is well", {}, 0, []),
        ("late", {}, 30, ["requeue j AttemptTimedOut +31"]),
        ("late for the last time", {"attempts": 3}, 30, ["fail j AttemptsExhausted"]),
        (
            "the worker reported a passing error",
            {"attempts": 2, "error": {"reason": "StorageUnavailable", "message": "m", "retryable": True}},
            0,
            ["requeue j StorageUnavailable +2"],
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
        world.state.forget("pods", "w0", NOW)
    else:
        world.worker(0, phase=loss)
    assert "requeue j WorkerLost +1" in world.decide()


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
    assert world.decide(after=59) == []
    assert world.decide(after=60) == ["retire vn-metadata-0", "retire vn-metadata-1"]
    assert world.decide(after=60, pool=replace(POOL, min_workers=1)) == ["retire vn-metadata-0"]


def test_idle_time_starts_when_the_last_job_leaves() -> None:
    world = World()
    world.worker(0, heard=-100)
    world.processing("j", "w0")
    world.job("j", phase="done", completionTime=at(0))
    assert world.decide(after=59) == []
    assert world.decide(after=60) == ["retire vn-metadata-0"]


def test_a_worker_with_an_assignment_under_way_is_not_retired() -> None:
    world = World()
    world.worker(0, heard=-100)
    world.worker(0, heard=-1)
    world.job("j")
    assert world.decide() == ["assign j to w0"]
    world.state.busy = {"j": "w0"}
    assert world.decide() == []


def test_workers_of_an_older_template_are_replaced_when_they_hold_nothing() -> None:
    world = World()
    world.worker(0, template="old")
    world.worker(1, template="old")
    world.processing("j", "w1")
    world.job("k")
    # No name is free for the successor until the retired one's Job is gone.
    assert world.decide() == ["retire vn-metadata-0"]
    world.state.forget("jobs", "vn-metadata-0", NOW)
    assert world.decide() == ["launch vn-metadata-0"]


def test_ended_jobs_make_room() -> None:
    world = World()
    world.worker(0, phase="Failed", job_status={"failed": 1})
    assert world.decide() == ["retire vn-metadata-0"]


def test_workers_that_end_before_they_serve_are_launched_ever_more_slowly() -> None:
    world = World()
    world.job("j")
    for failures in (1, 2, 3):
        world.worker(0, phase="Failed", heard=None, job_status={"failed": 1})
        world.state.forget("jobs", "vn-metadata-0", NOW)
        assert world.decide(after=2**failures - 0.1) == []
        assert world.decide(after=2**failures) == ["launch vn-metadata-0"]
    world.worker(0, heard=0)
    assert world.state.launch_failures == {}
    assert world.state.held_off[pool_key("metadata")] > NOW


def test_finished_jobs_expire() -> None:
    world = World()
    world.job("j", phase="done", completionTime=at(0), spec={"ttlSecondsAfterFinished": 10})
    assert world.decide(after=9) == []
    assert world.decide(after=10) == ["expire j"]


def test_older_versions_are_ignored() -> None:
    world = World()
    world.processing("j", "w0")
    body = {"name": "j", "resourceVersion": "1"}
    world.state.observe("imagejobs", {"metadata": body, "spec": {"image": {"key": "inbox/x"}}}, NOW)
    assert world.state.jobs["j"].status.phase == "processing"


def test_a_list_drops_what_is_gone_but_not_what_is_newer() -> None:
    world = World()
    world.job("gone")
    listed_at = world.version
    world.job("newer")
    world.state.replace("imagejobs", [], listed_at, NOW)
    assert list(world.state.jobs) == ["newer"]
