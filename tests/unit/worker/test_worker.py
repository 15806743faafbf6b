"""Tests of the worker: when it starts attempts, which attempts it waits for, and when it exits."""

import asyncio
import itertools
from typing import Any, cast

import pytest
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob
from vision_node_describer import worker as module
from vision_node_describer.attempt import AttemptRunner
from vision_node_describer.running_attempt import Assignment, RunningAttempt
from vision_node_describer.shards.runner import ShardRunner
from vision_node_describer.worker import Worker


class FakeAttempts:
    """Creates attempts, each of which ends when a test sets its event."""

    def __init__(self) -> None:
        self.ends: dict[str, asyncio.Event] = {}

    async def attempt(self, job: ImageJob) -> None:
        await self.ends.setdefault(job.metadata.uid, asyncio.Event()).wait()


class NoShards:
    """The shards of a worker that has none."""

    def __init__(self) -> None:
        self.idle = asyncio.Event()
        self.idle.set()

    def release(self, names: object) -> None:
        pass

    release_others = release

    def finish(self) -> None:
        pass


def assigned(uid: str, attempts: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": uid, "uid": uid, "resourceVersion": "1"},
        "spec": {"image": {"key": "images/1"}},
        "status": {"phase": "processing", "attempts": attempts},
    }


def worker_of(
    attempts: FakeAttempts, *, max_images: int = 0, timeout_seconds: float = 60.0
) -> Worker:
    shards = cast("ShardRunner", NoShards())
    return Worker(cast("AttemptRunner", attempts), shards, max_images, timeout_seconds)


def running(worker: Worker, name: str, attempts: int = 1) -> RunningAttempt:
    return worker._running[Assignment(name, name, attempts)]


@pytest.fixture
def attempts() -> FakeAttempts:
    return FakeAttempts()


@pytest.fixture
async def worker(attempts: FakeAttempts) -> Worker:
    worker = worker_of(attempts)
    worker.handle(WatchEvent("PAGE", [assigned("a"), assigned("b")]))
    await asyncio.sleep(0)
    return worker


async def test_finish_waits_for_running_attempts(worker: Worker, attempts: FakeAttempts) -> None:
    finishing = asyncio.create_task(worker.finish())
    attempts.ends["a"].set()
    await asyncio.sleep(0.01)
    assert not finishing.done()
    attempts.ends["b"].set()
    await asyncio.wait_for(finishing, 10)


async def test_finish_does_not_wait_for_reassigned_imagejobs(
    worker: Worker, attempts: FakeAttempts
) -> None:
    """If the worker waited for them, a hung thread would use up the whole grace period."""
    worker.handle(WatchEvent("DELETED", [assigned("a")]))
    worker.handle(WatchEvent("DELETED", [assigned("b")]))
    await asyncio.wait_for(worker.finish(), 10)


async def test_finish_ignores_new_assignments_and_imagejobs_reassigned_later(
    worker: Worker, attempts: FakeAttempts
) -> None:
    finishing = asyncio.create_task(worker.finish())
    attempts.ends["a"].set()
    await asyncio.sleep(0.01)
    worker.handle(WatchEvent("ADDED", [assigned("c")]))
    worker.handle(WatchEvent("DELETED", [assigned("b")]))
    await asyncio.wait_for(finishing, 10)
    assert list(attempts.ends) == ["a", "b"]


async def test_finish_waits_for_an_imagejob_that_is_assigned_again(
    worker: Worker, attempts: FakeAttempts
) -> None:
    worker.handle(WatchEvent("DELETED", [assigned("a"), assigned("b")]))
    worker.handle(WatchEvent("ADDED", [assigned("a", attempts=2)]))
    finishing = asyncio.create_task(worker.finish())
    await asyncio.sleep(0.01)
    assert not finishing.done()
    attempts.ends["a"].set()
    await asyncio.wait_for(finishing, 10)


async def test_imagejobs_reassigned_during_a_watch_interruption_are_released(
    worker: Worker, attempts: FakeAttempts
) -> None:
    worker.handle(WatchEvent("PAGE", [assigned("b", attempts=2)]))
    worker.handle(WatchEvent("SYNCED", names=frozenset("b"), version="9"))
    await asyncio.sleep(0)
    released = [attempt.assignment for attempt in worker._running.values() if attempt.released]
    assert {(assignment.name, assignment.attempt) for assignment in released} == {
        ("a", 1),
        ("b", 1),
    }

    finishing = asyncio.create_task(worker.finish())
    await asyncio.sleep(0.01)
    assert not finishing.done(), "the second attempt at b is still assigned"
    attempts.ends["b"].set()
    await asyncio.wait_for(finishing, 10)


