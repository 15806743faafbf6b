"""Tests of the memory reserved for fetched files and for threads that outlive their attempts."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_attempt import FakeApi, FakeDescriber, runner_of
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.imagejob import ImageJob
from vision_node_describer import image_describer as module
from vision_node_describer import worker
from vision_node_describer.describers import Describer, Remote, Setup
from vision_node_describer.settings import Settings
from vision_node_describer.termination_message import TerminationMessage

MIB = 1 << 20
LARGEST_FILE = 20 * MIB
WORKER_MEMORY = 1 << 30
CONCURRENCY = 16
"""Concurrency of a worker that spends most of its time waiting for its provider."""

FILES_BUDGET = 96 * MIB
"""Memory that a worker may use for files. It is part of the 200 MiB that decoding cannot use."""


def assigned(name: str, *, size_bytes: int | None = None, timeout_seconds: int = 3600) -> ImageJob:
    image = {"key": f"images/{name}", **({"sizeBytes": size_bytes} if size_bytes else {})}
    return ImageJob.model_validate(
        {
            "metadata": {"name": name, "uid": name, "resourceVersion": "7"},
            "spec": {"image": image, "timeoutSeconds": timeout_seconds},
            "status": {"phase": "processing", "worker": "w0", "attempts": 1},
        }
    )


class FakeBucket:
    """Returns the same file for every key, and tracks how many bytes attempts hold."""

    def __init__(self, image: bytes) -> None:
        self.folders = BucketFolders("aaaabbbbcccc")
        self.image = image
        self.requested_bytes: list[int] = []
        self.held_bytes = self.peak_bytes = 0

    async def get(self, key: str, most: int) -> bytes:
        self.requested_bytes.append(most)
        image = self.image[: most + 1]
        self.held_bytes += len(image)
        self.peak_bytes = max(self.peak_bytes, self.held_bytes)
        await asyncio.sleep(0)
        return image


class CountingDescriber(FakeDescriber):
    """Subtracts the size of each described file from the bucket's `held_bytes`.

    Decoding a file takes `memory` bytes. Each call waits until `together` calls are running.
    """

    def __init__(self, bucket: FakeBucket, memory: int = 0, together: int = 1) -> None:
        super().__init__()
        self._bucket = bucket
        self._memory = memory
        self._together = threading.Barrier(together)

    def memory(self, image: bytes) -> int:
        return self._memory

    def describe(self, image: bytes, options: Options) -> Description:
        self._together.wait(5)
        self._bucket.held_bytes -= len(image)
        return super().describe(image, options)


SETTINGS = Settings(
    "ns",
    "w0",
    "uid",
    "fake",
    "fake",
    concurrency=CONCURRENCY,
    max_image_bytes=LARGEST_FILE,
    memory_limit_bytes=WORKER_MEMORY,
)


async def describe_all(
    bucket: FakeBucket, describer: FakeDescriber, *, stated: int | None, images: int = CONCURRENCY
) -> FakeApi:
    api = FakeApi()
    with ThreadPoolExecutor(CONCURRENCY) as executor:
        runner = runner_of(api, bucket, describer, executor, SETTINGS)
        jobs = [assigned(str(n), size_bytes=stated) for n in range(images)]
        await asyncio.wait_for(asyncio.gather(*map(runner.attempt, jobs)), 20)
    assert [patch["phase"] for _, patch in api.patches] == ["done"] * images
    return api


@pytest.mark.parametrize("stated", [LARGEST_FILE, None])
async def test_fetched_files_count_against_the_file_budget(stated: int | None) -> None:
    bucket = FakeBucket(bytes(LARGEST_FILE))
    await describe_all(bucket, CountingDescriber(bucket), stated=stated)
    assert bucket.peak_bytes <= FILES_BUDGET


@pytest.mark.parametrize("stated", [1000, None])
async def test_small_files_are_described_concurrently_despite_a_high_size_limit(
    stated: int | None,
) -> None:
    bucket = FakeBucket(bytes(1000))
    await describe_all(bucket, CountingDescriber(bucket, together=CONCURRENCY), stated=stated)


async def test_fetched_files_do_not_block_decoding() -> None:
    """Files and decoding need separate budgets.

    Attempts hold their files while they wait for decoding memory, so a shared budget could cause a
    deadlock.
    """
    bucket = FakeBucket(bytes(LARGEST_FILE))
    await describe_all(
        bucket, CountingDescriber(bucket, memory=WORKER_MEMORY - 200 * MIB), stated=LARGEST_FILE
    )


async def test_file_larger_than_its_stated_size_is_described() -> None:
    bucket = FakeBucket(bytes(500))
    await describe_all(bucket, FakeDescriber(), stated=10, images=1)
    assert bucket.requested_bytes == [10, LARGEST_FILE]


async def test_first_part_of_a_larger_file_is_dropped_before_the_second_fetch() -> None:
    """If the first part were kept, it would be in memory twice but be counted only once."""
    references: list[int] = []

    class CountingReferences(FakeBucket):
        async def get(self, key: str, most: int) -> bytes:
            if self.requested_bytes:
                references.append(sys.getrefcount(self.first))
            self.requested_bytes.append(most)
            self.first = bytes(bytearray(self.image[: most + 1]))
            return self.first

    await describe_all(CountingReferences(bytes(500)), FakeDescriber(), stated=10, images=1)
    expected = 2  # the attribute `first` and the argument of `getrefcount`
    assert references == [expected]


async def test_stated_size_above_the_limit_is_ignored() -> None:
    bucket = FakeBucket(bytes(500))
    await describe_all(bucket, FakeDescriber(), stated=10**12, images=1)
    assert bucket.requested_bytes == [LARGEST_FILE]


async def test_file_too_large_for_the_workers_memory_is_refused() -> None:
    api, bucket = FakeApi(), FakeBucket(bytes(LARGEST_FILE))
    with ThreadPoolExecutor(1) as executor:
        settings = Settings("ns", "w0", "uid", "fake", "fake", 1, 1 << 30, 400 * MIB)
        runner = runner_of(api, bucket, FakeDescriber(), executor, settings)

        await runner.attempt(assigned("fits"))
        bucket.image = bytes(100 * MIB)
        await runner.attempt(assigned("large", size_bytes=100 * MIB))

    (_, fits), (_, refused) = api.patches
    assert fits["phase"] == "done"
    assert (refused["phase"], refused["error"]["reason"]) == ("failed", "ImageTooLarge")
    assert "memory limit" in refused["error"]["message"]


class HungInThread(Remote[bytes]):
    """A remote describer whose `prepare` blocks until a test sets `may_end`.

    Each image takes more than half of the worker's memory.
    """

    def __init__(self) -> None:
        super().__init__(Setup())
        self.started: list[bytes] = []
        self.may_end = threading.Event()

    def memory(self, image: bytes) -> int:
        return 600 * MIB

    def prepare(self, image: bytes, options: Options) -> bytes:
        self.started.append(image)
        assert self.may_end.wait(20)
        return image

    async def ask(self, prepared: bytes, options: Options) -> Description:
        return Description(description="Image Description:", alt="alt", caption="caption")


class NotifyingApi(FakeApi):
    """Sets the event `committed` when an outcome is committed."""

    def __init__(self) -> None:
        super().__init__()
        self.committed = asyncio.Event()

    async def patch_status(self, current: ImageJob, patch: dict[str, Any]) -> dict[str, Any]:
        answer = await super().patch_status(current, patch)
        self.committed.set()
        return answer


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten an attempt's timeout from one second to 20 ms."""
    monkeypatch.setattr(module, "SHARE_OF_ATTEMPT", 0.02)


