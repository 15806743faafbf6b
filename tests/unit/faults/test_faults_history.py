"""Tests of the checker that `make test-faults` uses: it must detect every kind of violation."""

from dataclasses import replace
from typing import Any

import pytest
from faults.history import Expected, History, Observation, Submit, check
from faults.plan import MIX, Kind, plan

SIZE = (20, 30)
RESULT = {"facts": {"width": 20, "height": 30}}


def seen(
    version: int, phase: str, *, job: str = "a", at: float | None = None, **status: Any
) -> Observation:
    deleted = status.pop("deleted", False)
    time = version if at is None else at
    return Observation(time, job, version, {"phase": phase, **status}, deleted=deleted)


GOOD = [
    seen(1, "queued"),
    seen(2, "processing", attempts=1, worker="w0"),
    seen(3, "queued", attempts=1, losses=1),
    seen(4, "processing", attempts=2, losses=1, worker="w1"),
    seen(5, "done", attempts=2, losses=1, worker="w1"),
]


def history(
    *observations: Observation, submits: list[Submit] | None = None, **parts: Any
) -> History:
    """Return a history of one ImageJob. The last fault is at 5 s, so the job must end by 65 s."""
    known = {"results": {"a": RESULT}, "objects": frozenset({"images/1"}), "last_fault": 5, **parts}
    if submits is None:
        submits = [Submit("key", "a", Expected(size=SIZE))]

    return History(submits, [*observations], **known)


def failing(reason: str, *allowed: str) -> History:
    end = seen(2, "failed", error={"reason": reason, "message": "m"})
    return history(end, submits=[Submit("key", "a", Expected("failed", frozenset(allowed)))])


VALID = {
    "done after the second attempt": history(*GOOD),
    "failed as expected": failing("OutOfMemory", "OutOfMemory"),
    "three lost attempts and three others": history(seen(1, "done", attempts=6, losses=3)),
    "reported again after a gap": history(*GOOD, replace(GOOD[-1], version=6)),
    "events out of order": history(*reversed(GOOD)),
}


@pytest.mark.parametrize("case", VALID)
def test_valid_history_passes(case: str) -> None:
    assert check(VALID[case]) == []


SUBMITTED_TWICE = [Submit("key", name, Expected(size=SIZE)) for name in "ab"]

VIOLATIONS: dict[str, tuple[History, str]] = {
    "acknowledged but never seen": (history(), "a: lost: its submission was acknowledged"),
    "deleted": (
        history(*GOOD, seen(6, "done", attempts=2, worker="w1", deleted=True)),
        "a: lost: it was deleted",
    ),
    "one key with two answers": (
        history(
            *GOOD,
            seen(6, "done", job="b"),
            submits=SUBMITTED_TWICE,
            results={"a": RESULT, "b": RESULT},
        ),
        "key key: answered with several ImageJobs: a, b",
    ),
    "an ImageJob that no response names": (
        history(*GOOD, seen(6, "done", job="b")),
        "b: no response names it",
    ),
    "done, then changed": (
        history(*GOOD, seen(6, "done", attempts=3)),
        "a: changed after it was done",
    ),
    "done, then queued": (
        history(*GOOD, seen(6, "queued", attempts=2)),
        "a: changed after it was done",
    ),
    "more attempts than allowed": (
        history(seen(1, "done", attempts=4)),
        "a: 4 attempts, but at most 3 are allowed",
    ),
    "attempts decrease": (
        history(
            seen(1, "processing", attempts=2, worker="w"), seen(2, "done", attempts=1, worker="w")
        ),
        "a: attempts went from 2 back to 1",
    ),
    "one attempt by two workers": (
        history(
            seen(1, "processing", attempts=1, worker="v"), seen(2, "done", attempts=1, worker="w")
        ),
        "a: attempt 1 belongs to several workers: v, w",
    ),
    "never ended": (history(seen(1, "processing", attempts=1, worker="w")), "a: stuck"),
    "nothing ended for long": (
        history(seen(1, "done", at=66)),
        "no ImageJob ended for 61 s, 0 s after the last fault",
    ),
    "nothing ended for long, after another end": (
        history(
            seen(1, "done", job="b", at=25),
            seen(2, "done", at=86),
            submits=[Submit(name, name, Expected(size=SIZE)) for name in "ab"],
            results={"a": RESULT, "b": RESULT},
        ),
        "no ImageJob ended for 61 s, 20 s after the last fault",
    ),
    "a valid image failed": (
        history(seen(1, "failed", error={"reason": "AttemptsExhausted"})),
        "a: failed {'reason': 'AttemptsExhausted'}, but should be done",
    ),
    "a harmful image is done": (
        history(
            seen(1, "done"), submits=[Submit("k", "a", Expected("failed", frozenset({"X"}), SIZE))]
        ),
        "a: done {}, but should be failed X",
    ),
    "a harmful image failed for another reason": (
        failing("Cancelled", "OutOfMemory"),
        "should be failed OutOfMemory",
    ),
    "an unreadable result": (history(*GOOD, results={"a": "410"}), "its result can't be read: 410"),
    "a result that was not requested": (
        history(*GOOD, results={}),
        "can't be read: it was not requested",
    ),
    "another image's result": (
        history(*GOOD, results={"a": {"facts": {"width": 1, "height": 1}}}),
        "a: result is for an image of size (1, 1), not (20, 30)",
    ),
    "a deleted image": (history(*GOOD, objects=frozenset()), "a: its image images/1 is gone"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_violation_is_found(case: str) -> None:
    violating, words = VIOLATIONS[case]
    assert [found for found in check(violating) if words in found] == check(violating) != []


def test_seed_determines_the_planned_faults() -> None:
    assert plan(7) == plan(7) != plan(8)
    faults = plan(7)
    assert len(faults) == MIX.total() >= 30
    assert {fault.kind for fault in faults} == set(Kind)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
