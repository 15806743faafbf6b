"""Tests of an attempt: what it commits after a success, an error, a timeout or a conflict."""

import asyncio
import hashlib
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pictures import encoded
from PIL import Image
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import ObjectNotFoundError, StoreUnavailableError
from vision_node_contract.clients.kube import (
    ConflictError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from vision_node_contract.models.description import Description, Options
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer import image_describer, outcome
from vision_node_describer.attempt import AttemptRunner
from vision_node_describer.describe_slots import DescribeSlots
from vision_node_describer.describers import Remote
from vision_node_describer.describers.interface import attempt_seconds
from vision_node_describer.image_describer import ImageDescriber
from vision_node_describer.settings import Settings

SETTINGS = Settings(
    "ns",
    "w0",
    "uid",
    "fake",
    "fake",
    concurrency=1,
    max_image_bytes=1000,
    memory_limit_bytes=1 << 30,
)


def job(key: str = "images/1", **status: Any) -> ImageJob:
    return ImageJob.model_validate(
        {
            "metadata": {"name": "j", "uid": "u", "resourceVersion": "7"},
            "spec": {"image": {"key": key}},
            "status": {"phase": "processing", "worker": "w0", "attempts": 1, **status},
        }
    )


class FakeApi:
    """A Kubernetes API with scripted responses.

    Each patch raises the next item of `answers`, or succeeds if that item is None or missing. Each
    read returns or raises `now`.
    """

    def __init__(self, *answers: KubeError | None, now: ImageJob | KubeError | None = None) -> None:
        self.answers = list(answers)
        self.now = now
        self.patches: list[tuple[str, dict[str, Any]]] = []

    async def patch_status(self, current: ImageJob, patch: dict[str, Any]) -> dict[str, Any]:
        self.patches.append((current.metadata.resource_version, patch))
        answer = self.answers.pop(0) if self.answers else None
        if answer:
            raise answer
        return {}

    async def get(self, name: str) -> ImageJob:
        assert name == "j"
        if isinstance(self.now, ImageJob):
            return self.now
        raise self.now or NotFoundError(404, "NotFound", name)


class FakeBucket:
    def __init__(self, image: bytes | Exception = b"image") -> None:
        self.folders = BucketFolders("aaaabbbbcccc")
        self.image = image
        self.stored: dict[str, bytes] = {}

    async def get(self, key: str, most: int) -> bytes:
        if isinstance(self.image, Exception):
            raise self.image
        return self.image[: most + 1]

    async def put(self, key: str, data: bytes, media_type: str, sha256: str | None = None) -> None:
        assert media_type == "application/json"
        self.stored[key] = data


class FakeDescriber:
    """Returns a description with the text `answer`, or raises `answer` if it is an exception."""

    shared_memory = 0

    def __init__(self, answer: str | Exception = "Image Description:\n- It is fine") -> None:
        self.answer = answer

    def memory(self, image: bytes) -> int:
        return 0

    def describe(self, image: bytes, options: Options) -> Description:
        if isinstance(self.answer, Exception):
            raise self.answer
        return Description(description=self.answer, alt="alt", caption="caption")


def runner_of(
    api: Any,
    bucket: Any,
    describer: Any,
    executor: Executor,
    settings: Settings,
    fallback: Any = None,
) -> AttemptRunner:
    images = ImageDescriber(bucket, describer, executor, settings, fallback)
    return AttemptRunner(api, bucket, images, DescribeSlots(settings.concurrency))


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "COMMIT_RETRY_SECONDS", (0.0, 0.0))


async def run(
    api: FakeApi,
    bucket: FakeBucket | None = None,
    describer: FakeDescriber | None = None,
    fallback: FakeDescriber | None = None,
    number: int = 1,
    losses: int = 0,
    options: dict[str, Any] | None = None,
    key: str = "images/1",
) -> None:
    with ThreadPoolExecutor(1) as executor:
        settings = replace(SETTINGS, fallback="metadata" if fallback else None)
        runner = runner_of(
            api, bucket or FakeBucket(), describer or FakeDescriber(), executor, settings, fallback
        )

        assigned = job(key, attempts=number, losses=losses)
        if options:
            spec = assigned.spec.model_copy(update={"options": Options.model_validate(options)})
            assigned = assigned.model_copy(update={"spec": spec})

        await asyncio.wait_for(runner.attempt(assigned), 30)


