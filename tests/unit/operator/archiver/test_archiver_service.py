"""Tests of a running archiver: its watch, its queue, and what it deletes."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web
from archiver_helpers import BATCHES, INBOX, Frozen, until
from fakes.batch_api import BatchApi
from fakes.s3 import S3
from vision_node_contract.clients.bucket import StoreUnavailableError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_operator.archiver import freeze_queue
from vision_node_operator.archiver.freeze_queue import FreezeQueue
from vision_node_operator.archiver.manifests.freeze_errors import BatchGoneError


class Start(Protocol):
    def __call__(self, max_images: int = ...) -> AbstractAsyncContextManager[None]: ...


def phase(api: BatchApi, name: str) -> str:
    return api.batch(name).status.phase


async def test_batches_from_before_the_start_and_new_ones_are_frozen(
    s3: S3, api: BatchApi, archiver: Start, frozen: Frozen
) -> None:
    s3.put(f"{INBOX}a")
    api.create("old", prefix="inbox/")
    api.create("done", prefix="inbox/")
    api.change("done", status={"phase": "done"})
    async with archiver():
        await until(lambda: phase(api, "old") == "processing")
        api.create("new", prefix="inbox/")
        await until(lambda: phase(api, "new") == "processing")

    assert len(frozen("old")) == len(frozen("new")) == 1
    assert phase(api, "done") == "done"


async def test_invalid_batch_does_not_stop_the_others(
    s3: S3, api: BatchApi, archiver: Start
) -> None:
    s3.put(f"{INBOX}a")
    api.create("odd", prefix=["inbox/"])
    async with archiver():
        api.create("good", prefix="inbox/")
        await until(lambda: phase(api, "good") == "processing")


async def test_two_batches_are_frozen_at_a_time_in_the_order_of_their_creation(
    s3: S3, api: BatchApi, archiver: Start
) -> None:
    names = ["a", "b", "c", "d", "e"]
    running, most, order = set[str](), 0, list[str]()
    go_on = asyncio.Event()

    async def wait(prefix: str) -> None:
        nonlocal most
        name = prefix.removeprefix(INBOX).strip("/")
        if name in names:
            order.append(name)
            running.add(name)
            most = max(most, len(running))
            await go_on.wait()
            running.discard(name)

    s3.before_list = wait
    for name in names:
        s3.put(f"{INBOX}{name}/1")
        api.create(name, prefix=f"inbox/{name}/")

    async with archiver():
        await until(lambda: len(running) == 2)
        go_on.set()
        await until(lambda: all(phase(api, name) == "processing" for name in names))

    assert (most, set(order[:2]), set(order)) == (2, {"a", "b"}, set(names))


async def test_batches_pass_one_that_takes_long(s3: S3, api: BatchApi, archiver: Start) -> None:
    async def block(prefix: str) -> None:
        if prefix == f"{INBOX}large/":
            await asyncio.Event().wait()

    s3.before_list = block
    s3.put(f"{INBOX}small/1")
    api.create("large", prefix="inbox/large/")
    async with archiver():
        for number in range(5):
            api.create(f"small-{number}", prefix="inbox/small/")
        await until(lambda: all(phase(api, f"small-{it}") == "processing" for it in range(5)))
        assert phase(api, "large") == "queued"


async def test_batches_pass_one_that_waits_for_another_attempt(
    s3: S3, api: BatchApi, archiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that waits would be taken from the others."""
    monkeypatch.setattr(freeze_queue, "MAX_RUNNING", 1)
    monkeypatch.setattr(freeze_queue, "backoff", lambda *_: 3600.0)
    api.create("first", prefix="inbox/")
    s3.fails = (503, "SlowDown")
    async with archiver():
        await until(lambda: api.condition("first", "Waiting")[0] == "True")
        s3.fails = None
        s3.put(f"{INBOX}a")
        api.create("second", prefix="inbox/")
        await until(lambda: phase(api, "second") == "processing")
        assert phase(api, "first") == "queued"


async def test_batch_is_frozen_when_the_bucket_answers_again(
    s3: S3, api: BatchApi, archiver: Start, frozen: Frozen
) -> None:
    s3.put(f"{INBOX}a")
    s3.fails = (403, "AccessDenied")
    api.create("b", prefix="inbox/")
    async with archiver():
        await until(lambda: api.condition("b", "Waiting")[1] == "StorageDenied")
        await until(lambda: len(s3.requests) > 20)
        assert len(api.patches) == 1
        s3.fails = None
        await until(lambda: phase(api, "b") == "processing")

    assert len(frozen("b")) == 1


async def test_more_batches_than_the_queue_remembers_are_listed_again(
    s3: S3, api: BatchApi, archiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze_queue, "MAX_WAITING", 3)
    s3.put(f"{INBOX}a")
    names = [f"b{number}" for number in range(12)]
    for name in names:
        api.create(name, prefix="inbox/")
    async with archiver():
        await until(lambda: all(phase(api, name) == "processing" for name in names))


async def test_batch_that_waits_for_another_attempt_does_not_hide_those_that_were_too_many(
    s3: S3, api: BatchApi, archiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze_queue, "MAX_WAITING", 3)
    monkeypatch.setattr(freeze_queue, "backoff", lambda *_: 3600.0)

    async def refuse(prefix: str) -> None:
        if prefix == f"{INBOX}refused/":
            raise web.HTTPForbidden

    s3.before_list = refuse
    s3.put(f"{INBOX}a")
    api.create("refused", prefix="inbox/refused/")
    names = [f"b{number}" for number in range(12)]
    for name in names:
        api.create(name, prefix="inbox/")
    async with archiver():
        await until(lambda: all(phase(api, name) == "processing" for name in names))
        assert phase(api, "refused") == "queued"


