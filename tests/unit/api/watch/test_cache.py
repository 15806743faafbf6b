"""Tests of the ImageJob cache, which a watch fills.

Jobs that are not in the cache are read from the API server.
"""

import asyncio
from typing import Any

import pytest
from vision_node_api.watch import imagejob_cache
from vision_node_api.watch.follower import WatchFollower
from vision_node_api.watch.imagejob_cache import ImageJobCache
from vision_node_contract.clients.kube import NotFoundError, WatchEvent
from vision_node_contract.models.imagejob import ImageJob


def body(name: str, phase: str = "queued", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"image": {"key": "images/1"}},
        "status": {"phase": phase, **status},
    }


class Server:
    """A fake API server that has only the ImageJob `late` and counts reads."""

    def __init__(self) -> None:
        self.reads = 0

    async def get(self, name: str) -> ImageJob:
        self.reads += 1
        if name != "late":
            raise NotFoundError(404, "NotFound", name)
        return ImageJob.model_validate(body(name))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def cache(server: Server) -> ImageJobCache:
    return ImageJobCache(server)  # type: ignore[arg-type]


async def phase(cache: ImageJobCache, name: str) -> str:
    return (await cache.get(name)).status.phase


def test_total_counts_every_job_once(cache: ImageJobCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished jobs count even if they are no longer cached."""
    monkeypatch.setattr(imagejob_cache, "FINISHED_KEPT", 2)
    cache.observe(WatchEvent("PAGE", [body("a"), *(body(name, "done") for name in "bcde")]))
    assert (cache.total, cache.unfinished) == (5, 1)

    cache.observe(WatchEvent("MODIFIED", [body("a", "done")]))
    cache.observe(WatchEvent("ADDED", [body("f")]))
    cache.observe(WatchEvent("DELETED", [body("b", "done")]))
    cache.observe(WatchEvent("DELETED", [body("b", "done")]))
    assert (cache.total, cache.unfinished) == (5, 1)

    cache.observe(WatchEvent("SYNCED", names=frozenset("cf")))
    assert (cache.total, cache.unfinished) == (2, 1)


async def test_watched_jobs_are_not_read_from_the_api_server(
    cache: ImageJobCache, server: Server
) -> None:
    cache.observe(WatchEvent("PAGE", [body("a"), body("b", "done")]))
    cache.observe(WatchEvent("SYNCED", names=frozenset("ab")))
    cache.observe(WatchEvent("ADDED", [body("c")]))
    cache.observe(WatchEvent("MODIFIED", [body("a", "processing")]))
    assert [await phase(cache, name) for name in "abc"] == ["processing", "done", "queued"]
    cache.observe(WatchEvent("MODIFIED", [body("a", "failed")]))
    assert await phase(cache, "a") == "failed"
    assert server.reads == 0


async def test_unknown_jobs_are_read_from_the_api_server(
    cache: ImageJobCache, server: Server
) -> None:
    assert await phase(cache, "late") == "queued"
    assert server.reads == 1
    with pytest.raises(NotFoundError):
        await cache.get("missing")


@pytest.mark.parametrize(
    "removal", [WatchEvent("DELETED", [body("a", "done")]), WatchEvent("SYNCED")]
)
@pytest.mark.parametrize("old_phase", ["queued", "done"])
async def test_deleted_jobs_are_removed_from_the_cache(
    cache: ImageJobCache, removal: WatchEvent, old_phase: str
) -> None:
    cache.observe(WatchEvent("PAGE", [body("a", old_phase)]))
    cache.observe(removal)
    with pytest.raises(NotFoundError):
        await cache.get("a")


async def test_complete_result_of_a_finished_job_is_cached(cache: ImageJobCache) -> None:
    inline = {
        "description": "Image Description:",
        "alt": "a",
        "caption": "c",
        "describer": "metadata",
    }
    result = {
        "describer": "metadata",
        "summary": "s",
        "inline": {**inline, "seconds": 0.5, "facts": {"x": 1}},
    }
    finished = body("a", "done", result=result, completionTime="2026-01-01T00:00:00.123456Z")
    cache.observe(WatchEvent("PAGE", [finished]))

    assert await cache.get("a") == ImageJob.model_validate(finished)


async def test_unexpected_end_of_a_watch_is_reported(
    cache: ImageJobCache,
) -> None:
    follower = WatchFollower(None, "/path", cache.observe)  # type: ignore[arg-type]
    with follower.running():
        follower.raise_if_ended()
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="The watch of /path has stopped"):
            follower.raise_if_ended()


async def test_only_the_newest_finished_jobs_stay_in_the_cache(
    cache: ImageJobCache, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.FINISHED_KEPT", 2)
    cache.observe(WatchEvent("PAGE", [body(name, "done") for name in ("late", "b", "c")]))
    assert [await phase(cache, name) for name in "bc"] == ["done", "done"]
    assert server.reads == 0
    await cache.get("late")
    assert server.reads == 1


async def test_other_jobs_are_cached_if_one_job_is_malformed(cache: ImageJobCache) -> None:
    malformed = body("malformed")
    malformed["status"]["attempts"] = "many"
    cache.observe(WatchEvent("PAGE", [malformed, body("a")]))
    assert await phase(cache, "a") == "queued"


async def test_created_job_is_cached_until_the_watch_reports_it(
    cache: ImageJobCache, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add_created(ImageJob.model_validate(body("a")))
    cache.add_created(ImageJob.model_validate(body("late")))
    assert [await phase(cache, name) for name in ("a", "late")] == ["queued", "queued"]
    assert server.reads == 0

    cache.observe(WatchEvent("MODIFIED", [body("a", "processing")]))
    assert await phase(cache, "a") == "processing"

    cache.observe(WatchEvent("DELETED", [body("a")]))
    with pytest.raises(NotFoundError):
        await cache.get("a")

    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.CREATED_SECONDS", 0.0)
    cache.add_created(ImageJob.model_validate(body("late")))
    await asyncio.sleep(0)

    assert await phase(cache, "late") == "queued"
    assert server.reads == 2