async def test_small_result_is_stored_inline() -> None:
    api, bucket = FakeApi(), FakeBucket()
    await run(api, bucket)
    ((version, patch),) = api.patches
    assert (version, patch["phase"]) == ("7", "done")
    assert patch["result"]["summary"] == "Image Description: - It is fine"
    assert patch["result"]["inline"]["_generated_by"] == "vision-node-gpt"
    assert not {"key", "sha256", "sizeBytes"} & patch["result"].keys()
    assert bucket.stored == {}


async def test_large_result_is_stored_in_the_bucket_before_the_commit() -> None:
    api, bucket = FakeApi(), FakeBucket()
    await run(api, bucket, FakeDescriber("Image Description: " + "ä" * 3000))
    ((_, patch),) = api.patches
    assert patch["result"]["key"] == "results/aaaabbbbcccc/u/1"
    assert "inline" not in patch["result"]
    ((key, stored),) = bucket.stored.items()
    assert key == "results/aaaabbbbcccc/u/1"
    assert patch["result"]["sha256"] == hashlib.sha256(stored).hexdigest()
    assert patch["result"]["sizeBytes"] == len(stored)
    assert len(patch["result"]["summary"]) == 256


@pytest.mark.parametrize(
    ("missing", "options", "line", "warned"),
    [
        (0, None, False, False),
        (2, None, True, True),
        (2, {"maxLength": 60}, False, True),  # too short to include the line
    ],
)
async def test_truncated_file_is_reported_for_every_describer(
    missing: int, options: dict[str, Any] | None, *, line: bool, warned: bool
) -> None:
    picture = encoded(Image.new("RGB", (8, 8)), "JPEG")
    api, bucket = FakeApi(), FakeBucket(picture[: len(picture) - missing])
    await run(api, bucket, options=options)
    ((_, patch),) = api.patches
    result = patch["result"]["inline"]
    assert ("\n- Truncated: " in result["description"]) is line
    assert result["facts"] == ({"truncated": True} if warned else {})
    assert [warning for warning in result["warnings"] if "ends too early" in warning] == result[
        "warnings"
    ]
    assert bool(result["warnings"]) is warned


@pytest.mark.parametrize(
    ("named", "stored", "fetched"),
    [
        ("inbox/a.jpg", {"inbox/aaaabbbbcccc/a.jpg"}, "inbox/aaaabbbbcccc/a.jpg"),
        ("inbox/a.jpg", {"inbox/a.jpg"}, "inbox/a.jpg"),
        ("inbox/a.jpg", {"inbox/a.jpg", "inbox/aaaabbbbcccc/a.jpg"}, "inbox/aaaabbbbcccc/a.jpg"),
        ("inbox/a.jpg", set(), None),
        # The folder of another release.
        ("inbox/ddddeeeeffff/a.jpg", {"inbox/ddddeeeeffff/a.jpg"}, None),
        ("inbox/aaaabbbbcccc/a.jpg", {"inbox/aaaabbbbcccc/a.jpg"}, "inbox/aaaabbbbcccc/a.jpg"),
        ("inbox/aaaabbbbcccc/a.jpg", {"inbox/a.jpg"}, None),
        ("images/a", {"images/aaaabbbbcccc/a", "inbox/aaaabbbbcccc/a"}, None),
    ],
)
async def test_key_in_the_inbox_may_lack_the_id_of_the_release(
    named: str, stored: set[str], fetched: str | None
) -> None:
    """The API of older releases stored inbox/<name>. A policy may not allow reading that."""

    class Bucket(FakeBucket):
        async def get(self, key: str, most: int) -> bytes:
            if not stored and "/aaaabbbbcccc/" not in key:
                raise StoreUnavailableError("denied", Reason.STORAGE_DENIED, "AccessDenied")
            if key not in stored:
                raise ObjectNotFoundError(key)
            found.append(key)
            return await super().get(key, most)

    found: list[str] = []
    api = FakeApi()
    await run(api, Bucket(), key=named)
    ((_, patch),) = api.patches
    assert (patch["phase"], found) == (("done", [fetched]) if fetched else ("failed", []))
    assert fetched or patch["error"]["reason"] == "ImageNotFound"


