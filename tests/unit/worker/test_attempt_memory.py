"""Memory that attempts hold: for the files that they have fetched, and for threads that were given up."""

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
from test_attempt import Api, Fake
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.imagejob import ImageJob
from vision_node_describer import attempt as module
from vision_node_describer import worker
from vision_node_describer.attempt import Attempts
from vision_node_describer.describers import Describer, Remote, Setup
from vision_node_describer.settings import Settings
from vision_node_describer.termination_message import LastWords

MIB = 1 << 20
LARGEST = 20 * MIB
WORKERS_LIMIT = 1 << 30
AT_ONCE = 16
"""Concurrency of a worker that mostly waits for its provider."""

FILES = 96 * MIB
"""Memory that a worker may use for files, out of the 200 MiB that decoding may not use."""


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
    """Has one file under every key, and counts the bytes of it that are still in hand."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        self.asked: list[int] = []
        self.in_hand = self.peak = 0

    async def get(self, key: str, most: int) -> bytes:
        self.asked.append(most)
        image = self.image[: most + 1]
        self.in_hand += len(image)
        self.peak = max(self.peak, self.in_hand)
        await asyncio.sleep(0)
        return image


class Describes(Fake):
    """Says when it is done with a file; `memory` is what it takes to decode one."""

    def __init__(self, bucket: FakeBucket, memory: int = 0, together: int = 1) -> None:
        super().__init__()
        self._bucket = bucket
        self._memory = memory
        self._together = threading.Barrier(together)

    def memory(self, image: bytes) -> int:
        return self._memory

    def describe(self, image: bytes, options: Options) -> Description:
        self._together.wait(5)
        self._bucket.in_hand -= len(image)
        return super().describe(image, options)


def attempts_of(
    api: Api, bucket: Any, describer: Any, executor: ThreadPoolExecutor, limit: int = WORKERS_LIMIT
) -> Attempts:
    settings = Settings("ns", "w0", "uid", "fake", "fake", AT_ONCE, LARGEST, limit)
    parts: Any = (api, bucket, describer, executor, settings)
    return Attempts(*parts)


async def describe_all(
    bucket: FakeBucket, describer: Fake, *, stated: int | None, images: int = AT_ONCE
) -> Api:
    api = Api()
    with ThreadPoolExecutor(AT_ONCE) as executor:
        attempts = attempts_of(api, bucket, describer, executor)
        jobs = [assigned(str(n), size_bytes=stated) for n in range(images)]
        await asyncio.wait_for(asyncio.gather(*map(attempts.attempt, jobs)), 20)
    assert [patch["phase"] for _, patch in api.patches] == ["done"] * images
    return api


@pytest.mark.parametrize("stated", [LARGEST, None])
async def test_files_that_were_fetched_count(stated: int | None) -> None:
    bucket = FakeBucket(bytes(LARGEST))
    await describe_all(bucket, Describes(bucket), stated=stated)
    assert bucket.peak <= FILES


@pytest.mark.parametrize("stated", [1000, None])
async def test_small_files_are_described_together_whatever_the_largest_may_be(
    stated: int | None,
) -> None:
    bucket = FakeBucket(bytes(1000))
    await describe_all(bucket, Describes(bucket, together=AT_ONCE), stated=stated)


async def test_files_in_hand_do_not_keep_one_another_from_being_decoded() -> None:
    """Each attempt waits with its file for memory that all files together would fill."""
    bucket = FakeBucket(bytes(LARGEST))
    await describe_all(bucket, Describes(bucket, memory=WORKERS_LIMIT - 200 * MIB), stated=LARGEST)


async def test_a_file_that_is_larger_than_its_imagejob_says_is_described_all_the_same() -> None:
    bucket = FakeBucket(bytes(500))
    await describe_all(bucket, Fake(), stated=10, images=1)
    assert bucket.asked == [10, LARGEST]


async def test_what_was_fetched_of_it_first_is_let_go_of_before() -> None:
    """Else a file that is larger than its ImageJob says would be in memory twice, once uncounted."""
    references: list[int] = []

    class Keeps(FakeBucket):
        async def get(self, key: str, most: int) -> bytes:
            if self.asked:
                references.append(sys.getrefcount(self.first))
            self.asked.append(most)
            self.first = bytes(bytearray(self.image[: most + 1]))
            return self.first

    await describe_all(Keeps(bytes(500)), Fake(), stated=10, images=1)
    of_our_own = 2  # the attribute, and getrefcount's argument
    assert references == [of_our_own]


async def test_a_size_beyond_the_limit_is_not_believed() -> None:
    bucket = FakeBucket(bytes(500))
    await describe_all(bucket, Fake(), stated=10**12, images=1)
    assert bucket.asked == [LARGEST]


async def test_a_file_for_which_the_worker_has_no_memory_is_refused_with_both_numbers() -> None:
    api, bucket = Api(), FakeBucket(bytes(LARGEST))
    with ThreadPoolExecutor(1) as executor:
        settings = Settings("ns", "w0", "uid", "fake", "fake", 1, 1 << 30, 400 * MIB)
        parts: Any = (api, bucket, Fake(), executor, settings)
        await Attempts(*parts).attempt(assigned("fits"))
        bucket.image = bytes(100 * MIB)
        await Attempts(*parts).attempt(assigned("large", size_bytes=100 * MIB))

    (_, fits), (_, refused) = api.patches
    assert fits["phase"] == "done"
    assert (refused["phase"], refused["error"]["reason"]) == ("failed", "ImageTooLarge")
    assert "memory limit" in refused["error"]["message"]


class Hangs(Remote[bytes]):
    """Prepares images until told to end; each takes more than half of the worker's memory."""

    def __init__(self) -> None:
        super().__init__(Setup())
        self.begun: list[bytes] = []
        self.ends = threading.Event()

    def memory(self, image: bytes) -> int:
        return 600 * MIB

    def prepare(self, image: bytes, options: Options) -> bytes:
        self.begun.append(image)
        assert self.ends.wait(20)
        return image

    async def ask(self, prepared: bytes, options: Options) -> Description:
        return Description(description="Image Description:", alt="alt", caption="caption")


