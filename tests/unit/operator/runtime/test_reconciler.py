"""Tests of the reconciler: failed, conflicting and slow writes, and resyncs."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from vision_node_contract.clients.kube import (
    ConflictError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from vision_node_contract.names import DESCRIBER_LABEL, REQUESTS_ANNOTATION, WARNING_ANNOTATION
from vision_node_operator.decisions.actions import (
    Assign,
    EmitEvent,
    ExpireUpload,
    Launch,
    Retire,
    UpdateStatus,
    Write,
)
from vision_node_operator.runtime import reconciler as module
from vision_node_operator.runtime.freshness import STUCK_SECONDS, Heartbeat
from vision_node_operator.runtime.reconciler import Reconciler, until_answered
from vision_node_operator.runtime.writer import NameTakenError
from vision_node_operator.settings import Settings
from vision_node_operator.state.object_versions import Kind
from world import pool_of

TEMPLATE = {"spec": {"containers": [{"name": "worker"}]}}
DESCRIBER = {"metadata": {"name": "metadata", "resourceVersion": "1"}, "spec": {"maxWorkers": 1}}
POOL = pool_of(DESCRIBER, TEMPLATE)
SETTINGS = Settings("ns", owner_name="describers", job_prefix="vn")


def imagejob(version: int, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "j", "uid": "u", "resourceVersion": str(version)},
        "spec": {"image": {"key": "images/1"}, "describer": "metadata"},
        "status": {"phase": "queued", **status},
    }


def worker() -> list[tuple[Any, dict[str, Any]]]:
    labels = {
        "vision-node.dev/describer": "metadata",
        "vision-node.dev/template-hash": POOL.template_hash,
    }
    created = datetime.now(UTC).isoformat()
    job = {
        "name": "vn-metadata-0",
        "uid": "ju",
        "resourceVersion": "1",
        "creationTimestamp": created,
    }
    pod = {
        "name": "w0",
        "resourceVersion": "1",
        "labels": {"batch.kubernetes.io/controller-uid": "ju"},
    }
    lease = {"name": "w0", "resourceVersion": "1"}

    return [
        ("jobs", {"metadata": {**job, "labels": labels}}),
        ("pods", {"metadata": pod, "status": {"phase": "Running"}}),
        ("leases", {"metadata": lease, "spec": {"renewTime": created}}),
    ]


def renewed_lease(version: int, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "w0",
            "resourceVersion": str(version),
            "labels": {DESCRIBER_LABEL: "metadata"},
            "annotations": annotations or {},
        },
        "spec": {"renewTime": datetime.now(UTC).isoformat()},
    }


LISTS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "imagebatches")
"""Kinds that an operator without ImageBatches lists."""


class FakeServer:
    """A fake API server that returns `lists` and `current_job`, or raises `error` if it is set."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.error: Exception | None = None
        self.current_job: dict[str, Any] | None = None
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.answered = asyncio.Event()
        self.requests = self.listed = self.reading = self.max_concurrent_reads = 0

    async def list_pages(self, path: str, selectors: Any = None, **__: Any) -> Any:
        self.requests += 1
        if self.error:
            raise self.error

        self.reading += 1
        self.max_concurrent_reads = max(self.reading, self.max_concurrent_reads)
        await asyncio.sleep(0)
        self.listed += 1
        self.answered.set()
        found = self.lists.get(path.rsplit("/", 1)[-1], [])
        if selectors and selectors.fields:
            found = [body for body in found if body["status"]["phase"] in {"queued", "processing"}]
        yield found, "9"
        self.reading -= 1

    async def request(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path.rsplit("/", 1)[-1]) == ("GET", "j")
        if self.current_job is None:
            raise NotFoundError(404, "NotFound", "j")
        return self.current_job

    async def perform(self, action: Write, now: datetime) -> Any:
        if isinstance(action, UpdateStatus | EmitEvent):
            return "describers", DESCRIBER
        self.writes.append(action)
        if self.error:
            raise self.error
        await asyncio.sleep(0)
        return "imagejobs", imagejob(9, phase="processing", worker="w0", attempts=1)


