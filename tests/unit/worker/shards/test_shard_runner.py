"""Tests of how shards begin and end: assignments, cancellation, SIGTERM, kills and hangs."""

import asyncio
import copy
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from shard_world import (
    FOLDER,
    RESULTS,
    UID,
    Asking,
    Blocking,
    World,
    away,
    key_of,
    refused,
    settings,
    until,
)
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.attempt import AttemptRunner
from vision_node_describer.image_task import ImageTask
from vision_node_describer.lease import keep_lease
from vision_node_describer.shards import shard_run
from vision_node_describer.worker import Worker


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_run, "RETRY_SECONDS", (0.0, 0.0))


@pytest.fixture
async def blocked() -> AsyncIterator[World]:
    """Yield a world of 20 images in which image 2 blocks its thread until `gate` is set."""
    world = World(count=20, settings=settings(concurrency=1))
    gate = threading.Event()
    world.gate = gate  # type: ignore[attr-defined]
    world.describer.steps["2"] = [lambda: cast("None", gate.wait(10))]
    world.assign()
    await until(lambda: "2" in world.describer.described)
    yield world
    gate.set()


def gate_of(world: World) -> threading.Event:
    return cast("threading.Event", world.gate)  # type: ignore[attr-defined]


def cancelled(world: World) -> dict[str, Any]:
    body = copy.deepcopy(world.body)
    body["spec"]["cancel"] = True
    return body


@pytest.mark.parametrize("by", ["cancel", "SIGTERM"])
async def test_stopped_shard_commits_what_is_done_and_in_progress(blocked: World, by: str) -> None:
    if by == "cancel":
        blocked.runner.handle(cancelled(blocked))
    else:
        blocked.runner.finish()
    gate_of(blocked).set()
    await asyncio.wait_for(blocked.runner.idle.wait(), 30)

    assert blocked.results == {0: "0", 1: "1", 2: "2"}
    assert (blocked.outcome["done"], blocked.outcome["rest"]) == (3, "3-19")
    assert blocked.outcome.get("stopped", {}).get("reason") == (
        "Cancelled" if by == "cancel" else None
    )
    assert blocked.describer.described == ["0", "1", "2"]


async def test_stopped_shard_does_not_wait_for_long(
    blocked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_run, "STOP_SECONDS", 0.0)
    blocked.runner.finish()
    await asyncio.wait_for(blocked.runner.idle.wait(), 30)
    assert (blocked.outcome["done"], blocked.outcome["rest"]) == (2, "2-19")
    assert "suspects" not in blocked.outcome


async def test_shard_that_is_cancelled_from_the_start_is_committed_at_once() -> None:
    world = World()
    world.body["spec"]["cancel"] = True
    outcome = await world.run()
    assert (outcome["done"], outcome["rest"]) == (0, "0-3")
    assert world.describer.described == []


@pytest.mark.parametrize("how", ["deleted", "not listed", "assigned again"])
async def test_shard_that_is_no_longer_ours_is_abandoned_without_a_commit(
    blocked: World, how: str
) -> None:
    first = copy.deepcopy(blocked.body)
    if how == "deleted":
        blocked.runner.release({"b-0"})
    elif how == "not listed":
        blocked.runner.release_others(set())
    else:
        blocked.body["status"]["attempts"] = 2
        blocked.runner.handle(blocked.body)

    gate_of(blocked).set()
    await asyncio.wait_for(blocked.runner.idle.wait(), 30)
    assert RESULTS not in blocked.bucket.objects
    committed = [patch["images"]["done"] for patch in blocked.api.patches]
    assert committed == ([20] if how == "assigned again" else [])
    assert first["status"]["attempts"] == 1


async def test_assignment_that_is_reported_twice_runs_once() -> None:
    world = World()
    world.assign()
    world.runner.handle(world.body)
    await world.runner.idle.wait()
    world.runner.handle(world.body)
    assert world.runner.idle.is_set()
    assert len(world.api.patches) == 1
    assert sorted(world.describer.described) == ["0", "1", "2", "3"]


async def test_next_shard_waits_for_the_running_one(blocked: World) -> None:
    """The watch may report the next assignment before the API server answers the commit."""
    others = []
    for name in ("b-1", "b-2"):
        body = copy.deepcopy(blocked.body)
        body["metadata"] |= {"name": name, "uid": name}
        others.append(body)
        blocked.runner.handle(body)
    blocked.runner.release({"b-1"})
    gate_of(blocked).set()
    await until(blocked.runner.idle.is_set)
    assert list(blocked.describer.described).count("0") == 2


async def test_termination_message_names_the_images_that_are_being_described(
    tmp_path: Path,
) -> None:
    message = tmp_path / "message"
    message.touch()
    gate = threading.Event()
    world = World(count=20, message=message)
    for index in "01":
        world.describer.steps[index] = [lambda: cast("None", gate.wait(10))]
    world.assign()
    await until(lambda: len(world.describer.described) == 2)
    await until(lambda: len(world.bucket.gets) == 1 + 2 + shard_run.FETCHED_AHEAD)

    assert sorted(message.read_text().split()) == [f"{UID}/0", f"{UID}/1"]
    gate.set()
    await world.runner.idle.wait()
    assert message.read_text() == ""


