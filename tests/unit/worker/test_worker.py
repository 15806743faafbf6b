"""The worker: each assignment once, no more than it may have; its end and its last words."""

import asyncio
import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    KubeError,
    UnavailableError,
    WatchEvent,
)
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import WARNING_ANNOTATION
from vision_node_describer import lease
from vision_node_describer import worker as module
from vision_node_describer.settings import Settings
from vision_node_describer.termination_message import LastWords
from vision_node_describer.worker import Assignment, Worker


class Attempts:
    """Attempts that end when told to."""

    def __init__(self) -> None:
        self.ends: dict[str, asyncio.Event] = {}

    async def attempt(self, job: ImageJob) -> None:
        await self.ends.setdefault(job.metadata.uid, asyncio.Event()).wait()


def assigned(uid: str, attempts: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"name": uid, "uid": uid, "resourceVersion": "1"},
        "spec": {"image": {"key": "images/1"}},
        "status": {"phase": "processing", "attempts": attempts},
    }


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


@pytest.fixture
async def worker(attempts: Attempts) -> Worker:
    parts: Any = (attempts,)
    worker = Worker(*parts)
    worker.take(WatchEvent("PAGE", [assigned("a"), assigned("b")]))
    await asyncio.sleep(0)
    return worker


async def test_it_finishes_what_it_holds(worker: Worker, attempts: Attempts) -> None:
    finishing = asyncio.create_task(worker.finish())
    attempts.ends["a"].set()
    await asyncio.sleep(0.01)
    assert not finishing.done()
    attempts.ends["b"].set()
    await asyncio.wait_for(finishing, 1)


async def test_it_does_not_wait_for_what_was_taken_back(worker: Worker, attempts: Attempts) -> None:
    """Threads that hang in a describer would keep it for its whole grace period."""
    worker.take(WatchEvent("DELETED", [assigned("a")]))
    worker.take(WatchEvent("DELETED", [assigned("b")]))
    await asyncio.wait_for(worker.finish(), 1)


async def test_nor_for_what_is_taken_back_meanwhile_and_begins_no_more(
    worker: Worker, attempts: Attempts
) -> None:
    finishing = asyncio.create_task(worker.finish())
    attempts.ends["a"].set()
    await asyncio.sleep(0.01)
    worker.take(WatchEvent("ADDED", [assigned("c")]))
    worker.take(WatchEvent("DELETED", [assigned("b")]))
    await asyncio.wait_for(finishing, 1)
    assert list(attempts.ends) == ["a", "b"]


async def test_it_waits_for_what_it_was_given_anew(worker: Worker, attempts: Attempts) -> None:
    worker.take(WatchEvent("DELETED", [assigned("a"), assigned("b")]))
    worker.take(WatchEvent("ADDED", [assigned("a", attempts=2)]))
    finishing = asyncio.create_task(worker.finish())
    await asyncio.sleep(0.01)
    assert not finishing.done()
    attempts.ends["a"].set()
    await asyncio.wait_for(finishing, 1)


async def test_a_list_after_a_gap_shows_what_was_taken_back(
    worker: Worker, attempts: Attempts
) -> None:
    worker.take(WatchEvent("PAGE", [assigned("b", attempts=2)]))
    worker.take(WatchEvent("SYNCED", names=frozenset("b"), version="9"))
    await asyncio.sleep(0)
    assert {(held.name, held.attempt) for held in worker._over} == {("a", 1), ("b", 1)}
    finishing = asyncio.create_task(worker.finish())
    await asyncio.sleep(0.01)
    assert not finishing.done(), "the second attempt at b is ours"
    attempts.ends["b"].set()
    await asyncio.wait_for(finishing, 1)