class IdleCollector:
    async def sweep_periodically(self) -> None:
        await asyncio.Event().wait()

    def collect(self, *_: Any) -> None:
        """Ignore the objects of a deleted ImageJob."""

    def delete_unnamed(self, *_: Any) -> None:
        """Delete nothing."""


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def reconciler_of(server: FakeServer) -> Reconciler:
    fake: Any = server
    collector: Any = IdleCollector()
    reconciler = Reconciler(fake, SETTINGS, fake, collector, TEMPLATE)
    reconciler.observe("describers", "ADDED", DESCRIBER)
    return reconciler


async def run(
    server: FakeServer, *events: tuple[Any, dict[str, Any]], seconds: float = 0.3
) -> Reconciler:
    """Start a reconciler, pass `events` to it, stop it after `seconds`, and return it."""
    reconciler = reconciler_of(server)
    task = asyncio.create_task(reconciler.run())
    await asyncio.sleep(0.01)
    for kind, body in events:
        reconciler.observe(kind, "ADDED", body)

    await asyncio.sleep(seconds)
    assert not task.done(), "the loop must continue even if writes fail"
    task.cancel()
    return reconciler


async def test_assignment_counts_as_soon_as_the_api_server_confirms_it(server: FakeServer) -> None:
    reconciler = await run(server, *worker(), ("imagejobs", imagejob(2)))
    assert [type(write) for write in server.writes] == [Assign]
    assert reconciler.state.job_queue.in_flight("w0") == 1
    assert reconciler.state.pending_writes == {}


@pytest.mark.parametrize("reported_first", [True, False])
async def test_job_name_is_available_once_the_watch_reports_the_deletion(
    server: FakeServer, *, reported_first: bool
) -> None:
    """The watch may report the deletion before or after the API server answers the DELETE."""
    reconciler = reconciler_of(server)
    (_, job), *_ = worker()
    deleted = {"metadata": {"name": "vn-metadata-0", "resourceVersion": "5"}}
    answered = asyncio.Event()

    async def perform(action: Write, now: datetime) -> Any:
        if isinstance(action, UpdateStatus):
            return "describers", DESCRIBER
        assert isinstance(action, Retire)
        await answered.wait()
        return "jobs", None

    server.perform = perform  # type: ignore[method-assign]
    task = asyncio.create_task(reconciler.run())
    reconciler.observe("jobs", "ADDED", {**job, "status": {"failed": 1}})
    await asyncio.sleep(0.05)
    if reported_first:
        reconciler.observe("jobs", "DELETED", deleted)

    answered.set()
    await asyncio.sleep(0.05)
    if not reported_first:
        assert list(reconciler.state.backoff_until) == [("jobs", "vn-metadata-0")]
        reconciler.observe("jobs", "DELETED", deleted)

    assert reconciler.state.backoff_until == {}
    task.cancel()


FAILURES = [
    KubeError(403, "Forbidden", "exceeded quota"),
    KubeError(422, "Invalid", "name too long"),
    UnavailableError(0, "NoAnswer", "connection refused"),
    NotFoundError(404, "NotFound", "namespace"),
    ConflictError(409, "Conflict", "job"),
    ZeroDivisionError("a bug"),
]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
async def test_failed_launch_is_retried_with_backoff(server: FakeServer, error: Exception) -> None:
    server.error = error
    await run(server, ("imagejobs", imagejob(2)), seconds=0.5)
    assert {type(write) for write in server.writes} == {Launch}
    assert 1 <= len(server.writes) <= 5


async def test_launch_uses_the_next_slot_if_a_name_is_taken(server: FakeServer) -> None:
    """An unrelated Job with the worker's name must not block a pool that has only one worker."""
    (_, job), *_ = worker()
    launched: list[str] = []

    async def perform(action: Write, now: datetime) -> Any:
        if isinstance(action, UpdateStatus):
            return "describers", DESCRIBER
        assert isinstance(action, Launch)
        launched.append(action.name)
        if action.name == "vn-metadata-0":
            raise NameTakenError(409, "AlreadyExists", action.name)
        return "jobs", {"metadata": {**job["metadata"], "name": action.name}}

    server.perform = perform  # type: ignore[method-assign]
    await run(server, ("imagejobs", imagejob(2)))
    assert launched == ["vn-metadata-0", "vn-metadata-1"]


@pytest.mark.parametrize("error", [FAILURES[0], FAILURES[2], FAILURES[5]], ids=repr)
async def test_failed_assignment_is_retried_with_backoff(
    server: FakeServer, error: Exception
) -> None:
    server.error = error
    await run(server, *worker(), ("imagejobs", imagejob(2)), seconds=0.5)
    assert 1 <= len(server.writes) <= 5