async def test_answers_survive_a_kill_and_are_not_asked_for_again() -> None:
    world = World(Asking(), count=12)
    asked = world.describer.asked
    world.describer.steps["1"] = [refused(Reason.CONTENT_REFUSED)]
    world.assign()
    await until(lambda: len(asked) >= 6)
    world.describer.answers.clear()
    await until(lambda: len(world.bucket.objects) >= 12 + 1 + len(asked) - 2)
    world.runner.release({"b-0"})  # as if the worker had been killed
    in_flight = world.settings.concurrency
    answered = len([key for key in world.bucket.objects if key.startswith(FOLDER.checkpoints)])
    assert len(asked) <= answered + in_flight
    first = list(asked)
    await until(world.runner.idle.is_set)

    world.describer.answers.set()
    world.runner = world.new_runner()
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"]) == (11, 1)
    assert outcome["usage"] == {"inputTokens": 110, "outputTokens": 11}
    assert world.results[1] == "ContentRefused"
    assert len(set(first) & set(asked[len(first) :])) <= in_flight


async def test_blocking_describers_leave_no_checkpoints() -> None:
    world = World()
    await world.run()
    assert not [key for key in world.bucket.objects if key.startswith(FOLDER.checkpoints)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"index": 0, "customId": "other", "result": {}}',
        b'{"index": 1, "customId": "c0", "result": {}}',
        b'{"index": 0, "customId": "c0"}',
        b'{"index": 0, "customId": "c0", "result": {},\n"error": null}',
    ],
)
async def test_invalid_checkpoint_is_ignored(data: bytes) -> None:
    world = World(Asking(), count=1)
    world.bucket.objects[FOLDER.checkpoint(0)] = data
    await world.run()
    assert world.results == {0: "0"}


async def test_unavailable_list_of_checkpoints_leaves_all_images_to_others() -> None:
    world = World(Asking())
    world.bucket.errors[FOLDER.checkpoints] = [away()]
    outcome = await world.run()
    assert (outcome["rest"], outcome["stopped"]["reason"]) == ("0-3", "StorageUnavailable")
    assert world.describer.asked == []


async def test_answer_counts_although_its_checkpoint_was_not_stored() -> None:
    world = World(Asking(), count=9, settings=settings(concurrency=1))
    world.bucket.errors[FOLDER.checkpoint(1)] = [away()]
    outcome = await world.run()
    assert world.results == {0: "0", 1: "1"}
    assert (outcome["rest"], outcome["stopped"]["reason"]) == ("2-8", "StorageUnavailable")


@pytest.mark.parametrize("alone", [False, True])
async def test_image_whose_thread_does_not_return_becomes_a_suspect(*, alone: bool) -> None:
    """The other images are committed first, and then the worker ends."""
    gate = threading.Event()
    world = World(count=1 if alone else 9, alone=alone, settings=settings(timeout_seconds=0.2))
    world.describer.steps["0"] = [lambda: cast("None", gate.wait(10))]
    outcome = await world.run()

    assert (outcome.get("suspects"), outcome["failed"]) == ((None, 1) if alone else ("0", 0))
    if alone:
        assert world.results == {0: "AttemptTimedOut"}
    else:
        assert (outcome["done"], outcome["rest"]) == (8, "0")
        assert outcome["stopped"]["reason"] == "AttemptTimedOut"

    await asyncio.wait_for(world.images.threads.hung.wait(), 30)
    gate.set()


async def test_abandoned_image_keeps_its_memory_until_its_thread_returns() -> None:
    """The shard may abandon the image first, and then be abandoned itself."""
    gate = threading.Event()
    world = World(count=2, settings=settings(timeout_seconds=0.2, concurrency=1))
    world.describer.memory = lambda _: 1000
    world.describer.steps["0"] = [lambda: cast("None", gate.wait(10))]
    world.assign()
    await until(lambda: bool(world.describer.described))
    (runner,) = (it for it in world.runner._run._runners if it.busy_since)  # type: ignore[union-attr]
    for _ in range(2):
        runner.abandon()
        runner.drop_if_idle()
        await asyncio.sleep(0.01)
    assert (runner.task.done(), world.images.budgets.decoding._used) == (False, 1000)

    gate.set()
    await until(runner.task.done)
    await until(lambda: world.images.budgets.decoding._used == 0)  # the other image may follow


