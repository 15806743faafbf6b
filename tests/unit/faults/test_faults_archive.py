"""Tests of the fault test's check of PostgreSQL: it must detect every kind of violation."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from faults.database.archive import (
    MIN_EVICTED,
    Archive,
    Row,
    check_archive,
    finished,
    rows_of,
    unarchived,
)
from faults.database.faults import CONFIRM_ANNOTATION, DatabaseFaults, token_in
from faults.database.summary import archive_summary, none_described_meanwhile, rates_of
from faults.fault_injection import TARGETS, pids_in
from faults.history import Expected, History, Observation, Submit, check
from faults.plan import (
    DATABASE_KINDS,
    DATABASE_SECONDS,
    RECOVERY_SECONDS,
    RESTORE_SECONDS,
    Fault,
    Kind,
    plan,
)

ROW = Row(
    uid="u-a",
    name="a",
    phase="done",
    has_image_row=True,
    has_job_row=True,
    evicted=True,
    image_key="images/1",
    result_key=None,
    archive_error=None,
)
LIVE = replace(ROW, uid="u-live", name="live", evicted=False)
OTHERS = [replace(ROW, uid=f"u-{n}", name=f"{n}", image_key=None) for n in range(MIN_EVICTED - 1)]


def seen(name: str, version: int = 2, phase: str = "done", **parts: Any) -> Observation:
    deleted = parts.pop("deleted", False)
    uid = parts.pop("uid", f"u-{name}")
    return Observation(1.0, name, version, {"phase": phase}, deleted=deleted, uid=uid)


EVICTED = [seen("a"), seen("a", 3, deleted=True)]
OTHERS_SEEN = [seen(row.name) for row in OTHERS]


def history(*observations: Observation, **parts: Any) -> History:
    known = {"objects": frozenset({"images/1"}), **parts}
    return History(
        observations=[*(observations or [*EVICTED, seen("live")]), *OTHERS_SEEN], **known
    )


def archive(*rows: Row, **parts: Any) -> Archive:
    statuses: Mapping[str, Any] = {row.name: {"status": "done"} for row in [ROW, LIVE, *OTHERS]}
    known = {"live": {"u-live": "live"}, "statuses": statuses, **parts}
    return Archive(rows=[*(rows or (ROW, LIVE)), *OTHERS], **known)


VALID = {
    "one evicted and one live": (history(), archive()),
    "rows of an earlier run": (
        history(),
        archive(ROW, LIVE, replace(ROW, uid="old", name="a"), older=frozenset({"old"})),
    ),
    "an unfinished ImageJob without a row": (
        history(*EVICTED, seen("live", phase="queued")),
        archive(ROW, statuses=archive().statuses | {"live": {"status": "queued"}}),
    ),
    "an evicted row that was read later than etcd": (
        history(),
        archive(ROW, replace(LIVE, evicted=True)),
    ),
}


@pytest.mark.parametrize("case", VALID)
def test_valid_archive_passes(case: str) -> None:
    assert check_archive(*VALID[case]) == []


def test_what_a_restored_copy_lacks_may_be_lost() -> None:
    more = replace(ROW, uid="u-more", name="more", image_key=None)
    lost = history(*EVICTED, seen("live"), seen("more"), lost=frozenset({"u-a"}))
    statuses = archive().statuses | {"a": "not found", "more": {"status": "done"}}
    assert check_archive(lost, archive(LIVE, more, statuses=statuses)) == []


VIOLATIONS: dict[str, tuple[History, Archive, str]] = {
    "neither in etcd nor in PostgreSQL": (
        history(),
        archive(LIVE, replace(ROW, uid="u-x", name="x")),
        "a: lost: neither etcd nor PostgreSQL has it",
    ),
    "not archived": (history(), archive(ROW), "live: it ended, but it is not archived"),
    "only half a row": (
        history(),
        archive(ROW, replace(LIVE, has_job_row=False)),
        "live: it has no row in the table jobs",
    ),
    "only the other half": (
        history(),
        archive(replace(ROW, has_image_row=False, phase=None), LIVE),
        "a: it has no row in the table images",
    ),
    "another phase": (
        history(),
        archive(ROW, replace(LIVE, phase="failed")),
        "live: its row has the phase failed, not done",
    ),
    "gone, but not marked": (
        history(),
        archive(replace(ROW, evicted=False), LIVE),
        "a: its ImageJob is gone, but it is not marked as evicted",
    ),
    "a name with two rows": (
        history(),
        archive(ROW, LIVE, replace(ROW, uid="u-b")),
        "a: doubled: it had the uids u-a, u-b",
    ),
    "created again after its eviction": (
        history(*EVICTED, seen("live"), seen("a", 4, uid="u-b")),
        archive(),
        "a: doubled: it had the uids u-a, u-b",
    ),
    "a row that nobody has submitted": (
        history(),
        archive(ROW, LIVE, replace(ROW, uid="u-x", name="x")),
        "x: its row is of no known ImageJob",
    ),
    "a refused row": (
        history(),
        archive(ROW, replace(LIVE, archive_error="U+0000")),
        "live: its row was refused: U+0000",
    ),
    "an image that is gone": (
        history(),
        archive(ROW, replace(LIVE, image_key="images/2")),
        "live: its row names images/2, which is gone",
    ),
    "a result that is gone": (
        history(),
        archive(ROW, replace(LIVE, result_key="results/2")),
        "live: its row names results/2, which is gone",
    ),
    "an unreadable status": (
        history(),
        archive(statuses=archive().statuses | {"a": "HistoryUnavailable"}),
        "a: its status can't be read: HistoryUnavailable",
    ),
    "a status that was not requested": (
        history(),
        archive(statuses={}),
        "a: its status can't be read: it was not requested",
    ),
    "another status": (
        history(),
        archive(statuses=archive().statuses | {"a": {"status": "failed"}}),
        "a: its status is failed, not done",
    ),
    "missing rows of a batch": (
        history(),
        archive(batch_images={"many": 3}, batch_rows={"many": 2}),
        "many: 2 of its 3 images are archived",
    ),
    "late": (
        history(),
        archive(archived_after=61.0),
        "archiving caught up only 61 s after the last fault",
    ),
    "few evictions": (
        history(),
        archive(replace(ROW, evicted=False), LIVE, live={"u-live": "live", "u-a": "a"}),
        "only 99 ImageJobs were evicted",
    ),
    "evictions stopped": (
        history(),
        archive(finished_left=101),
        "evictions stopped: etcd still has 101 finished ImageJobs, but the limit is 100",
    ),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_violation_of_the_archive_is_reported(case: str) -> None:
    found, kept, expected = VIOLATIONS[case]
    broken = check_archive(found, kept)
    assert any(it.startswith(expected) for it in broken), broken


RESULT = {"facts": {"width": 1, "height": 2}}
SUBMIT = Submit("key", "a", Expected(size=(1, 2)))


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"archived": frozenset({"u-a"}), "results": {"a": RESULT}}, []),
        ({"results": {"a": RESULT}}, ["a: lost: it was deleted"]),
        ({"lost": frozenset({"u-a"})}, []),
        (
            {"archived": frozenset({"u-a"}), "results": {"a": RESULT}, "objects": frozenset()},
            ["a: its image images/1 is gone"],
        ),
    ],
)
def test_eviction_is_no_deletion(parts: dict[str, Any], expected: list[str]) -> None:
    known = {"objects": frozenset({"images/1"}), **parts}
    assert check(History([SUBMIT], EVICTED, **known)) == expected


@pytest.mark.parametrize(
    ("evicted", "copied", "expected"),
    [
        ({"x"}, {"x"}, set()),
        ({"x", "y"}, {"x"}, {"y"}),
        ({"u-live"}, set(), set()),  # it was marked, but its ImageJob still exists
        ({"u-a"}, set(), set()),  # it was marked, and archived again later
    ],
)
def test_lost_are_evicted_jobs_that_the_copy_lacks(
    evicted: set[str], copied: set[str], expected: set[str]
) -> None:
    assert archive().lost(frozenset(evicted), frozenset(copied)) == expected


def test_printed_rows_are_read() -> None:
    printed = {name: getattr(ROW, name) for name in ROW.__slots__}
    assert rows_of([printed]) == [ROW]


def test_ended_jobs_must_be_archived_after_some_seconds() -> None:
    jobs = [seen("a"), seen("b"), seen("c", phase="queued")]
    assert unarchived(jobs, {"u-a"}, now=6.5) == {"u-b"}
    assert unarchived(jobs, {"u-a"}, now=5.5) == set()


def test_finished_imagejobs_are_counted() -> None:
    phases = [{"status": {"phase": it}} for it in ("queued", "processing", "done", "failed")]
    assert finished([*phases, {}]) == 2


def test_token_is_the_last_one_in_the_log() -> None:
    command = f"kubectl annotate configmap x {CONFIRM_ANNOTATION}="
    assert token_in("nothing to do") is None
    assert token_in(f"{command}cluster-12") is None
    assert token_in(f"a\n{command}history-7\n{command}history-12 --overwrite\nb") == "history-12"


def test_processes_are_read_from_a_table() -> None:
    assert list(pids_in("PID     INFO\n123     -\n45      -\n\n")) == [123, 45]
    assert list(pids_in("")) == []


def test_every_fault_can_be_injected() -> None:
    for kind in Kind:
        assert DatabaseFaults.knows(kind) is not (kind in TARGETS), kind


@pytest.mark.parametrize("seed", range(20))
def test_faults_of_postgresql_do_not_overlap(seed: int) -> None:
    faults = [fault for fault in plan(seed) if fault.kind in DATABASE_KINDS]
    assert {fault.kind for fault in faults} == DATABASE_KINDS
    assert (faults[-1].kind, faults[-1].at) == (Kind.RESTORE_POSTGRES, RESTORE_SECONDS)

    for before, after in itertools.pairwise(faults):
        assert after.at - (before.at + before.seconds) >= RECOVERY_SECONDS

    lasting = [fault.seconds for fault in faults if fault.seconds]
    assert all(DATABASE_SECONDS[0] <= it <= DATABASE_SECONDS[1] for it in lasting)


def ended_at(*times: float) -> History:
    ends = [Observation(at, f"{n}", n, {"phase": "done"}) for n, at in enumerate(times)]
    return History(observations=ends, last_fault=20.0)


FULL = (10.0, Fault(0, Kind.FILL_POSTGRES, 0, 5.0))
KILLED = (2.0, Fault(0, Kind.KILL_POSTGRES, 0))


def test_rates_are_those_during_faults_of_postgresql_and_at_other_times() -> None:
    found = ended_at(0.0, 4.0, 11.0, 12.0, 14.0, 15.0, 16.0, 30.0)
    assert rates_of(found, [FULL, KILLED]) == (3 / 5, 4 / 15)
    assert rates_of(found, []) == (0.0, 7 / 20)
    assert none_described_meanwhile(found, [FULL]) == []


def test_standstill_during_a_fault_of_postgresql_is_reported() -> None:
    broken = none_described_meanwhile(ended_at(0.0, 9.0, 15.0), [FULL])
    assert broken == ["no image ended while PostgreSQL was away"]


def test_summary_has_the_figures_of_the_history() -> None:
    text = archive_summary(ended_at(0.0, 12.0), archive(archived_after=2.0), [FULL])
    assert text.splitlines() == [
        "101 ImageJobs are archived, 100 of them were evicted, and 0 were lost because PostgreSQL "
        "was restored",
        "archiving caught up 2.0 s after the last fault; 0 finished ImageJobs are in etcd",
        "0.2 images/s during faults of PostgreSQL, 0.1 at other times: a ratio of 3.00",
    ]