async def test_finish_gives_up_after_finish_seconds(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FINISH_SECONDS", 0.01)
    await asyncio.wait_for(worker.finish(), 10)


async def test_worker_exits_after_max_images(attempts: FakeAttempts) -> None:
    worker = worker_of(attempts, max_images=2)
    worker.handle(WatchEvent("PAGE", [assigned("a")]))
    worker.handle(WatchEvent("PAGE", [assigned("b"), assigned("too many")]))
    await asyncio.sleep(0)
    assert list(attempts.ends) == ["a", "b"]
    assert not worker.should_exit.is_set()
    for end in attempts.ends.values():
        end.set()

    await asyncio.wait_for(worker.should_exit.wait(), 10)


async def test_worker_at_max_images_exits_when_all_its_imagejobs_are_reassigned(
    attempts: FakeAttempts,
) -> None:
    """A restarted operator does not know about hung threads, so the worker must exit by itself."""
    worker = worker_of(attempts, max_images=2)
    worker.handle(WatchEvent("PAGE", [assigned("a"), assigned("b")]))
    worker.handle(WatchEvent("DELETED", [assigned("a")]))
    assert not worker.should_exit.is_set()
    worker.handle(WatchEvent("DELETED", [assigned("b")]))
    assert worker.should_exit.is_set()


@pytest.mark.parametrize(
    ("scenario", "reassigned", "ended", "hangs"),
    [
        ("the threads never end", "ab", "", True),
        ("a user set a short timeout", "ab", "ab", False),
        ("one attempt is stuck, but another one has ended", "ab", "b", True),
        ("an assigned attempt is slow, and another one waits for it", "a", "", False),
        ("a user set a long timeout", "", "", False),
    ],
)
async def test_worker_exits_if_no_attempt_ends_within_the_describers_timeout(
    attempts: FakeAttempts, scenario: str, reassigned: str, ended: str, *, hangs: bool
) -> None:
    """The operator can't infer a hang from missed deadlines, since users may set short timeouts."""
    worker = worker_of(attempts, timeout_seconds=0.02)
    worker.handle(WatchEvent("ADDED", [assigned("a"), assigned("b")]))
    await asyncio.sleep(0)
    worker.handle(WatchEvent("DELETED", [assigned(name) for name in reassigned]))
    for name in ended:
        attempts.ends[name].set()

    await asyncio.sleep(0.1)
    assert worker.should_exit.is_set() == hangs, scenario


async def test_attempts_that_time_out_do_not_hide_a_hang(attempts: FakeAttempts) -> None:
    """Attempts that wait for a hung thread time out, but the thread is still running."""
    worker = worker_of(attempts, timeout_seconds=0.02)
    worker.handle(WatchEvent("ADDED", [assigned("hung")]))
    await asyncio.sleep(0)
    worker.handle(WatchEvent("DELETED", [assigned("hung")]))

    async with asyncio.timeout(20):
        for name in map(str, itertools.count()):
            worker.handle(WatchEvent("ADDED", [assigned(name)]))
            await asyncio.sleep(0)
            running(worker, name).started_at -= 0.02
            attempts.ends[name].set()
            await asyncio.sleep(0.002)  # let the attempt end and the watchdog check
            if worker.should_exit.is_set():
                return


async def test_overlapping_attempts_that_wait_for_a_hung_thread_do_not_hide_the_hang(
    attempts: FakeAttempts,
) -> None:
    """If attempts overlap, one always looks slow, although it only waits for the hung thread."""
    worker = worker_of(attempts, timeout_seconds=0.02)
    worker.handle(WatchEvent("ADDED", [assigned("hung")]))
    await asyncio.sleep(0)
    worker.handle(WatchEvent("DELETED", [assigned("hung")]))

    async with asyncio.timeout(20):
        for number in itertools.count():
            worker.handle(WatchEvent("ADDED", [assigned(f"{number}")]))
            await asyncio.sleep(0)
            running(worker, f"{number}").started_at -= 0.012
            if number:
                running(worker, f"{number - 1}").started_at -= 0.02
                attempts.ends[f"{number - 1}"].set()
            await asyncio.sleep(0.002)  # let the attempt end and the watchdog check
            if worker.should_exit.is_set():
                return


@pytest.mark.parametrize(("imagejob_seconds", "hangs"), [(None, True), (3600, False)])
async def test_imagejob_may_run_longer_if_its_own_timeout_is_longer(
    attempts: FakeAttempts, imagejob_seconds: int | None, *, hangs: bool
) -> None:
    """The test cancels the ImageJob while its provider still has time to answer."""
    worker = worker_of(attempts, timeout_seconds=0.02)
    job = assigned("a")
    job["spec"]["timeoutSeconds"] = imagejob_seconds
    worker.handle(WatchEvent("ADDED", [job]))
    await asyncio.sleep(0)
    worker.handle(WatchEvent("DELETED", [job]))
    await asyncio.sleep(0.1)
    assert worker.should_exit.is_set() == hangs


async def test_assignment_reported_twice_by_the_watch_is_attempted_once(
    worker: Worker, attempts: FakeAttempts
) -> None:
    worker.handle(WatchEvent("PAGE", [assigned("a"), assigned("b")]))
    await asyncio.sleep(0)
    assert list(attempts.ends) == ["a", "b"]
    assert len(worker._running) == 2
    assert not worker.should_exit.is_set()


async def test_late_event_for_a_committed_imagejob_starts_no_attempt(
    worker: Worker, attempts: FakeAttempts
) -> None:
    """The event may report a label that a user set. A second attempt would cost money."""
    attempts.ends["a"].set()
    await asyncio.sleep(0.01)
    worker.handle(WatchEvent("MODIFIED", [assigned("a")]))
    assert [assignment.name for assignment in worker._running] == ["b"]

    worker.handle(WatchEvent("DELETED", [assigned("a")]))
    worker.handle(WatchEvent("ADDED", [assigned("a", attempts=2)]))
    assert [assignment.name for assignment in worker._running] == ["b", "a"]

    worker.handle(WatchEvent("SYNCED", names=frozenset({"a", "b"})))
    assert not worker._committed


async def test_ended_attempts_are_forgotten(worker: Worker, attempts: FakeAttempts) -> None:
    worker.handle(WatchEvent("DELETED", [assigned("a")]))
    for end in attempts.ends.values():
        end.set()
    await worker.finish()
    await asyncio.sleep(0)
    assert (worker._running, worker._watchdog._watches) == ({}, {})