@pytest.mark.parametrize("how", ["stopped", "abandoned"])
async def test_slot_is_free_and_the_worker_hung_if_a_preparation_never_returns(how: str) -> None:
    """The runner may be cancelled while it waits for the thread of an attempt that timed out."""
    gate = threading.Event()

    class Stuck(Asking):
        def prepare(self, image: bytes, options: Options) -> str:
            gate.wait(10)
            return super().prepare(image, options)

    world = World(
        Stuck(), count=1, settings=settings(concurrency=1, timeout_seconds=0.3, max_attempts=1)
    )
    waiting = asyncio.Event()
    wait = world.images.threads.wait_until_ended

    async def wait_until_ended(task: ImageTask, seconds: float) -> None:
        waiting.set()
        await wait(task, seconds)

    world.images.threads.wait_until_ended = wait_until_ended  # type: ignore[method-assign]
    world.assign()
    await waiting.wait()
    if how == "abandoned":
        world.runner.release({"b-0"})
    else:
        world.runner.finish()
    await asyncio.wait_for(world.images.threads.hung.wait(), 30)
    await until(world.runner.idle.is_set)
    assert world.slots._shard_images == 0
    gate.set()


async def test_images_of_a_shard_use_the_slots_that_single_images_leave_free() -> None:
    world = World(Asking(), count=20, settings=settings(concurrency=3))
    world.describer.answers.clear()
    with world.slots.single():
        world.assign()
        await until(lambda: len(world.describer.asked) == 2)
        await until(lambda: len(world.bucket.gets) == 1 + 3 + shard_run.FETCHED_AHEAD)
        assert len(world.describer.asked) == 2
    await until(lambda: len(world.describer.asked) == 3)
    world.describer.answers.set()
    await world.runner.idle.wait()
    assert world.outcome["done"] == 20


async def test_single_image_is_described_while_a_shard_occupies_all_threads(blocked: World) -> None:
    task = ImageTask("single", "s", 1, key_of(7), None, 3, Options(), 1, 3, 60.0)
    result = await asyncio.wait_for(blocked.images.describe(task), 30)
    assert result.description == "7"
    assert blocked.describer.described[-1] == "7"


async def test_progress_names_the_shard_and_the_number_of_ended_images(blocked: World) -> None:
    progress = blocked.runner.progress or ""
    assert progress.startswith(f"{UID}/2.")
    gate_of(blocked).set()
    await blocked.runner.idle.wait()
    assert blocked.runner.progress is None


class NoAttempts:
    async def attempt(self, job: object) -> None:
        raise AssertionError("no single image is assigned")


def worker_of(world: World, max_images: int = 0) -> Worker:
    return Worker(cast("AttemptRunner", NoAttempts()), world.runner, max_images)


@pytest.mark.parametrize(("max_images", "exits"), [(4, True), (5, False), (0, False)])
async def test_images_of_shards_count_toward_max_images(max_images: int, *, exits: bool) -> None:
    world = World(count=4)
    worker = worker_of(world, max_images)
    world.write_manifest()
    worker.handle(WatchEvent("ADDED", [world.body]))
    await world.runner.idle.wait()
    await asyncio.sleep(0)
    assert worker.should_exit.is_set() == exits
    assert len(world.api.patches) == 1


async def test_worker_finishes_its_shard(blocked: World) -> None:
    worker = worker_of(blocked)
    finishing = asyncio.create_task(worker.finish())
    await asyncio.sleep(0.01)
    assert not finishing.done()
    gate_of(blocked).set()
    await asyncio.wait_for(finishing, 30)
    assert blocked.outcome["rest"] == "3-19"


async def test_worker_routes_events_of_shards(blocked: World) -> None:
    worker = worker_of(blocked)
    worker.handle(WatchEvent("DELETED", [blocked.body]))
    gate_of(blocked).set()
    await asyncio.wait_for(blocked.runner.idle.wait(), 30)
    assert blocked.api.patches == []


async def test_shard_advances_while_its_last_image_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise, the operator would take the worker of a slow provider for hung."""
    monkeypatch.setattr(shard_run, "RETRY_SECONDS", (3600.0, 3600.0))
    monkeypatch.setattr(shard_run, "STEP_SECONDS", 0.001)
    monkeypatch.setattr(shard_run, "backoff", lambda *_: 3600.0)

    world = World(count=1)
    world.describer.steps["0"] = [DescribeError(Reason.PROVIDER_UNAVAILABLE, "503")]
    world.assign()
    await until(lambda: "0" in world.describer.described)
    before = world.runner.progress
    await until(lambda: world.runner.progress != before)
    assert (world.runner.progress or "").startswith(f"{UID}/0.")


async def test_lease_tells_abilities_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kube:
        async def request(self, method: str, path: str, *, body: Any) -> Any:
            written.append(body["metadata"]["annotations"])
            if len(written) == 3:
                raise asyncio.CancelledError

    written: list[dict[str, Any]] = []
    progress = iter(["u/1", None])
    monkeypatch.setattr("vision_node_describer.lease.RENEW_SECONDS", 0.0)
    with pytest.raises(asyncio.CancelledError):
        await keep_lease(cast("Any", Kube()), settings(), Blocking(), lambda: next(progress))
    assert [it["vision-node.dev/abilities"] for it in written] == ["shards"] * 3
    assert [it.get("vision-node.dev/shard-progress") for it in written] == [None, "u/1", None]
    assert "vision-node.dev/shard-progress" in written[2], "null deletes the annotation"
    json.dumps(written)