FINAL_FAILURES: dict[str, tuple[Any, Any, Reason]] = {
    "object missing": (ObjectNotFoundError("x"), None, Reason.IMAGE_NOT_FOUND),
    "too many bytes": (b"x" * 1001, None, Reason.IMAGE_TOO_LARGE),
    "unreadable": (b"x", DescribeError(Reason.IMAGE_UNREADABLE, "m"), Reason.IMAGE_UNREADABLE),
}


@pytest.mark.parametrize("case", FINAL_FAILURES)
async def test_final_error_fails_the_imagejob(case: str) -> None:
    image, error, reason = FINAL_FAILURES[case]
    api = FakeApi()
    await run(api, FakeBucket(image), FakeDescriber(error) if error else None)
    ((_, patch),) = api.patches
    assert (patch["phase"], patch["error"]["reason"], patch["error"]["retryable"]) == (
        "failed",
        reason,
        False,
    )


TRANSIENT_FAILURES: dict[str, tuple[Any, Any, Reason]] = {
    "storage unavailable": (StoreUnavailableError("away"), None, Reason.STORAGE_UNAVAILABLE),
    "storage full": (StoreUnavailableError("full", Reason.STORAGE_FULL), None, Reason.STORAGE_FULL),
    "rate limited": (b"x", DescribeError(Reason.RATE_LIMITED, "m"), Reason.RATE_LIMITED),
    "a bug in the describer": (b"x", ZeroDivisionError("secret"), Reason.DESCRIBER_FAILED),
    "out of memory": (b"x", MemoryError(), Reason.OUT_OF_MEMORY),
}


@pytest.mark.parametrize("case", TRANSIENT_FAILURES)
async def test_transient_error_is_reported_to_the_operator(case: str) -> None:
    image, error, reason = TRANSIENT_FAILURES[case]
    api = FakeApi()
    await run(api, FakeBucket(image), FakeDescriber(error) if error else None)
    ((_, patch),) = api.patches
    assert patch["error"]["reason"] == reason
    assert patch.keys() == {"error"}
    assert "secret" not in patch["error"]["message"]


async def test_wait_requested_by_a_provider_is_reported_to_the_operator() -> None:
    api = FakeApi()
    await run(
        api, describer=FakeDescriber(DescribeError(Reason.RATE_LIMITED, "m", retry_after=7.5))
    )
    ((_, patch),) = api.patches
    assert patch["error"]["retryAfterSeconds"] == 7.5


class AsyncDescriber(FakeDescriber):
    async def describe(self, image: bytes, options: Options) -> Description:  # type: ignore[override]
        await asyncio.sleep(0)
        assert threading.current_thread() is threading.main_thread()
        return super().describe(image, options)


class HungDescriber(FakeDescriber):
    async def describe(self, image: bytes, options: Options) -> Description:  # type: ignore[override]
        return await asyncio.Future()


async def test_hung_async_describer_is_reported_as_timed_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_describer, "SHARE_OF_ATTEMPT", 0.001)
    api = FakeApi()
    await run(api, describer=HungDescriber())
    ((_, patch),) = api.patches
    assert patch["error"]["reason"] == "AttemptTimedOut"


@pytest.mark.parametrize("kind", [FakeDescriber, AsyncDescriber])
@pytest.mark.parametrize(("number", "losses", "last"), [(1, 0, False), (3, 0, True), (3, 2, False)])
async def test_fallback_is_used_only_on_the_last_attempt(
    kind: type[FakeDescriber], number: int, losses: int, *, last: bool
) -> None:
    api, down = FakeApi(), kind(DescribeError(Reason.PROVIDER_UNAVAILABLE, "m"))
    await run(api, describer=down, fallback=FakeDescriber(), number=number, losses=losses)
    ((_, patch),) = api.patches
    if not last:
        assert patch["error"]["reason"] == "ProviderUnavailable"
        return

    found = patch["result"]
    assert (patch["phase"], found["describer"]) == ("done", "metadata")
    assert found["inline"]["fallback"] == {"from": "fake", "reason": "ProviderUnavailable"}


class RemoteWithLargeImages(Remote[bytes]):
    """A remote describer that needs most of the memory to prepare an image.

    It answers only when two requests are waiting.
    """

    def __init__(self) -> None:
        self.preparing = threading.Lock()
        self.both_waiting = asyncio.Barrier(2)

    def memory(self, image: bytes) -> int:
        return 600 << 20

    def prepare(self, image: bytes, options: Options) -> bytes:
        assert threading.current_thread().name.startswith("describe")
        assert self.preparing.acquire(blocking=False), (
            "the memory is large enough for only one image at a time"
        )
        time.sleep(0.01)
        self.preparing.release()
        return image.upper()

    async def ask(self, prepared: bytes, options: Options) -> Description:
        await self.both_waiting.wait()
        return Description(description=prepared.decode(), alt="alt", caption="caption")


