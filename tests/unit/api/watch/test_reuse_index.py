"""Tests of the index that finds ImageJobs by the key of submissions with the same result."""

from typing import Any

import pytest
from vision_node_api.watch.imagejob_cache import ImageJobCache
from vision_node_api.watch.reuse_index import MAX_NAMES, ReuseIndex
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.names import REUSE_LABEL


def body(name: str, phase: str = "queued", key: str | None = "k") -> dict[str, Any]:
    labels = {} if key is None else {REUSE_LABEL: key}
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "1", "labels": labels},
        "spec": {"image": {"key": "images/1"}},
        "status": {"phase": phase},
    }


@pytest.fixture
def cache() -> ImageJobCache:
    return ImageJobCache(None)  # type: ignore[arg-type]


def found(cache: ImageJobCache, key: str = "k") -> tuple[list[str], list[str]]:
    """Return the names of the jobs that are done, and of the unfinished ones."""
    return cache.done_for(key), cache.unfinished_for(key)


def test_jobs_are_found_by_key_and_phase(cache: ImageJobCache) -> None:
    bodies = [
        body("a"),
        body("b", "done"),
        body("c", "failed"),
        body("d", "processing"),
        body("e", "done"),
        body("f", "done", key="other"),
        body("g", "done", key=None),
    ]
    cache.observe(WatchEvent("PAGE", bodies))
    assert found(cache) == (["e", "b"], ["d", "a"])
    assert found(cache, "other") == (["f"], [])
    assert found(cache, "unknown") == ([], [])


def test_job_leaves_the_index_together_with_the_cache(cache: ImageJobCache) -> None:
    cache.observe(WatchEvent("ADDED", [body("a"), body("b", "done"), body("c", "done")]))
    cache.observe(WatchEvent("MODIFIED", [body("a", "done")]))
    assert found(cache) == (["a", "c", "b"], [])

    cache.observe(WatchEvent("DELETED", [body("a", "done")]))
    cache.observe(WatchEvent("SYNCED", names=frozenset("c")))
    assert found(cache) == (["c"], [])


def test_created_job_is_found_before_the_watch_reports_it(cache: ImageJobCache) -> None:
    cache.observe(WatchEvent("ADDED", [body("a")]))
    cache.add_created(ImageJob.model_validate(body("b")))
    cache.add_created(ImageJob.model_validate(body("c", key="other")))
    assert found(cache) == ([], ["b", "a"])

    cache.observe(WatchEvent("ADDED", [body("b", "done")]))
    assert found(cache) == (["b"], ["a"])


def test_dropped_job_is_not_in_the_index(
    cache: ImageJobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vision_node_api.watch.imagejob_cache.CACHE_BYTES", 0)
    cache.observe(WatchEvent("ADDED", [body("a", "done")]))
    assert cache.total == 1
    assert found(cache) == ([], [])


def test_key_of_thousands_of_jobs_has_only_the_newest() -> None:
    index = ReuseIndex()
    for number in range(5000):
        index.add(f"job-{number}", body("", key="k"))
    newest = [f"job-{4999 - number}" for number in range(MAX_NAMES)]
    assert (index.of("k"), len(index)) == (newest, MAX_NAMES)

    for number in range(5000):
        index.remove(f"job-{number}")
    assert (index.of("k"), len(index)) == ([], 0)