def reported_reasons(api: FakeApi) -> list[str]:
    return [patch["error"]["reason"] for _, patch in api.patches if patch.get("error")]


@pytest.mark.usefixtures("short_timeout")
async def test_thread_keeps_its_memory_after_its_attempt_times_out(
    tmp_path: Path,
) -> None:
    message = tmp_path / "message"
    message.touch()
    api, describer = NotifyingApi(), HungInThread()

    with ThreadPoolExecutor(2) as executor:
        runner = runner_of(api, FakeBucket(b"image"), describer, executor, SETTINGS)
        runner._images.termination_message = TerminationMessage(message)
        first = asyncio.create_task(runner.attempt(assigned("first", timeout_seconds=1)))
        await asyncio.wait_for(api.committed.wait(), 30)
        assert reported_reasons(api) == ["AttemptTimedOut"], "the timeout is reported immediately"
        assert message.read_text() == "first", "the image may still crash the worker"

        second = asyncio.create_task(runner.attempt(assigned("second")))
        await until(runner._images.budgets.decoding._head_of_queue.locked)
        assert len(describer.started) == 1, "no memory is left for a second image"
        assert not first.done(), "the attempt must not end while its thread is running"
        describer.may_end.set()
        await asyncio.wait_for(asyncio.gather(first, second), 30)

    assert len(describer.started) == 2
    assert [patch.get("phase") for _, patch in api.patches] == [None, "done"]
    assert message.read_text() == ""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (no event exists to wait for)
            await asyncio.sleep(0)