async def test_decoding_memory_is_released_while_waiting_for_a_provider() -> None:
    api, settings = FakeApi(), replace(SETTINGS, concurrency=2)
    with ThreadPoolExecutor(2, thread_name_prefix="describe") as executor:
        runner = runner_of(api, FakeBucket(), RemoteWithLargeImages(), executor, settings)
        await asyncio.wait_for(asyncio.gather(*(runner.attempt(job()) for _ in range(2))), 30)
    assert [patch["result"]["summary"] for _, patch in api.patches] == ["IMAGE", "IMAGE"]


class TimeoutRecorder(Remote[bytes]):
    """A remote describer that records the timeout of each attempt."""

    def __init__(self) -> None:
        self.timeouts: list[float | None] = []

    def prepare(self, image: bytes, options: Options) -> bytes:
        return image

    async def ask(self, prepared: bytes, options: Options) -> Description:
        self.timeouts.append(attempt_seconds.get())
        return Description(description="d", alt="a", caption="c")


@pytest.mark.parametrize(
    ("imagejob_seconds", "expected_seconds"), [(None, 60.0), (600, 600), (5, 5)]
)
async def test_remote_describer_receives_the_timeout_of_the_attempt(
    imagejob_seconds: int | None, expected_seconds: float
) -> None:
    api, describer, assigned = FakeApi(), TimeoutRecorder(), job()
    spec = assigned.spec.model_copy(update={"timeout_seconds": imagejob_seconds})
    with ThreadPoolExecutor(1) as executor:
        runner = runner_of(api, FakeBucket(), describer, executor, SETTINGS)
        await runner.attempt(assigned.model_copy(update={"spec": spec}))
    assert describer.timeouts == [expected_seconds]


CONFLICT = ConflictError(409, "Conflict", "changed")
NO_ANSWER = UnavailableError(0, "NoAnswer", "timeout")

NEWER = job().model_copy(
    update={"metadata": job().metadata.model_copy(update={"resource_version": "9"})}
)

RACES: dict[str, tuple[list[KubeError], ImageJob | KubeError | None, list[str]]] = {
    "the spec was changed during the attempt": ([CONFLICT], NEWER, ["7", "9"]),
    "the write succeeded, but its response was lost": ([NO_ANSWER], job(phase="done"), ["7"]),
    "the write was lost": ([NO_ANSWER, NO_ANSWER], NEWER, ["7", "9", "9"]),
    "reassigned to another worker": ([CONFLICT], job(worker="w1"), ["7"]),
    "assigned to this worker again for a later attempt": ([CONFLICT], job(attempts=2), ["7"]),
    "requeued": ([CONFLICT], job(phase="queued"), ["7"]),
    "cancelled": ([CONFLICT], job(phase="failed"), ["7"]),
    "deleted": ([NotFoundError(404, "NotFound", "j")], None, ["7"]),
    "deleted and created again": (
        [CONFLICT],
        job().model_copy(update={"metadata": job().metadata.model_copy(update={"uid": "other"})}),
        ["7"],
    ),
}


@pytest.mark.parametrize("case", RACES)
async def test_attempt_commits_only_to_its_own_assignment(case: str) -> None:
    answers, now, versions = RACES[case]
    api = FakeApi(*answers, now=now)
    await run(api)
    assert [version for version, _ in api.patches] == versions


async def test_result_refused_by_the_api_server_is_reported_as_a_failure() -> None:
    api = FakeApi(KubeError(422, "Invalid", "status.result.inline.alt: too long"), now=NEWER)
    await run(api)
    (_, refused), (version, report) = api.patches
    assert refused["phase"] == "done"
    assert (version, report.keys(), report["error"]["reason"]) == (
        "9",
        {"error"},
        "DescriberFailed",
    )
    assert "too long" in report["error"]["message"]


async def test_failure_report_is_not_retried_if_the_api_server_refuses_it() -> None:
    refusal = KubeError(403, "Forbidden", "no")
    api = FakeApi(refusal, refusal, now=NEWER)
    await run(api)
    assert len(api.patches) == 2
