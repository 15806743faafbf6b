"""Tests of what a worker commits for a shard, depending on its images, describer and bucket."""

import asyncio
import json
from typing import Any

import pytest
from shard_world import (
    FOLDER,
    RESULTS,
    Asking,
    Blocking,
    MemoryBucket,
    World,
    away,
    key_of,
    refused,
    settings,
    until,
)
from vision_node_contract.clients.kube import ConflictError, KubeError, UnavailableError
from vision_node_contract.models.description import Options, Result
from vision_node_contract.models.reasons import Reason
from vision_node_describer import outcome as outcome_module
from vision_node_describer.shards import commit, manifest, results, shard_run


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_module, "COMMIT_RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(shard_run, "RETRY_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(commit, "STORE_RETRY_SECONDS", (0.0, 0.0))


@pytest.mark.parametrize("describer", [Blocking, Asking])
async def test_whole_shard_is_described_and_committed_once(describer: type) -> None:
    world = World(describer(), count=30)
    outcome = await world.run()

    assert world.results == {index: str(index) for index in range(30)}
    assert (outcome["done"], outcome["failed"], outcome.get("rest")) == (30, 0, None)
    assert (outcome["key"], outcome["sizeBytes"]) == (RESULTS, len(world.bucket.objects[RESULTS]))
    assert outcome["usage"] == {"inputTokens": 300, "outputTokens": 30}
    assert "stopped" not in outcome
    assert world.api.patches[0]["phase"] == "done"

    line = json.loads(world.bucket.objects[RESULTS].splitlines()[0])
    assert line["key"] == key_of(0)
    assert Result.model_validate(line["result"]).describer == "fake"


async def test_images_options_override_those_of_the_batch() -> None:
    world = World(count=2)
    world.body["spec"]["options"] = {"prompt": "batch"}
    world.lines[1]["options"] = {"prompt": "own"}
    await world.run()
    captions = [
        json.loads(it)["result"]["caption"] for it in world.bucket.objects[RESULTS].splitlines()
    ]
    assert captions == ["batch", "own"]


def test_options_are_overridden_one_by_one() -> None:
    batch = Options(prompt="p", fallback="never", language="en")
    own = Options(language="de")
    merged = shard_run._merged(batch, own)
    assert merged == Options(prompt="p", fallback="never", language="de")
    assert shard_run._merged(None, own) == own
    assert shard_run._merged(batch, None) == batch


async def test_shard_may_begin_and_end_in_any_part_of_the_manifest() -> None:
    world = World(count=8, first=996)
    await world.run()
    described = sorted(world.describer.described, key=int)
    assert described == [str(index) for index in range(996, 1004)]
    assert [key for key in world.bucket.gets if key.startswith("batches/")] == [
        f"{FOLDER.manifest(1)}000000000",
        f"{FOLDER.manifest(1)}000001000",
    ]


FINAL: dict[str, tuple[Any, str]] = {
    "replaced after it was listed": ({"etag": '"other"'}, "ImageChanged"),
    "missing": ({"key": "inbox/missing", "etag": None}, "ImageNotFound"),
    "error in the manifest": (
        {"key": None, "error": {"reason": "DuplicateCustomId", "message": "m"}},
        "DuplicateCustomId",
    ),
    "error with an invalid reason": (
        {"error": {"reason": "no reason!", "message": "m"}},
        "ManifestLineInvalid",
    ),
    "no key": ({"key": None}, "ManifestLineInvalid"),
}


@pytest.mark.parametrize("case", FINAL)
async def test_image_with_a_final_error_fails_alone(case: str) -> None:
    changes, reason = FINAL[case]
    world = World()
    world.lines[1] |= changes
    outcome = await world.run()
    assert world.results == {0: "0", 1: reason, 2: "2", 3: "3"}
    assert (outcome["done"], outcome["failed"]) == (3, 1)
    (failure,) = outcome["failures"]
    assert (failure["index"], failure["customId"], failure["reason"]) == (1, "c1", reason)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'"\xff"', b'{"index": "x", "customId": 1}'])
async def test_malformed_line_is_an_error_of_its_image(line: bytes) -> None:
    world = World()
    world.lines[1] = line  # type: ignore[call-overload]
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (3, 1)
    (failure,) = outcome["failures"]
    assert (failure["index"], failure["reason"]) == (1, "ManifestLineInvalid")