async def test_but_not_for_ever(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FINISH_SECONDS", 0.01)
    await asyncio.wait_for(worker.finish(), 1)


async def test_it_is_used_up_when_it_has_finished_all_that_it_may_have(attempts: Attempts) -> None:
    parts: Any = (attempts,)
    worker = Worker(*parts, max_images=2)
    worker.take(WatchEvent("PAGE", [assigned("a")]))
    worker.take(WatchEvent("PAGE", [assigned("b"), assigned("too many")]))
    await asyncio.sleep(0)
    assert list(attempts.ends) == ["a", "b"]
    assert not worker.useless.is_set()
    for end in attempts.ends.values():
        end.set()

    await asyncio.wait_for(worker.useless.wait(), 1)


async def test_it_is_used_up_when_all_that_it_holds_was_taken_back(attempts: Attempts) -> None:
    """The operator may have begun anew since, and know nothing of a thread that hangs."""
    parts: Any = (attempts,)
    worker = Worker(*parts, max_images=2)
    worker.take(WatchEvent("PAGE", [assigned("a"), assigned("b")]))
    worker.take(WatchEvent("DELETED", [assigned("a")]))
    assert not worker.useless.is_set()
    worker.take(WatchEvent("DELETED", [assigned("b")]))
    assert worker.useless.is_set()


@pytest.mark.parametrize(
    ("why", "taken_back", "ends", "hangs"),
    [
        ("its threads never end", "ab", "", True),
        ("a user was impatient", "ab", "ab", False),
        ("what hangs is found though another ended at first", "ab", "b", True),
        ("one that is still ours takes its time, and others wait for it", "a", "", False),
        ("a user is patient", "", "", False),
    ],
)
async def test_it_ends_when_nothing_ends_within_the_describers_timeout(
    attempts: Attempts, why: str, taken_back: str, ends: str, *, hangs: bool
) -> None:
    """Though no deadline tells the operator: all its images may have timeouts of a second."""
    parts: Any = (attempts,)
    worker = Worker(*parts, timeout_seconds=0.02)
    worker.take(WatchEvent("ADDED", [assigned("a"), assigned("b")]))
    await asyncio.sleep(0)
    worker.take(WatchEvent("DELETED", [assigned(name) for name in taken_back]))
    for name in ends:
        attempts.ends[name].set()

    await asyncio.sleep(0.1)
    assert worker.useless.is_set() == hangs, why


async def test_attempts_that_run_out_of_time_are_no_sign_of_life(attempts: Attempts) -> None:
    """They end because they wait for threads that hang, and the next ones will, too."""
    parts: Any = (attempts,)
    worker = Worker(*parts, timeout_seconds=0.02)
    worker.take(WatchEvent("ADDED", [assigned("hung")]))
    await asyncio.sleep(0)
    worker.take(WatchEvent("DELETED", [assigned("hung")]))

    async with asyncio.timeout(2):
        for name in map(str, itertools.count()):
            worker.take(WatchEvent("ADDED", [assigned(name)]))
            await asyncio.sleep(0)
            worker._begun[Assignment(name, name, 1)] -= 0.02
            attempts.ends[name].set()
            await asyncio.sleep(0.002)  # in which it ends, and the worker may look
            if worker.useless.is_set():
                return


async def test_nor_does_one_that_waits_in_vain_explain_for_ever_that_nothing_ends(
    attempts: Attempts,
) -> None:
    """With several images at once, there is always one that has been in work for a while."""
    parts: Any = (attempts,)
    worker = Worker(*parts, timeout_seconds=0.02)
    worker.take(WatchEvent("ADDED", [assigned("hung")]))
    await asyncio.sleep(0)
    worker.take(WatchEvent("DELETED", [assigned("hung")]))

    async with asyncio.timeout(2):
        for number in itertools.count():
            worker.take(WatchEvent("ADDED", [assigned(f"{number}")]))
            await asyncio.sleep(0)
            worker._begun[Assignment(f"{number}", f"{number}", 1)] -= 0.012
            if number:
                worker._begun[Assignment(f"{number - 1}", f"{number - 1}", 1)] -= 0.02
                attempts.ends[f"{number - 1}"].set()
            await asyncio.sleep(0.002)  # in which it ends, and the worker may look
            if worker.useless.is_set():
                return


@pytest.mark.parametrize(("own_seconds", "hangs"), [(None, True), (3600, False)])
async def test_a_longer_timeout_of_its_imagejob_explains_that_it_does_not_end(
    attempts: Attempts, own_seconds: int | None, *, hangs: bool
) -> None:
    """It was cancelled while its provider still had time to answer."""
    parts: Any = (attempts,)
    worker = Worker(*parts, timeout_seconds=0.02)
    job = assigned("a")
    job["spec"]["timeoutSeconds"] = own_seconds
    worker.take(WatchEvent("ADDED", [job]))
    await asyncio.sleep(0)
    worker.take(WatchEvent("DELETED", [job]))
    await asyncio.sleep(0.1)
    assert worker.useless.is_set() == hangs


async def test_each_assignment_is_attempted_once_however_often_it_is_shown(
    worker: Worker, attempts: Attempts
) -> None:
    worker.take(WatchEvent("PAGE", [assigned("a"), assigned("b")]))
    await asyncio.sleep(0)
    assert list(attempts.ends) == ["a", "b"]
    assert len(worker._held) == 2
    assert not worker.useless.is_set()


async def test_a_late_event_of_what_was_committed_begins_nothing(
    worker: Worker, attempts: Attempts
) -> None:
    """Somebody's label, say, set while it was in work; a provider would be asked, and paid, again."""
    attempts.ends["a"].set()
    await asyncio.sleep(0.01)
    worker.take(WatchEvent("MODIFIED", [assigned("a")]))
    assert [held.name for held in worker._held] == ["b"]
    worker.take(WatchEvent("DELETED", [assigned("a")]))
    worker.take(WatchEvent("ADDED", [assigned("a", attempts=2)]))
    assert [held.name for held in worker._held] == ["b", "a"]
    worker.take(WatchEvent("SYNCED", names=frozenset({"a", "b"})))
    assert not worker._committed


async def test_what_is_over_is_forgotten(worker: Worker, attempts: Attempts) -> None:
    worker.take(WatchEvent("DELETED", [assigned("a")]))
    for end in attempts.ends.values():
        end.set()
    await worker.finish()
    await asyncio.sleep(0)
    assert (worker._held, worker._over) == ({}, set())


def test_last_words_name_what_is_being_described(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.touch()
    words = LastWords(path)

    with words.describing("first"):
        assert path.read_text() == "first"
        with words.describing("second"):
            assert path.read_text() == "first\nsecond"
        with pytest.raises(ZeroDivisionError), words.describing("second"):
            raise ZeroDivisionError
        assert path.read_text() == "first"

    assert path.read_text() == ""


def test_without_a_place_for_last_words_work_goes_on(tmp_path: Path) -> None:
    with LastWords(tmp_path / "missing").describing("first"):
        pass


def test_last_words_that_cannot_be_written_are_missed_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = LastWords(Path("/dev/full"))
    with words.describing("first"), words.describing("second"):
        pass
    assert [record.message for record in caplog.records] == [
        "the termination message can't be written: [Errno 28] No space left on device"
    ]


MAIN = """
import asyncio, threading
from vision_node_describer import __main__ as module

async def run(settings):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    {}

module.run, module.Settings.from_env = run, lambda: None
module.main()
"""


@pytest.mark.parametrize(
    ("end", "status", "said"), [("return", 0, ""), ("1 / 0", 1, "ZeroDivisionError")]
)
def test_it_exits_though_a_thread_hangs(end: str, status: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN.format(end)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr


class Server:
    """Answers POSTs with the next of `answers`."""

    def __init__(self, *answers: KubeError | None) -> None:
        self.answers = list(answers)

    async def request(self, method: str, path: str, *, body: Any) -> Any:
        assert (method, path.rsplit("/", 1)[-1]) == ("POST", "leases")
        assert body["metadata"]["annotations"] == {WARNING_ANNOTATION: "ends soon"}
        assert body["metadata"]["name"] == "w0"
        if error := self.answers.pop(0):
            raise error


AWAY = UnavailableError(0, "NoAnswer", "connection refused")
EXISTS = AlreadyExistsError(409, "AlreadyExists", "w0")


@pytest.mark.parametrize("answers", [[None], [AWAY, AWAY, None], [AWAY, EXISTS]])
async def test_a_lease_waits_for_an_api_server_that_is_away(
    monkeypatch: pytest.MonkeyPatch, answers: list[KubeError | None]
) -> None:
    monkeypatch.setattr(lease, "CREATE_RETRY_SECONDS", (0.0, 0.0))
    server: Any = Server(*answers)
    settings: Any = SimpleNamespace(
        namespace="ns", pod_name="w0", pod_uid="u", describer="metadata"
    )
    await lease._create(server, settings, {WARNING_ANNOTATION: "ends soon"})
    assert server.answers == []


async def test_a_refusal_ends_the_worker() -> None:
    server: Any = Server(KubeError(403, "Forbidden", "denied"))
    settings: Any = SimpleNamespace(
        namespace="ns", pod_name="w0", pod_uid="u", describer="metadata"
    )
    with pytest.raises(KubeError, match="denied"):
        await lease._create(server, settings, {WARNING_ANNOTATION: "ends soon"})


ENVIRONMENT = {
    "POD_NAMESPACE": "ns",
    "POD_NAME": "w0",
    "POD_UID": "u",
    "DESCRIBER": "metadata",
    "PROVIDER": "metadata",
    "CONCURRENCY": "4",
    "MAX_IMAGE_BYTES": "1000",
    "MEMORY_LIMIT_BYTES": "1000",
    "MAX_IMAGES": "0",
    "MAX_ATTEMPTS": "3",
    "TIMEOUT_SECONDS": "60",
}


@pytest.mark.parametrize(("told", "pixels"), [("250000000", 250_000_000), (None, 100_000_000)])
async def test_it_reads_as_many_pixels_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, told: str | None, pixels: int
) -> None:
    """A chart of an older release tells nothing."""

    def away(_: str) -> Any:
        raise UnavailableError(0, "NoAnswer", "away")

    monkeypatch.setattr(module.Kube, "connect", away)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for name, value in {**ENVIRONMENT, **({"MAX_IMAGE_PIXELS": told} if told else {})}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(UnavailableError):
        await module.run(Settings.from_env())

    assert pixels == Image.MAX_IMAGE_PIXELS
