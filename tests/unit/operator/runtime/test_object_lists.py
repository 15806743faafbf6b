"""Tests of the lists at the start, and of changes while they are read, with a fake API server."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from vision_node_contract.clients.kube import (
    GoneError,
    NotFoundError,
    Selectors,
    UnavailableError,
    WatchEvent,
)
from vision_node_operator.runtime import object_lists as module
from vision_node_operator.runtime.freshness import STUCK_SECONDS, Heartbeat
from vision_node_operator.runtime.object_lists import ObjectLists, Progress
from vision_node_operator.state.state import State

PAGE = 2
"""Number of ImageJobs on a page."""

FINISHED = ["done0", "done1", "done2", "done3", "done4"]
UNFINISHED = ["queued0", "queued1"]


EVERYTHING = Selectors()


class FakeServer:
    """A fake API server with ImageJobs, their history, and a hook before each page of a list."""

    def __init__(self) -> None:
        self.version = 10
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[WatchEvent] = []
        self.before_page: Callable[[str, int], None] = lambda fields, page: None
        self.lists: list[tuple[str, str]] = []
        self.reads: list[str] = []
        self.error: Exception | None = None
        self.fails_on = ""
        """Kind of objects that can't be listed."""
        self.complete_lists = 0

    def put(self, name: str, phase: str) -> None:
        self.version += 1
        kind = "MODIFIED" if name in self.objects else "ADDED"
        body = {
            "metadata": {"name": name, "uid": name, "resourceVersion": str(self.version)},
            "spec": {"image": {"key": f"images/{name}"}, "describer": "metadata"},
            "status": {"phase": phase},
        }
        self.objects[name] = body
        self.history.append(WatchEvent(kind, [body]))  # type: ignore[arg-type]

    def delete(self, name: str) -> None:
        self.version += 1
        body = self.objects.pop(name)
        meta = {**body["metadata"], "resourceVersion": str(self.version)}
        self.history.append(WatchEvent("DELETED", [{**body, "metadata": meta}]))

    async def list_pages(
        self, path: str, selectors: Selectors = EVERYTHING, *, consistent: bool = True
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        kind = path.rsplit("/", 1)[-1]
        # A list of all ImageJobs may take longer than the API server keeps a version.
        assert consistent is (kind != "imagejobs" or bool(selectors.fields))
        self.lists.append((kind, selectors.fields))
        if kind == self.fails_on:
            raise UnavailableError(0, "NoAnswer", "connection refused")
        version, found = str(self.version), []
        if kind == "imagejobs":
            self.complete_lists += not selectors.fields
            found = [self.objects[n] for n in sorted(self.objects) if self.matches(n, selectors)]

        for first in range(0, max(1, len(found)), PAGE):
            if kind == "imagejobs":
                self.before_page(selectors.fields, first // PAGE)
            if self.error and not selectors.fields:
                raise self.error
            await asyncio.sleep(0)
            yield found[first : first + PAGE], version

    def matches(self, name: str, selectors: Selectors) -> bool:
        finished = self.objects[name]["status"]["phase"] in {"done", "failed"}
        assert selectors.fields in {"", "status.phase!=done,status.phase!=failed"}
        return not (selectors.fields and finished)

    async def request(self, method: str, path: str) -> dict[str, Any]:
        name = path.rsplit("/", 1)[-1]
        self.reads.append(name)
        if self.error:
            raise self.error
        if name not in self.objects:
            raise NotFoundError(404, "NotFound", name)
        return self.objects[name]


class Operator:
    """The operator's state and lists, without its decisions."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.state = State()
        self.changed = asyncio.Event()
        fake: Any = server
        self.heartbeat = Heartbeat()
        self.lists = ObjectLists(fake, "ns", self.state, self.changed, self.heartbeat)
        self._watched = 0

    async def watch(self) -> None:
        """Take in the events that a watch would send that began at the version of the last list."""
        for event in self.server.history:
            (body,) = event.objects
            version = int(body["metadata"]["resourceVersion"])
            if version <= max(self._watched, self.state.versions.listed["imagejobs"]):
                continue

            self._watched = version
            if event.type == "DELETED":
                self.state.forget("imagejobs", body["metadata"]["name"], version, now())
            else:
                self.state.observe("imagejobs", body, now())

    async def complete(self) -> None:
        """Read the rest in the background until everything is known."""
        task = asyncio.create_task(self.lists.run())
        try:
            async with asyncio.timeout(60):
                while not self.state.knows_all_imagejobs or self.state.unconfirmed:
                    self.changed.clear()
                    await self.changed.wait()
        finally:
            task.cancel()
            await asyncio.wait([task])

    def known(self) -> dict[str, str]:
        """Return the phase of each known ImageJob; all finished ones count as done."""
        unfinished = self.state.job_queue.unfinished.items()
        known: dict[str, str] = {name: job.status.phase for name, job in unfinished}
        return known | dict.fromkeys(self.state.job_queue.finished, "done")


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def server() -> FakeServer:
    server = FakeServer()
    for name in FINISHED:
        server.put(name, "done")
    for name in UNFINISHED:
        server.put(name, "queued")
    return server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(module, "REST", 0)


def expected(server: FakeServer) -> dict[str, str]:
    return {name: body["status"]["phase"] for name, body in server.objects.items()}


async def test_unfinished_jobs_are_known_before_any_finished_one_is_read(
    server: FakeServer,
) -> None:
    operator = Operator(server)
    await operator.lists.read()
    assert operator.known() == dict.fromkeys(UNFINISHED, "queued")
    assert [kind for kind, _ in server.lists] == [
        "describers",
        "leases",
        "jobs",
        "imagejobs",
        "pods",
    ]
    assert not operator.state.knows_all_imagejobs

    await operator.complete()
    assert operator.known() == expected(server)


CHANGES: dict[str, Callable[[FakeServer], None]] = {
    "a job is finished": lambda server: server.put("queued0", "done"),
    "a job is deleted": lambda server: server.delete("queued0"),
    "a finished job is deleted": lambda server: server.delete("done0"),
    "the last finished job is deleted": lambda server: server.delete("done4"),
    "a job is created": lambda server: server.put("new", "queued"),
    "a job is finished and deleted": lambda server: (
        server.put("queued0", "done"),
        server.delete("queued0"),
    )[-1],
    "a job is created again": lambda server: (
        server.delete("queued0"),
        server.put("queued0", "queued"),
    )[-1],
    "a finished job is created again": lambda server: (
        server.delete("done0"),
        server.put("done0", "queued"),
    )[-1],
}

MOMENTS: dict[str, tuple[str, int]] = {
    "before the unfinished list is answered": (module.UNFINISHED.fields, 0),
    "before the first page of the complete list": ("", 0),
    "before the last page of the complete list": ("", 3),
}


@pytest.mark.parametrize("watch_first", [True, False], ids=["watch first", "list first"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("change", CHANGES)
async def test_change_while_lists_are_read_is_known_in_the_end(
    server: FakeServer, change: str, moment: str, *, watch_first: bool
) -> None:
    """The pages show the state before the change; the watch reports it before or after them."""
    operator, pending = Operator(server), [MOMENTS[moment]]
    tasks: list[asyncio.Task[None]] = []

    def before_page(fields: str, page: int) -> None:
        if pending and (fields, page) == pending[0]:
            pending.clear()
            CHANGES[change](server)
            if watch_first and not fields:
                tasks.append(asyncio.create_task(operator.watch()))

    server.before_page = before_page
    await operator.lists.read()
    if watch_first:
        await operator.watch()
    await operator.complete()
    await asyncio.gather(*tasks)
    await operator.watch()

    assert not pending
    assert operator.known() == expected(server)


async def test_job_that_is_created_again_while_the_complete_list_is_read_is_kept(
    server: FakeServer,
) -> None:
    """The list shows that the old job was deleted, but not yet the new one of the same name."""
    operator = Operator(server)

    def before_page(fields: str, page: int) -> None:
        if (fields, page) == ("", 2):
            server.put("queued0", "queued")
            body = server.objects["queued0"]
            operator.state.observe("imagejobs", body, now())

    await operator.lists.read()
    server.delete("queued0")
    server.before_page = before_page
    await operator.complete()
    assert operator.known() == expected(server)


@pytest.mark.parametrize("change", CHANGES)
async def test_missed_change_is_known_after_a_resync(server: FakeServer, change: str) -> None:
    """The watch has expired, so nothing reports what changed before the next list."""
    operator = Operator(server)
    await operator.lists.read()
    await operator.complete()
    CHANGES[change](server)
    operator.lists.record_loss()
    await operator.lists.read()
    await operator.complete()
    assert operator.known() == expected(server)


async def test_nothing_is_decided_about_a_job_that_is_missing_from_the_unfinished_list(
    server: FakeServer,
) -> None:
    operator = Operator(server)
    await operator.lists.read()
    server.put("queued0", "done")
    await operator.lists.read()
    assert operator.known()["queued0"] == "queued"
    assert [job.metadata.name for job in operator.state.queued("metadata", now())] == ["queued1"]

    await operator.complete()
    assert operator.known()["queued0"] == "done"
    assert operator.state.unconfirmed == set()


async def test_jobs_missing_from_the_unfinished_list_are_read_one_by_one_while_the_list_fails(
    server: FakeServer,
) -> None:
    operator = Operator(server)
    await operator.lists.read()
    server.put("queued0", "failed")
    server.delete("queued1")
    await operator.lists.read()

    assert await operator.lists._confirm_all()
    assert sorted(server.reads) == UNFINISHED
    assert operator.known() == {"queued0": "done"}


@pytest.mark.parametrize(
    "error", [UnavailableError(0, "NoAnswer", "reset"), GoneError(410, "Expired", "old")], ids=repr
)
async def test_complete_list_that_fails_is_repeated_and_what_it_had_read_is_kept(
    server: FakeServer, error: Exception
) -> None:
    operator = Operator(server)
    known_at_failure: list[dict[str, str]] = []

    def before_page(fields: str, page: int) -> None:
        server.error = None
        if not fields and page == 2 and server.complete_lists < 3:
            known_at_failure.append(operator.known())
            server.error = error

    server.before_page = before_page
    await operator.lists.read()
    await operator.complete()
    assert server.complete_lists == 3
    assert known_at_failure[0].items() >= dict.fromkeys(FINISHED[:4], "done").items()
    assert operator.known() == expected(server)


async def test_deletion_is_remembered_until_the_last_page_of_a_long_list(
    server: FakeServer,
) -> None:
    """Resyncs in between forget old deletions, but not those that a page may still contradict."""
    operator = Operator(server)
    resyncs: list[asyncio.Task[None]] = []

    async def resync_twice() -> None:
        await operator.watch()
        await operator.lists.read()
        await operator.lists.read()

    def before_page(fields: str, page: int) -> None:
        if (fields, page) == ("", 1):
            server.delete("done4")
            server.put("another", "queued")
            resyncs.append(asyncio.create_task(resync_twice()))

    server.before_page = before_page
    await operator.lists.read()
    listed = server.list_pages

    async def slow_pages(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async for page in listed(*args, **options):
            if not args[1:]:
                await asyncio.gather(*resyncs)
            yield page

    server.list_pages = slow_pages  # type: ignore[method-assign]
    await operator.complete()
    assert operator.known() == expected(server)


async def test_at_most_one_complete_list_is_read_at_a_time(server: FakeServer) -> None:
    operator = Operator(server)
    await operator.lists.read()
    reading, is_answered = asyncio.Event(), asyncio.Event()
    listed = server.list_pages

    async def slow_pages(*args: Any, **options: Any) -> AsyncIterator[Any]:
        async for page in listed(*args, **options):
            if not args[1:]:
                reading.set()
                await is_answered.wait()
            yield page

    server.list_pages = slow_pages  # type: ignore[method-assign]
    completion = asyncio.create_task(operator.complete())
    await asyncio.wait_for(reading.wait(), 30)
    for _ in range(3):
        await operator.lists.read()

    assert server.complete_lists == 1
    is_answered.set()
    await completion


async def test_finished_jobs_create_no_records_of_workers_that_are_gone(
    server: FakeServer,
) -> None:
    for name in FINISHED:
        server.objects[name]["status"] |= {"worker": f"gone-{name}", "attempts": 1}
    operator = Operator(server)
    await operator.lists.read()
    await operator.complete()
    assert operator.state.workers.records == {}


async def test_only_pages_that_decisions_wait_for_count_as_progress(server: FakeServer) -> None:
    """Otherwise a long list in the background would hide that the loop hangs."""
    operator = Operator(server)
    operator.heartbeat._last = -STUCK_SECONDS
    await operator.lists.read()
    assert operator.heartbeat.check() < STUCK_SECONDS

    operator.heartbeat._last = time.monotonic() - STUCK_SECONDS - 1
    await operator.complete()
    with pytest.raises(RuntimeError, match="no progress for 31 s"):
        operator.heartbeat.check()


def test_progress_is_logged_at_most_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    caplog.set_level("INFO")
    progress = Progress()
    for _ in range(24):
        clock[0] += 0.5
        progress.add(500)

    progress.log_total()
    assert [record.message for record in caplog.records] == [
        "read 5,000 ImageJobs so far",
        "read 10,000 ImageJobs so far",
        "read all 12,000 ImageJobs in 12 s",
    ]


async def test_missed_change_is_listed_without_a_pause(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that was created and finished meanwhile is on no list of unfinished ones."""
    monkeypatch.setattr(module, "REST", 10**9)
    operator = Operator(server)
    await operator.lists.read()
    task = asyncio.create_task(operator.lists.run())
    await until(lambda: operator.state.knows_all_imagejobs)

    server.put("missed", "done")
    operator.lists.record_loss()
    assert not operator.state.knows_all_imagejobs
    await operator.lists.read()
    await until(lambda: operator.state.knows_all_imagejobs)
    assert operator.known()["missed"] == "done"
    task.cancel()


async def test_list_that_began_before_a_loss_does_not_count(server: FakeServer) -> None:
    operator = Operator(server)
    await operator.lists.read()
    server.before_page = lambda fields, page: (
        operator.lists.record_loss() if (fields, page) == ("", 2) else None
    )
    await operator.lists._list_all_imagejobs()
    assert not operator.state.knows_all_imagejobs

    server.before_page = lambda *_: None
    await operator.lists._list_all_imagejobs()
    assert operator.state.knows_all_imagejobs


async def test_missing_jobs_are_read_even_if_a_later_list_fails(server: FakeServer) -> None:
    operator = Operator(server)
    await operator.lists.read()
    server.put("queued0", "done")
    server.fails_on = "pods"
    with pytest.raises(UnavailableError):
        await operator.lists.read()

    task = asyncio.create_task(operator.lists._confirm_repeatedly())
    await until(lambda: not operator.state.unconfirmed)
    assert operator.known()["queued0"] == "done"
    task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the condition has no event)
            await asyncio.sleep(0.001)