async def test_file_that_is_too_large_fails_its_image() -> None:
    world = World()
    world.bucket.objects[key_of(1)] = b"x" * 2000
    world.lines[1] |= {"etag": None}
    await world.run()
    assert world.results[1] == "ImageTooLarge"


@pytest.mark.parametrize(
    ("failures", "expected"), [(1, "1"), (2, "1"), (3, "DescriberFailed"), (9, "DescriberFailed")]
)
async def test_transient_failure_is_retried_up_to_max_attempts(
    failures: int, expected: str
) -> None:
    world = World()
    world.describer.steps["1"] = [ZeroDivisionError("secret")] * failures
    await world.run()
    assert world.results[1] == expected
    assert world.describer.described.count("1") == min(failures + 1, 3)
    assert b"secret" not in world.bucket.objects[RESULTS]


STOPPING = {
    "quota": refused(Reason.QUOTA_EXHAUSTED),
    "429": refused(Reason.RATE_LIMITED, retry_after=7.5),
    "429 with an absurd wait": refused(Reason.RATE_LIMITED, retry_after=1e9),
}


@pytest.mark.parametrize("case", STOPPING)
async def test_problem_of_the_describer_stops_the_shard_and_fails_no_image(case: str) -> None:
    error = STOPPING[case]
    world = World(Asking(), count=20, settings=settings(concurrency=1))
    world.describer.steps["2"] = [error]
    outcome = await world.run()
    assert world.results == {0: "0", 1: "1"}
    assert (outcome["failed"], outcome["rest"]) == (0, "2-19")
    wait = error.retry_after
    assert outcome["stopped"] == {
        "reason": error.reason,
        "message": "m",
        **({"retryAfterSeconds": min(wait, 3600)} if wait else {}),
    }


CHUNK = f"{FOLDER.manifest(1)}000000000"
STORAGE: dict[str, tuple[str, list[Exception], str]] = {
    "manifest": (CHUNK, [away(Reason.STORAGE_DENIED)], "StorageDenied"),
    "image": (key_of(0), [away()] * 9, "StorageUnavailable"),
    "results": (RESULTS, [away(Reason.STORAGE_FULL)] * 9, "StorageFull"),
}


@pytest.mark.parametrize("case", STORAGE)
async def test_storage_trouble_leaves_all_images_to_others(case: str) -> None:
    prefix, errors, reason = STORAGE[case]
    world = World(count=1)
    world.bucket.errors[prefix] = list(errors)
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"], outcome["rest"]) == (0, 0, "0")
    assert outcome["stopped"]["reason"] == reason
    assert "key" not in outcome


async def test_storing_the_results_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(MemoryBucket):
        async def put(self, *_: object) -> None:
            await asyncio.Future()

    monkeypatch.setattr(commit, "STORE_SECONDS", 0.01)
    world = World()
    world.bucket.__class__ = Slow
    outcome = await world.run()
    assert (outcome["rest"], outcome["stopped"]["reason"]) == ("0-3", "StorageUnavailable")


async def test_storing_the_results_is_retried() -> None:
    world = World()
    world.bucket.errors[RESULTS] = [away(), away()]
    assert (await world.run())["done"] == 4