async def test_job_is_read_again_after_a_conflict(server: FakeServer) -> None:
    server.error, server.current_job = (
        ConflictError(409, "Conflict", "j"),
        imagejob(5, phase="failed"),
    )
    reconciler = await run(server, *worker(), ("imagejobs", imagejob(2)))
    assert len(server.writes) == 1
    assert list(reconciler.state.job_queue.finished) == ["j"]


async def test_upload_that_is_completed_when_it_expires_goes_on_at_once(
    server: FakeServer,
) -> None:
    """If it had to be left alone for a while, its images could not be counted."""

    def batch(version: int, *, complete: bool) -> dict[str, Any]:
        metadata = {"name": "j", "uid": "u", "resourceVersion": str(version)}
        created = {"creationTimestamp": "2026-01-01T00:00:00Z"}
        return {"metadata": metadata | created, "spec": {"upload": {"complete": complete}}}

    server.error, server.current_job = ConflictError(409, "Conflict", "j"), batch(5, complete=True)
    reconciler = await run(server, ("imagebatches", batch(2, complete=False)))

    assert [type(write) for write in server.writes] == [ExpireUpload]
    assert not reconciler.state.batches.batches["j"].batch.is_being_uploaded
    assert reconciler.state.backoff_until == {}


async def test_deleted_job_is_forgotten_after_a_failed_write(server: FakeServer) -> None:
    server.error = NotFoundError(404, "NotFound", "j")
    reconciler = await run(server, *worker(), ("imagejobs", imagejob(2)))
    assert len(server.writes) == 1
    assert reconciler.state.job_queue.unfinished == {}


async def test_startup_waits_for_the_crd() -> None:
    answers: list[Exception | str] = [
        NotFoundError(404, "NotFound", "imagejobs"),
        FAILURES[2],
        "lists",
    ]

    async def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    heartbeat = Heartbeat(-STUCK_SECONDS)
    assert await until_answered(call, heartbeat) == "lists"
    assert heartbeat.check() < STUCK_SECONDS