class Told(Api):
    """Says when something is committed."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    async def patch_status(self, current: ImageJob, patch: dict[str, Any]) -> dict[str, Any]:
        answer = await super().patch_status(current, patch)
        self.told.set()
        return answer


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an attempt with a timeout of a second give up after 20 ms."""
    monkeypatch.setattr(module, "SHARE_OF_ATTEMPT", 0.02)


def given_up(api: Api) -> list[str]:
    return [patch["error"]["reason"] for _, patch in api.patches if patch.get("error")]


@pytest.mark.usefixtures("soon")
async def test_what_a_thread_uses_stays_its_own_until_it_ends_though_its_attempt_is_over(
    tmp_path: Path,
) -> None:
    words = tmp_path / "message"
    words.touch()
    api, describer = Told(), Hangs()

    with ThreadPoolExecutor(2) as executor:
        attempts = attempts_of(api, FakeBucket(b"image"), describer, executor)
        attempts._last_words = LastWords(words)
        first = asyncio.create_task(attempts.attempt(assigned("first", timeout_seconds=1)))
        await asyncio.wait_for(api.told.wait(), 5)
        assert given_up(api) == ["AttemptTimedOut"], "the operator is told at once"
        assert words.read_text() == "first", "it may still take the worker down"

        second = asyncio.create_task(attempts.attempt(assigned("second")))
        await until(attempts._budgets.decoding._turn.locked)
        assert len(describer.begun) == 1, "there is no memory for another"
        assert not first.done(), "the worker is to know that a thread of it still runs"
        describer.ends.set()
        await asyncio.wait_for(asyncio.gather(first, second), 5)

    assert len(describer.begun) == 2
    assert [patch.get("phase") for _, patch in api.patches] == [None, "done"]
    assert words.read_text() == ""


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0)