@pytest.mark.parametrize("chunk", [None, b"", b"x" * 200])
async def test_damaged_manifest_fails_no_image(
    chunk: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MAX_CHUNK_BYTES", 100)
    world = World(count=1)
    world.lines = [] if chunk is None else world.lines
    if chunk is not None:
        world.bucket.objects[CHUNK] = chunk
    if chunk == b"":
        world.body["spec"]["images"]["first"] = 1
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (0, 0)
    assert outcome["stopped"]["reason"] == "ManifestUnreadable"


async def test_line_of_another_image_means_a_damaged_manifest() -> None:
    world = World()
    world.lines[0], world.lines[1] = world.lines[1], world.lines[0]
    outcome = await world.run()
    assert outcome["rest"] == "0-3"
    assert outcome["stopped"]["reason"] == "ManifestUnreadable"


async def test_part_of_a_manifest_with_the_longest_lines_is_read() -> None:
    """A line of 16 KiB may become longer when the archiver writes it."""
    world = World(count=4)
    world.lines[0]["options"] = {"prompt": "p"}
    world.write_manifest()
    world.bucket.objects[CHUNK] += b" " * (17_500_000 - len(world.bucket.objects[CHUNK]))
    assert (await world.run())["done"] == 4


async def test_large_part_of_a_manifest_waits_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "USUAL_CHUNK_BYTES", 100)
    world = World(count=4)
    files = world.images.budgets.files
    async with files.reserve(files.total):
        world.assign()
        await until(lambda: CHUNK in world.bucket.gets)
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.bucket.gets == [CHUNK]
    await asyncio.wait_for(world.runner.idle.wait(), 30)
    assert world.outcome["done"] == 4
    assert (world.bucket.gets.count(CHUNK), files._used) == (2, 0)


async def test_results_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_RESULTS_BYTES", 1000)
    world = World(count=50, settings=settings(concurrency=1))
    outcome = await world.run()
    assert 1000 <= outcome["sizeBytes"] < 5000
    assert outcome["done"] + int(outcome["rest"].split("-")[1]) == 49 + outcome["done"]
    assert outcome["rest"] == f"{outcome['done']}-49"
    assert "stopped" not in outcome


async def test_failures_in_the_outcome_are_bounded() -> None:
    world = World(count=20)
    long = {"reason": "ManifestLineInvalid", "message": "m" * 5000}
    for line in world.lines:
        line |= {"error": long}
    outcome = await world.run()
    assert (outcome["failed"], len(outcome["failures"])) == (20, 10)
    assert {len(it["message"]) for it in outcome["failures"]} == {512}
    message = json.loads(world.bucket.objects[RESULTS].splitlines()[0])["error"]["message"]
    assert len(message) == 2048


async def test_commit_survives_an_unavailable_api_server_and_changes_of_the_spec() -> None:
    world = World()
    world.api.answers = [UnavailableError(0, "NoAnswer", "refused"), None]
    world.runner.handle(json.loads(json.dumps(world.body)))
    world.body["metadata"]["resourceVersion"] = "9"
    assert (await world.run())["done"] == 4


@pytest.mark.parametrize(
    "change", [{"worker": "w1"}, {"attempts": 2}, {"phase": "queued"}, {"phase": "failed"}]
)
async def test_conflict_ends_the_commit_if_the_shard_is_no_longer_ours(
    change: dict[str, Any],
) -> None:
    world = World()
    world.assign()
    world.body["status"] |= change
    world.api.answers = [ConflictError(409, "Conflict", "changed")]
    await world.runner.idle.wait()
    assert world.api.patches == []


async def test_refused_outcome_is_reported_to_the_operator() -> None:
    world = World()
    world.api.answers = [KubeError(422, "Invalid", "status.images")]
    world.assign()
    await world.runner.idle.wait()
    ((error,),) = (patch.values() for patch in world.api.patches)
    assert (error["reason"], error["retryable"]) == ("DescriberFailed", True)


async def test_slow_checkpoint_is_no_hung_image() -> None:
    class Slow(MemoryBucket):
        async def put(self, key: str, *rest: Any) -> None:
            if key == FOLDER.checkpoint(0):
                await asyncio.sleep(0.3)
            await super().put(key, *rest)

    world = World(Asking(), count=2, settings=settings(timeout_seconds=0.2))
    world.bucket.__class__ = Slow
    outcome = await world.run()
    assert world.results == {0: "0", 1: "1"}
    assert not {"suspects", "stopped"} & outcome.keys()


async def test_images_of_unknown_size_are_fetched_at_the_same_time() -> None:
    together = asyncio.Barrier(2)

    class Waiting(MemoryBucket):
        async def get(self, key: str, max_bytes: int, etag: str | None = None) -> bytes:
            if key in {key_of(0), key_of(1)}:
                await together.wait()
            return await super().get(key, max_bytes, etag)

    world = World(count=2, settings=settings(max_image_bytes=20 << 20))
    world.bucket.__class__ = Waiting
    for line in world.lines:
        del line["size"]
    assert (await world.run())["done"] == 2
