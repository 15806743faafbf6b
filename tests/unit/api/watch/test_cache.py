"""Tests of the ImageJob cache, which a watch fills.

Jobs that are not in the cache are read from the API server.
"""

import asyncio
import gc
import json
import tracemalloc
from typing import Any

import pytest
from bench.api.imagejobs import DONE, UNFINISHED, numbered, template
from vision_node_api.watch.follower import WatchFollower
from vision_node_api.watch.imagejob_cache import ENTRY_BYTES, ImageJobCache, imagejob_text
from vision_node_contract.clients.kube import NotFoundError, WatchEvent
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import REUSE_LABEL


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
    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.CACHE_BYTES", room_for(3))
    cache.observe(WatchEvent("PAGE", [body("a"), *(body(it, "done") for it in ("late", "b", "c"))]))
    assert [await phase(cache, name) for name in "abc"] == ["queued", "done", "done"]
    assert server.reads == 0
    await cache.get("late")
    assert server.reads == 1


async def test_unfinished_jobs_that_do_not_fit_are_read_from_the_api_server(
    cache: ImageJobCache, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.CACHE_BYTES", room_for(2))
    late = body("late")
    late["spec"]["image"]["key"] = "inbox/1"
    cache.observe(WatchEvent("PAGE", [body("a"), body("b"), late]))
    assert [await phase(cache, name) for name in ("a", "b", "late")] == ["queued"] * 3
    assert server.reads == 1

    assert cache.unfinished == cache.total == 3
    assert cache.users_of("inbox/1") == ["late"]

    cache.observe(WatchEvent("DELETED", [body("a")]))
    cache.observe(WatchEvent("MODIFIED", [body("late", "processing")]))
    assert await phase(cache, "late") == "processing"
    assert server.reads == 1


def room_for(jobs: int) -> int:
    """Return a size of the cache in bytes into which this many small ImageJobs fit."""
    smallest, largest = (
        ENTRY_BYTES + len(imagejob_text(body(name, phase)))
        for name, phase in (("a", "done"), ("late", "processing"))
    )
    assert jobs * largest < (jobs + 1) * smallest
    return jobs * largest


def test_cached_text_contains_no_metadata_that_the_api_does_not_use() -> None:
    """Annotations may take 256 KiB, and managedFields take a quarter of an ImageJob."""
    job = body("a")
    small = imagejob_text(job)
    job["metadata"] |= {"annotations": {"x": "y" * 1000}, "managedFields": [{"f:spec": {}}]}
    assert imagejob_text(job) == small
    assert ImageJob.model_validate_json(small) == ImageJob.model_validate(job)


TOTALS = {
    "jobs of a list": ("page:ab page:c synced:abc", 3),
    "no jobs": ("synced:", 0),
    "jobs that were deleted before a new list": ("page:abc synced:abc page:b synced:b", 1),
    "jobs that were created before a new list": ("page:a synced:a page:ab synced:ab", 2),
    "a created job": ("synced: added:a", 1),
    "a job that is reported twice": ("synced: added:a added:a modified:a", 1),
    "a change to an unknown job": ("synced: modified:a", 1),
    "a deleted job": ("page:ab synced:ab deleted:a", 1),
    "a job that is deleted twice": ("page:ab synced:ab deleted:a deleted:a", 1),
    "an unknown job that is deleted": ("page:a synced:a deleted:b", 1),
    "a job that is created again": ("page:a synced:a deleted:a added:a", 1),
    "a finished job": ("added:a finished:a", 1),
    "finished jobs that the cache drops": ("finished:a finished:b finished:c finished:d", 4),
    "a dropped job that is reported again": ("finished:a finished:b finished:c finished:a", 3),
    "a dropped job that is deleted": ("finished:a finished:b finished:c deleted:a", 2),
    "a dropped job that a list lacks": (
        "finished:a finished:b finished:c page:bc synced:bc",
        2,
    ),
}
"""Events, and the total number of ImageJobs after them. The cache has room for two ImageJobs."""


@pytest.mark.parametrize("case", TOTALS)
def test_existing_jobs_are_counted(
    cache: ImageJobCache, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.CACHE_BYTES", room_for(2))
    events, total = TOTALS[case]
    for step in events.split():
        kind, _, names = step.partition(":")
        cache.observe(event_of(kind, names))
    assert cache.total == total


def event_of(kind: str, names: str) -> WatchEvent:
    """Return a watch event about the ImageJobs whose names are the letters of `names`."""
    if kind == "synced":
        return WatchEvent("SYNCED", names=frozenset(names))

    phase = "done" if kind == "finished" else "queued"
    types: dict[str, Any] = {"page": "PAGE", "added": "ADDED", "deleted": "DELETED"}
    return WatchEvent(types.get(kind, "MODIFIED"), [body(name, phase) for name in names])


def test_memory_is_bounded_however_many_jobs_there_are(
    cache: ImageJobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit includes what Python needs in addition to the text of each ImageJob."""
    limit = 1 << 20
    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.CACHE_BYTES", limit)
    done, queued = template(DONE), template(UNFINISHED)
    tracemalloc.start()

    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(2000):
            job = json.loads(numbered(done if number % 2 else queued, number))
            job["metadata"]["labels"] = {REUSE_LABEL: f"{number:032x}"}
            cache.observe(WatchEvent("ADDED", [job]))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    names = 2000 * NAME_BYTES
    assert limit / 2 < after - before - names < limit * 1.1


NAME_BYTES = 450
"""Upper limit of what an ImageJob takes that is not in the cache: its name, and its part of the
sums of what owners use."""


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

    monkeypatch.setattr("vision_node_api.watch.just_created.CREATED_SECONDS", 0.0)
    cache.add_created(ImageJob.model_validate(body("late")))
    await asyncio.sleep(0)

    assert await phase(cache, "late") == "queued"
    assert server.reads == 2
