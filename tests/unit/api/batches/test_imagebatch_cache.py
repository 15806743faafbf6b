"""Tests of the ImageBatch cache, and of the watch that fills it."""

import asyncio
import logging
from typing import Any, cast

import pytest
from api_fakes import Cluster
from api_server import until
from batch_fixture import FOLDERS
from vision_node_api.watch import batch_follower, imagebatch_cache
from vision_node_api.watch.batch_follower import BatchFollower
from vision_node_api.watch.imagebatch_cache import MAX_LOOKUPS, ImageBatchCache
from vision_node_contract.clients.kube import (
    Kube,
    KubeError,
    NotFoundError,
    UnavailableError,
    WatchEvent,
)

FORBIDDEN = UnavailableError(403, "Forbidden", "User cannot list resource")
MISSING = NotFoundError(404, "NotFound", "the server could not find the requested resource")


def body(name: str, phase: str = "queued", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
        "spec": spec or {"prefix": "inbox/holiday/"},
        "status": {"phase": phase, "counted": "0-5", "suspects": "7"},
    }


@pytest.fixture
def cache(cluster: Cluster) -> ImageBatchCache:
    return ImageBatchCache(cast("Kube", cluster), "ns")


async def test_watched_batch_is_cached_until_it_is_deleted(
    cache: ImageBatchCache, cluster: Cluster
) -> None:
    cache.observe(WatchEvent("PAGE", [body("a"), body("b")]))
    cache.observe(WatchEvent("SYNCED", names=frozenset("ab")))
    cache.observe(WatchEvent("MODIFIED", [body("a", "done")]))
    assert (await cache.get("a")).status.phase == "done"
    assert cluster.batch_reads == 0

    cache.observe(WatchEvent("DELETED", [body("a")]))
    cache.observe(WatchEvent("SYNCED", names=frozenset()))
    for name in "ab":
        with pytest.raises(NotFoundError):
            await cache.get(name)


async def test_memory_is_bounded_and_dropped_batches_are_read(
    cache: ImageBatchCache, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"batch-{number}" for number in range(100)]
    cluster.batches = {name: body(name, "done") for name in names}
    cache.observe(WatchEvent("ADDED", [cluster.batches[names[0]]]))
    monkeypatch.setattr(imagebatch_cache, "CACHE_BYTES", 10 * cache._bytes)
    cache.observe(WatchEvent("ADDED", list(cluster.batches.values())))

    assert cache._bytes <= imagebatch_cache.CACHE_BYTES
    for name in names:
        assert (await cache.get(name)).metadata.name == name
    assert cluster.batch_reads > 90


def test_unused_parts_of_the_status_take_no_memory(cache: ImageBatchCache) -> None:
    cache.observe(WatchEvent("ADDED", [body("a")]))
    before, large = cache._bytes, body("a")
    large["status"] |= {"counted": "0," * 4000, "suspects": "0," * 2000}
    large["metadata"]["managedFields"] = ["x" * 1000]
    cache.observe(WatchEvent("MODIFIED", [large]))
    assert cache._bytes == before


async def test_lookups_of_unknown_names_are_limited() -> None:
    class SlowKube:
        def __init__(self) -> None:
            self.at_once = 0
            self.most = 0

        async def request(self, method: str, path: str) -> dict[str, Any]:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            await asyncio.sleep(0)
            self.at_once -= 1
            return body("a")

    kube = SlowKube()
    cache = ImageBatchCache(cast("Kube", kube), "ns")
    await asyncio.gather(*(cache.get(f"unknown-{number}") for number in range(50)))
    assert kube.most == MAX_LOOKUPS


USERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "folder without the id": ({"prefix": "inbox/holiday/"}, ["a", "b"]),
    "folder with the id": ({"prefix": "inbox/aaaabbbbcccc/holiday/"}, ["a", "b"]),
    "beginning of a name": ({"prefix": "inbox/hol"}, ["a", "b"]),
    "whole inbox": ({"prefix": "inbox/"}, ["a", "b", "other"]),
    "folder in another release": ({"prefix": "inbox/ddddeeeeffff/holiday/"}, []),
    "list of images": ({"manifest": "inbox/holiday/b"}, ["b"]),
    "no source": ({"describer": "local"}, []),
}
"""Spec of an unfinished batch, and which of the images a, b and other it uses."""


@pytest.mark.parametrize("case", USERS)
def test_users_of_an_image(cache: ImageBatchCache, case: str) -> None:
    spec, expected = USERS[case]
    cache.observe(WatchEvent("ADDED", [body("it", "processing", **spec)]))
    keys = {"a": "holiday/a", "b": "holiday/b", "other": "other"}
    used = [it for it, key in keys.items() if cache.users_of(FOLDERS.inbox + key, FOLDERS)]
    assert used == expected

    cache.observe(WatchEvent("MODIFIED", [body("it", "done", **spec)]))
    assert not any(cache.users_of(FOLDERS.inbox + key, FOLDERS) for key in keys.values())


class FakeKube:
    """An API server that refuses to list ImageBatches while `error` is set."""

    def __init__(self) -> None:
        self.error: KubeError | None = None
        self.requests = 0

    async def request(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        self.requests += 1
        if self.error:
            raise self.error
        return {"items": []}

    async def follow(self, path: str, selectors: Any) -> Any:
        yield WatchEvent("SYNCED")
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MISSING, "The cluster has no ImageBatches"),
        (FORBIDDEN, "The API may not read ImageBatches"),
        (KubeError(403, "Forbidden", "no"), "The API may not read ImageBatches"),
        (KubeError(400, "BadRequest", "no"), "Kubernetes refuses to list ImageBatches"),
        (UnavailableError(503, "Down", "no"), ""),
        (UnavailableError(0, "NoAnswer", "no"), ""),
    ],
)
async def test_older_chart_is_recognized(error: KubeError, expected: str) -> None:
    kube = FakeKube()
    kube.error = error
    follower = BatchFollower(cast("Kube", kube), "/imagebatches", lambda _: None)
    await follower.check()
    assert follower.refusal.startswith(expected)
    assert bool(follower.refusal) == bool(expected)


async def test_refused_watch_is_logged_once_and_retried(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_follower, "RETRY_SECONDS", (0.001, 0.002))
    kube = FakeKube()
    kube.error = MISSING
    follower = BatchFollower(cast("Kube", kube), "/imagebatches", lambda _: None)
    with caplog.at_level(logging.WARNING), follower.running():
        await until(lambda: kube.requests > 5)
        assert (follower.listed, len(caplog.records)) == (False, 1)

        kube.error = None
        await until(lambda: follower.listed)
        assert follower.refusal == ""
        follower.raise_if_ended()
