"""Tests of the hang watchdog: when it reports a hang, and what prevents such a report."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from vision_node_describer import hang_watchdog
from vision_node_describer.hang_watchdog import HangWatchdog
from vision_node_describer.running_attempt import Assignment, RunningAttempt

TIMEOUT_SECONDS = 60.0


class FakeTimer:
    """A scheduled call that can be cancelled."""

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """An event loop whose clock moves only when a test calls `advance_to`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[..., None], *args: Any) -> FakeTimer:
        timer = FakeTimer(self.now + seconds, lambda: call(*args))
        self.timers.append(timer)
        return timer

    def advance_to(self, now: float) -> None:
        while due := [timer for timer in self.timers if timer.when <= now]:
            first = min(due, key=lambda timer: timer.when)
            self.timers.remove(first)
            self.now = first.when
            if not first.cancelled:
                first.call()

        self.now = now


class Watched:
    """A watchdog on a fake event loop, with a list of the times at which it reported hangs."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.hangs: list[float] = []
        self.watchdog = HangWatchdog(TIMEOUT_SECONDS, lambda: self.hangs.append(loop.now))

    def start(
        self, name: str, *, timeout_seconds: float = TIMEOUT_SECONDS, released: bool = False
    ) -> RunningAttempt:
        unused_task: Any = None
        attempt = RunningAttempt(
            Assignment(name, name, 1), unused_task, self.loop.now, timeout_seconds, released
        )
        self.watchdog.started(attempt)
        return attempt

    def end(self, attempt: RunningAttempt) -> None:
        self.watchdog.ended(attempt)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    loop = FakeLoop()
    fake_asyncio = SimpleNamespace(get_running_loop=lambda: loop)
    monkeypatch.setattr(hang_watchdog, "asyncio", fake_asyncio)
    return Watched(loop)


def test_released_attempt_that_runs_past_its_timeout_is_reported_as_a_hang(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.start("stuck").released = True
    watched.loop.advance_to(59)
    assert watched.hangs == []

    watched.loop.advance_to(61)
    assert watched.hangs == [60]
    assert [record.message for record in caplog.records] == [
        "worker is hung: ImageJob stuck has run for more than 60 s"
    ]


def test_assigned_attempt_is_not_reported_as_a_hang(watched: Watched) -> None:
    watched.start("slow")
    watched.loop.advance_to(600)
    assert watched.hangs == []


def test_attempt_released_after_a_check_is_reported_at_the_next_check(watched: Watched) -> None:
    attempt = watched.start("stuck")
    watched.loop.advance_to(70)
    attempt.released = True
    watched.loop.advance_to(130)
    assert watched.hangs == [120]


def test_ended_attempt_is_no_longer_checked(watched: Watched) -> None:
    attempt = watched.start("quick", released=True)
    watched.loop.advance_to(1)
    watched.end(attempt)
    watched.loop.advance_to(600)
    assert watched.hangs == []


@pytest.mark.parametrize(("timeout_seconds", "hang_at"), [(1.0, 60.0), (3600.0, 3600.0)])
def test_check_waits_for_the_longer_of_the_describer_and_imagejob_timeouts(
    watched: Watched, timeout_seconds: float, hang_at: float
) -> None:
    watched.start("stuck", timeout_seconds=timeout_seconds, released=True)
    watched.loop.advance_to(4000)
    assert watched.hangs == [hang_at]


@pytest.mark.parametrize(
    ("ended_after", "hang_at"),
    [
        pytest.param(53.0, 120.0, id="ended in time, so the watchdog waits for another check"),
        pytest.param(55.0, 60.0, id="timed out, perhaps because it waited for the hung thread"),
    ],
)
def test_only_attempts_that_end_in_time_postpone_the_report(
    watched: Watched, ended_after: float, hang_at: float
) -> None:
    watched.start("stuck", released=True)
    other = watched.start("other")
    watched.loop.advance_to(ended_after)
    watched.end(other)
    watched.loop.advance_to(200)
    assert watched.hangs == [hang_at]


def test_hang_is_not_reported_while_a_slow_attempt_is_assigned(watched: Watched) -> None:
    watched.start("stuck", released=True)
    watched.start("slow")
    watched.loop.advance_to(61)
    assert watched.hangs == [], "the slow attempt may be the reason that no attempt ends"

    watched.loop.advance_to(600)
    assert watched.hangs == [], "the slow attempt is still assigned"


def test_hang_is_reported_when_a_new_attempt_replaces_a_slow_one(
    watched: Watched,
) -> None:
    watched.start("stuck", released=True)
    first = watched.start("first")
    watched.loop.advance_to(70)
    assert watched.hangs == []

    watched.end(first)  # after its timeout
    watched.start("second")
    watched.loop.advance_to(130)
    assert watched.hangs == [120]


def test_attempt_that_started_recently_does_not_prevent_the_report(
    watched: Watched,
) -> None:
    watched.start("stuck", released=True)
    watched.loop.advance_to(35)
    watched.start("young")
    watched.loop.advance_to(61)
    assert watched.hangs == [60]