@pytest.mark.usefixtures("soon")
async def test_what_has_not_begun_when_its_attempt_is_over_never_does() -> None:
    api, describer = Told(), Hangs()
    describer.memory = lambda image: 0  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as executor:
        attempts = attempts_of(api, FakeBucket(b"image"), describer, executor)
        hung = asyncio.create_task(attempts.attempt(assigned("hung", timeout_seconds=1)))
        await until(lambda: bool(describer.begun))
        await asyncio.wait_for(attempts.attempt(assigned("next", timeout_seconds=1)), 5)
        assert given_up(api) == ["AttemptTimedOut"] * 2
        describer.ends.set()
        await asyncio.wait_for(hung, 5)

    assert len(describer.begun) == 1


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("ends", [True, False])
async def test_a_thread_that_goes_on_for_the_describer_s_timeout_is_told_of(*, ends: bool) -> None:
    """Others may be described all the while, so that nothing else tells that the worker hangs."""
    api, describer = Told(), Hangs()
    with ThreadPoolExecutor(1) as executor:
        attempts = attempts_of(api, FakeBucket(b"image"), describer, executor)
        attempts._settings = replace(attempts._settings, timeout_seconds=5.0 if ends else 0.02)
        hung = asyncio.create_task(attempts.attempt(assigned("hung", timeout_seconds=1)))
        await asyncio.wait_for(api.told.wait(), 5)
        if not ends:
            await asyncio.wait_for(attempts.hangs.wait(), 5)
            assert not hung.done()
        describer.ends.set()
        await asyncio.wait_for(hung, 5)

    assert attempts.hangs.is_set() == (not ends)


class Cluster:
    """Has assigned one image to the worker, and takes what it writes."""

    async def follow(self, path: str, selectors: object) -> AsyncIterator[WatchEvent]:
        job = assigned("hung", timeout_seconds=1)
        yield WatchEvent("PAGE", [job.model_dump(by_alias=True, mode="json")])
        await asyncio.Future()

    async def request(self, method: str, path: str, **_: object) -> dict[str, Any]:
        return {}


@pytest.mark.usefixtures("soon")
async def test_a_worker_ends_that_has_such_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    describer = Hangs()

    @asynccontextmanager
    async def opened(what: object, _: object) -> AsyncIterator[object]:
        yield what

    monkeypatch.setattr(worker.Kube, "connect", partial(opened, Cluster()))
    monkeypatch.setattr(worker.Bucket, "open", partial(opened, FakeBucket(b"image")))
    monkeypatch.setattr(worker.BucketSettings, "from_env", lambda: None)
    monkeypatch.setattr(worker, "load_or_explain", lambda *_: describer)
    monkeypatch.setattr(worker, "FINISH_SECONDS", 0.01)
    settings = Settings(
        "ns", "w0", "uid", "fake", "fake", 1, LARGEST, WORKERS_LIMIT, timeout_seconds=0.02
    )

    try:
        await asyncio.wait_for(worker.run(settings), 5)
        assert describer.begun
    finally:
        describer.ends.set()


class HangsAwake(Describer):
    """Waits forever, in the event loop."""

    def memory(self, image: bytes) -> int:
        return 600 * MIB

    async def describe(self, image: bytes, options: Options) -> Description:
        return await asyncio.Future()


@pytest.mark.usefixtures("soon")
async def test_what_waits_in_the_event_loop_is_ended_with_its_attempt() -> None:
    api = Told()
    with ThreadPoolExecutor(1) as executor:
        attempts = attempts_of(api, FakeBucket(b"image"), HangsAwake(Setup()), executor)
        for name in ("first", "second"):
            await asyncio.wait_for(attempts.attempt(assigned(name, timeout_seconds=1)), 5)
    assert given_up(api) == ["AttemptTimedOut"] * 2


async def test_a_file_is_not_kept_while_its_provider_answers() -> None:
    """Otherwise a few large files would block all others for as long as a provider takes."""
    together = asyncio.Barrier(AT_ONCE)

    class Asks(Remote[int]):
        def prepare(self, image: bytes, options: Options) -> int:
            bucket.in_hand -= len(image)
            return len(image)

        async def ask(self, prepared: int, options: Options) -> Description:
            await together.wait()
            return Description(description="Image Description:", alt="alt", caption="caption")

    bucket: FakeBucket = FakeBucket(bytes(LARGEST))
    remote: Any = Asks(Setup())
    await describe_all(bucket, remote, stated=LARGEST)
    assert bucket.peak <= FILES