async def test_batches_are_not_listed_again_while_there_is_no_room_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bucket that is down would otherwise let the archiver list them all the time."""
    monkeypatch.setattr(freeze_queue, "MAX_WAITING", 3)
    monkeypatch.setattr(freeze_queue, "backoff", lambda *_: 3600.0)
    freezer, relist, heart = AsyncMock(), AsyncMock(), Mock()
    freezer.freeze.side_effect = StoreUnavailableError("no answer")
    queue = FreezeQueue(freezer, Mock(), Mock(), relist, heart)

    def offer(name: str) -> None:
        body = {"metadata": {"name": name, "uid": name}, "spec": {"prefix": "inbox/"}}
        queue.offer(ImageBatch.model_validate(body))

    for name in "abc":
        offer(name)
    running = asyncio.create_task(queue.run())
    await until(lambda: freezer.report_waiting.await_count == 3)
    offer("d")
    beats = heart.beat.call_count
    await until(lambda: heart.beat.call_count > beats + 5)
    assert relist.await_count == 0

    queue.remove("a")
    await until(lambda: relist.await_count == 1)
    running.cancel()


@pytest.mark.parametrize("at", ["freeze", "report"])
async def test_batch_that_is_missing_when_it_is_frozen_does_not_count_as_deleted(at: str) -> None:
    """Etcd may have been restored from a backup without it."""
    freezer, delete, miss = AsyncMock(), Mock(), Mock()
    if at == "freeze":
        freezer.freeze.side_effect = BatchGoneError("b")
    else:
        freezer.freeze.side_effect = StoreUnavailableError("no answer")
        freezer.report_waiting.side_effect = BatchGoneError("b")
    queue = FreezeQueue(freezer, delete, miss, AsyncMock(), Mock())
    body = {"metadata": {"name": "b", "uid": "u-b"}, "spec": {"prefix": "inbox/"}}
    queue.offer(ImageBatch.model_validate(body))
    running = asyncio.create_task(queue.run())
    await until(lambda: miss.called)
    running.cancel()

    # The next attempt may have found the same before the queue was stopped.
    assert {it.args for it in miss.call_args_list} == {("u-b",)}
    assert not delete.called


async def test_cancelled_batch_is_stopped_while_it_is_being_frozen(
    s3: S3, api: BatchApi, archiver: Start
) -> None:
    s3.put(f"{INBOX}a")
    started = asyncio.Event()

    async def block(key: str) -> None:
        started.set()
        await asyncio.Event().wait()

    s3.before_put = block
    api.create("b", prefix="inbox/")
    async with archiver():
        await started.wait()
        api.change("b", cancel=True)
        await until(lambda: phase(api, "b") == "failed")

    assert api.condition("b", "Failed")[1] == "Cancelled"


@pytest.mark.parametrize("at", ["list", "put"])
async def test_deleted_batch_is_stopped_and_its_folder_is_deleted(
    s3: S3, api: BatchApi, archiver: Start, at: str
) -> None:
    for number in range(2500):
        s3.put(f"{INBOX}{number}")
    started = asyncio.Event()

    async def block(name: str) -> None:
        if name in {f"{BATCHES}u-b/m1/000001000", INBOX}:
            started.set()
            await asyncio.Event().wait()

    if at == "list":
        s3.before_list = block
    else:
        s3.before_put = block
    s3.put(f"{BATCHES}u-b/results/1")
    s3.put(f"{BATCHES}u-c/results/1")
    api.create("b", prefix="inbox/")
    async with archiver():
        await started.wait()
        api.delete("b")
        await until(lambda: not any(key.startswith(f"{BATCHES}u-b/") for key in s3.objects))

    assert f"{BATCHES}u-c/results/1" in s3.objects
    assert sum(key.startswith(INBOX) for key in s3.objects) == 2500
    assert not api.patches


async def test_checkpoints_of_a_finished_batch_are_deleted(
    s3: S3, api: BatchApi, archiver: Start, frozen: Frozen
) -> None:
    s3.put(f"{INBOX}a")
    api.create("b", prefix="inbox/")
    kept = [f"{BATCHES}u-b/results/1", f"{BATCHES}u-b/index/0", f"{BATCHES}u-bb/checkpoints/1"]
    for key in [*kept, f"{BATCHES}u-b/checkpoints/000000001"]:
        s3.put(key)
    async with archiver():
        await until(lambda: phase(api, "b") == "processing")
        await clean_another(s3, api)
        assert f"{BATCHES}u-b/checkpoints/000000001" in s3.objects
        api.change("b", status={"phase": "done"})
        await until(lambda: f"{BATCHES}u-b/checkpoints/000000001" not in s3.objects)

    assert set(kept) <= s3.objects.keys()
    assert len(frozen("b")) == 1


async def clean_another(s3: S3, api: BatchApi) -> None:
    """Wait until the archiver has deleted all folders that it had to delete before."""
    key = f"{BATCHES}u-another/m1/000000000"
    s3.put(key)
    api.create("another", prefix="inbox/")
    api.delete("another")
    await until(lambda: key not in s3.objects)