class Clock:
    """A clock for the reconciler that tests can move forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = timedelta(0)
        monkeypatch.setattr(module, "utcnow", lambda: datetime.now(UTC) + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def add_job_with_deadline(reconciler: Reconciler) -> None:
    """Report a serving worker, and an ImageJob that it must finish within 5 s."""
    for kind, body in worker():
        reconciler.observe(kind, "ADDED", body)
    deadline = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    attempt = {"phase": "processing", "worker": "w0", "attempts": 1, "attemptDeadline": deadline}
    reconciler.observe("imagejobs", "ADDED", imagejob(2, **attempt))


async def test_everything_is_listed_again_before_the_first_decision_after_a_pause(
    server: FakeServer, clock: Clock
) -> None:
    """The worker finished the job during the pause, but the watch has not reported that yet."""
    reconciler = reconciler_of(server)
    add_job_with_deadline(reconciler)
    clock.ahead = timedelta(seconds=25)
    server.lists = {kind: [body] for kind, body in worker()} | {"describers": [DESCRIBER]}
    server.lists["imagejobs"] = [imagejob(8, phase="done", worker="w0", attempts=1)]
    assert await reconciler._ensure_fresh()
    reconciler.state.grace_until = None
    reconciler._round()
    assert not reconciler.state.workers.records["w0"].cordoned
    assert reconciler.state.unconfirmed == {"j"}
    assert server.writes == []

    task = asyncio.create_task(reconciler._lists.run())
    await until(lambda: reconciler.state.knows_all_imagejobs)
    assert list(reconciler.state.job_queue.finished) == ["j"]
    task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the condition has no event)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("names_same_image", [True, False])
async def test_objects_of_a_deleted_job_are_kept_until_all_jobs_are_known(
    server: FakeServer, *, names_same_image: bool
) -> None:
    """A finished job that has not been listed yet may name the same image."""
    reconciler, collected, deleted = reconciler_of(server), [], []

    def delete_unnamed(queue: Any) -> None:
        deleted.extend(key for key in collected if not queue.is_image_named(key))
        collected.clear()

    collector: Any = reconciler._garbage
    collector.collect = lambda job: collected.append(job.spec.image.key)
    collector.delete_unnamed = delete_unnamed
    other = imagejob(3, phase="done")
    other["metadata"]["name"] = "other"
    server.lists["imagejobs"] = [other] if names_same_image else []
    await reconciler.resync()
    reconciler.observe("imagejobs", "DELETED", imagejob(10, phase="done"))
    reconciler._round()
    assert collected == ["images/1"]

    task = asyncio.create_task(reconciler.run())
    await until(lambda: not collected)
    assert deleted == ([] if names_same_image else ["images/1"])

    # After a loss of changes, an unknown job may name the image, so objects wait again.
    await reconciler.resync_after_loss()
    assert not reconciler.state.knows_all_imagejobs
    await until(lambda: reconciler.state.knows_all_imagejobs)
    task.cancel()


async def test_operator_that_waits_for_the_api_server_is_not_stuck(server: FakeServer) -> None:
    reconciler = reconciler_of(server)
    reconciler._freshness.cut_off = True
    server.error = UnavailableError(0, "NoAnswer", "connection refused")
    reconciler.heartbeat._last = -STUCK_SECONDS
    task = asyncio.create_task(reconciler.run())
    await until(lambda: server.requests > 1)
    assert reconciler.heartbeat.check() < STUCK_SECONDS
    task.cancel()


async def test_operator_whose_loop_hangs_is_stuck(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconciler, hanging = reconciler_of(server), asyncio.Event()

    async def hang() -> bool:
        hanging.set()
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(reconciler, "_ensure_fresh", hang)
    task = asyncio.create_task(reconciler.run())
    await asyncio.wait_for(hanging.wait(), 30)
    reconciler.heartbeat._last -= STUCK_SECONDS
    with pytest.raises(RuntimeError, match="no progress for 30 s"):
        reconciler.heartbeat.check()
    task.cancel()


async def test_grace_period_starts_when_the_api_server_is_available_again(
    server: FakeServer, clock: Clock
) -> None:
    reconciler = reconciler_of(server)
    add_job_with_deadline(reconciler)
    server.error = UnavailableError(0, "NoAnswer", "connection refused")
    clock.ahead = timedelta(seconds=25)
    assert not await reconciler._ensure_fresh()
    server.error = None
    server.lists = {kind: [body] for kind, body in worker()} | {"imagejobs": [imagejob(2)]}
    assert await reconciler._ensure_fresh()
    assert reconciler.state.is_in_grace_period(module.utcnow())
    clock.ahead += timedelta(seconds=11)
    assert not reconciler.state.is_in_grace_period(module.utcnow())


async def test_requests_to_an_unavailable_api_server_are_retried_with_backoff(
    server: FakeServer,
) -> None:
    reconciler = reconciler_of(server)
    reconciler._freshness.cut_off = True
    server.error = UnavailableError(0, "NoAnswer", "connection refused")
    task = asyncio.create_task(reconciler.run())
    await asyncio.sleep(0.5)
    assert not task.done()
    assert 1 <= server.requests <= 20
    server.error = None
    await asyncio.wait_for(server.answered.wait(), module.UNAVAILABLE_SECONDS[1] + 1)
    task.cancel()


async def test_resyncs_do_not_overlap(server: FakeServer) -> None:
    """If resyncs overlapped, an older list could restore objects that a newer list lacks."""
    reconciler = reconciler_of(server)
    await asyncio.gather(reconciler.resync(), reconciler.resync())
    assert server.max_concurrent_reads == 1


async def test_silent_lease_watch_causes_a_resync(server: FakeServer, clock: Clock) -> None:
    """Without a resync, idle workers would count as silent after 20 s and be retired."""
    reconciler = reconciler_of(server)
    for kind, body in worker():
        reconciler.observe(kind, "ADDED", body)

    for version in range(2, 6):
        clock.ahead += timedelta(seconds=4)
        reconciler.observe("imagejobs", "ADDED", imagejob(version))
        assert await reconciler._ensure_fresh()

    assert server.listed == len(LISTS)


async def test_renewed_lease_starts_a_round_only_if_it_was_silent_before(
    server: FakeServer,
) -> None:
    """If each renewal started a round, 200 idle workers would cause forty rounds per second."""
    reconciler = reconciler_of(server)
    for kind, body in worker():
        reconciler.observe(kind, "ADDED", body)

    now = datetime.now(UTC)
    assert not reconciler.state.observe("leases", renewed_lease(2), now)
    assert reconciler.state.observe("leases", renewed_lease(3), now + timedelta(seconds=20))
    assert not reconciler.state.observe("leases", renewed_lease(4), now + timedelta(seconds=25))


@pytest.mark.parametrize("annotation", [WARNING_ANNOTATION, REQUESTS_ANNOTATION])
async def test_changed_annotation_of_a_lease_starts_a_round(
    server: FakeServer, annotation: str
) -> None:
    reconciler = reconciler_of(server)
    for kind, body in worker():
        reconciler.observe(kind, "ADDED", body)

    now = datetime.now(UTC)
    changed = [renewed_lease(version, {annotation: "2"}) for version in (2, 3)]
    assert [reconciler.state.observe("leases", it, now) for it in changed] == [True, False]


async def test_resync_after_silent_leases_does_not_start_a_grace_period(
    server: FakeServer, clock: Clock
) -> None:
    """The worker may be hanging, so the deadlines of its jobs must still be enforced."""
    reconciler = reconciler_of(server)
    add_job_with_deadline(reconciler)
    server.lists = {kind: [body] for kind, body in worker()} | {"imagejobs": [imagejob(2)]}

    for _ in range(5):
        clock.ahead += timedelta(seconds=4)
        assert await reconciler._ensure_fresh()

    assert server.listed > 0
    assert not reconciler.state.is_in_grace_period(module.utcnow())


async def test_cancellation_that_arrives_with_a_change_ends_the_loop(server: FakeServer) -> None:
    """In Python 3.11, wait_for() would swallow the cancellation and the operator would not stop."""
    reconciler = reconciler_of(server)
    loop = asyncio.create_task(reconciler.run())
    # Let the loop run until it waits for a change.
    for _ in range(5):
        await asyncio.sleep(0)

    reconciler.observe("pods", "DELETED", {"metadata": {"name": "w0", "resourceVersion": "2"}})
    loop.cancel()
    await asyncio.wait([loop], timeout=5)
    ended = loop.cancelled()
    loop.cancel()
    assert ended


@pytest.mark.parametrize("archiver_deletes", [True, False])
async def test_objects_of_deleted_jobs_are_the_archivers_with_its_chart(
    server: FakeServer, *, archiver_deletes: bool
) -> None:
    reconciler, collected, swept = reconciler_of(server), [], asyncio.Event()
    collector: Any = reconciler._garbage
    collector.collect = lambda job: collected.append(job.spec.image.key)
    sweep = collector.sweep_periodically

    async def sweep_periodically() -> None:
        swept.set()
        await sweep()

    collector.sweep_periodically = sweep_periodically
    if archiver_deletes:
        reconciler._garbage = None

    await reconciler.resync()
    task = asyncio.create_task(reconciler.run())
    await until(lambda: reconciler.state.knows_all_imagejobs)
    reconciler.observe("imagejobs", "ADDED", imagejob(10, phase="done"))
    assert "j" in reconciler.state.job_queue.finished

    reconciler.observe("imagejobs", "DELETED", imagejob(11, phase="done"))
    assert "j" not in reconciler.state.job_queue.finished
    assert collected == ([] if archiver_deletes else ["images/1"])
    assert swept.is_set() is not archiver_deletes
    task.cancel()


@pytest.mark.parametrize(
    ("has_history", "seconds", "warnings"),
    [
        (True, [0], 1),
        (True, [0, 1, 599], 1),
        (True, [0, 1, 600, 601], 2),
        (False, [0, 600], 0),
    ],
)
def test_jobs_that_pile_up_although_they_are_archived_are_logged(
    server: FakeServer,
    seconds: list[float],
    warnings: int,
    caplog: pytest.LogCaptureFixture,
    *,
    has_history: bool,
) -> None:
    reconciler = reconciler_of(server)
    reconciler._settings = replace(SETTINGS, has_history=has_history, max_imagejobs=1)
    reconciler.state.knows_all_imagejobs = True
    reconciler.observe("imagejobs", "ADDED", imagejob(10, phase="done"))

    now = datetime.now(UTC)
    for after in seconds:
        reconciler._warn_if_nearly_full(now + timedelta(seconds=after))

    texts = [it.getMessage() for it in caplog.records if "limits.imageJobs" in it.getMessage()]
    assert len(texts) == warnings
    assert all("vision_node_database_up" in text for text in texts)