@pytest.mark.usefixtures("short_timeout")
async def test_call_that_has_not_started_before_the_timeout_never_starts() -> None:
    api, describer = NotifyingApi(), HungInThread()
    describer.memory = lambda image: 0  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as executor:
        runner = runner_of(api, FakeBucket(b"image"), describer, executor, SETTINGS)
        hung = asyncio.create_task(runner.attempt(assigned("hung", timeout_seconds=1)))
        await until(lambda: bool(describer.started))

        await asyncio.wait_for(runner.attempt(assigned("next", timeout_seconds=1)), 30)
        assert reported_reasons(api) == ["AttemptTimedOut"] * 2
        describer.may_end.set()
        await asyncio.wait_for(hung, 30)

    assert len(describer.started) == 1


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("ends", [True, False])
async def test_thread_that_outlives_its_attempt_by_a_full_timeout_is_reported_as_hung(
    *, ends: bool
) -> None:
    """The worker may still describe other images, so nothing else reveals the hung thread."""
    api, describer = NotifyingApi(), HungInThread()
    with ThreadPoolExecutor(1) as executor:
        runner = runner_of(api, FakeBucket(b"image"), describer, executor, SETTINGS)
        runner._images.settings = replace(
            runner._images.settings, timeout_seconds=5.0 if ends else 0.02
        )
        hung = asyncio.create_task(runner.attempt(assigned("hung", timeout_seconds=1)))
        await asyncio.wait_for(api.committed.wait(), 30)

        if not ends:
            await asyncio.wait_for(runner._images.threads.hung.wait(), 30)
            assert not hung.done()
        describer.may_end.set()
        await asyncio.wait_for(hung, 30)

    assert runner._images.threads.hung.is_set() == (not ends)


class FakeKube:
    """Assigns one image to the worker, and accepts every request."""

    async def follow(self, path: str, selectors: object) -> AsyncIterator[WatchEvent]:
        job = assigned("hung", timeout_seconds=1)
        yield WatchEvent("PAGE", [job.model_dump(by_alias=True, mode="json")])
        await asyncio.Future()

    async def request(self, method: str, path: str, **_: object) -> dict[str, Any]:
        return {}


@pytest.mark.usefixtures("short_timeout")
async def test_worker_with_a_hung_thread_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    describer = HungInThread()

    @asynccontextmanager
    async def opened(client: object, _: object) -> AsyncIterator[object]:
        yield client

    monkeypatch.setattr(worker.Kube, "connect", partial(opened, FakeKube()))
    monkeypatch.setattr(worker.Bucket, "open", partial(opened, FakeBucket(b"image")))
    monkeypatch.setattr(worker.BucketSettings, "from_env", lambda: None)
    monkeypatch.setattr(worker, "load_or_explain", lambda *_: describer)
    monkeypatch.setattr(worker, "FINISH_SECONDS", 0.01)
    settings = Settings(
        "ns", "w0", "uid", "fake", "fake", 1, LARGEST_FILE, WORKER_MEMORY, timeout_seconds=0.02
    )

    try:
        await asyncio.wait_for(worker.run(settings), 30)
        assert describer.started
    finally:
        describer.may_end.set()


class HungAsyncDescriber(Describer):
    """A describer whose coroutine never returns."""

    def memory(self, image: bytes) -> int:
        return 600 * MIB

    async def describe(self, image: bytes, options: Options) -> Description:
        return await asyncio.Future()


@pytest.mark.usefixtures("short_timeout")
async def test_hung_coroutine_is_cancelled_when_its_attempt_times_out() -> None:
    api = NotifyingApi()
    with ThreadPoolExecutor(1) as executor:
        describer = HungAsyncDescriber(Setup())
        runner = runner_of(api, FakeBucket(b"image"), describer, executor, SETTINGS)
        for name in ("first", "second"):
            await asyncio.wait_for(runner.attempt(assigned(name, timeout_seconds=1)), 30)
    assert reported_reasons(api) == ["AttemptTimedOut"] * 2


async def test_file_is_released_before_the_provider_answers() -> None:
    """If files were held until the provider answers, a few large ones would block all others."""
    together = asyncio.Barrier(CONCURRENCY)

    class RemoteWithBarrier(Remote[int]):
        def prepare(self, image: bytes, options: Options) -> int:
            bucket.held_bytes -= len(image)
            return len(image)

        async def ask(self, prepared: int, options: Options) -> Description:
            await together.wait()
            return Description(description="Image Description:", alt="alt", caption="caption")

    bucket: FakeBucket = FakeBucket(bytes(LARGEST_FILE))
    remote: Any = RemoteWithBarrier(Setup())
    await describe_all(bucket, remote, stated=LARGEST_FILE)
    assert bucket.peak_bytes <= FILES_BUDGET
