"""The sums over jobs in etcd are always those of the jobs that the watch has reported."""

import random
from datetime import date
from typing import Any, cast

import pytest
from vision_node_api.watch.imagejob_cache import ImageJobCache
from vision_node_api.watch.live_usage import LiveUsage, total_of
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import WatchEvent
from vision_node_contract.history.usage import MAX_COUNTED, UsageCounts
from vision_node_contract.models.imagejob import ImageJob

DAY = date(2026, 1, 2)


def body(
    name: str, owner: str = "ann", phase: str = "queued", size: Any = 10, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-02T00:00:00Z",
            "labels": {"vision-node.dev/owner": owner} if owner else {},
        },
        "spec": {"image": {"key": f"images/{name}", "sizeBytes": size}, "describer": "local"},
        "status": {"phase": phase, **status},
    }


def test_random_events_leave_the_sums_of_what_exists() -> None:
    """Jobs are created, change, end and are deleted in any order, and lists leave some out."""
    cache = ImageJobCache(cast("ImageJobClient", None))
    dice = random.Random(7)  # noqa: S311 (not a secret)
    existing: dict[str, dict[str, Any]] = {}
    for _ in range(3000):
        name = f"j{dice.randrange(40)}"
        if dice.random() < 0.3:
            gone = existing.pop(name, body(name))
            cache.observe(WatchEvent("DELETED", [gone]))
        elif dice.random() < 0.05:
            existing = {it: known for it, known in existing.items() if dice.random() < 0.7}
            cache.observe(WatchEvent("SYNCED", [], names=frozenset(existing)))
        else:
            phase = dice.choice(["queued", "processing", "done", "failed"])
            existing[name] = body(name, dice.choice(["ann", "bob", ""]), phase, dice.randrange(99))
            cache.observe(WatchEvent("MODIFIED", [existing[name]]))

        for owner in ("ann", "bob", ""):
            assert cache.unfinished_of(owner) == sums(existing, owner, {"queued", "processing"})
            ended = sums(existing, owner, {"done", "failed"})
            assert total_of(cache.usage.ended_on(DAY, owner)) == ended
        assert cache.unfinished_of(None).images == cache.unfinished

    for name in list(existing):
        cache.observe(WatchEvent("DELETED", [existing.pop(name)]))
    assert cache.usage._sums == {}
    assert cache.usage._jobs == {}


def sums(existing: dict[str, dict[str, Any]], owner: str, phases: set[str]) -> UsageCounts:
    total = UsageCounts()
    for it in existing.values():
        has_owner = it["metadata"]["labels"].get("vision-node.dev/owner", "") == owner
        if has_owner and it["status"]["phase"] in phases:
            size = it["spec"]["image"]["sizeBytes"]
            total.add(UsageCounts(1, int(it["status"]["phase"] == "failed"), size))

    return total


def test_just_created_jobs_count_until_and_after_the_watch_reports_them() -> None:
    cache = ImageJobCache(cast("ImageJobClient", None))
    created = ImageJob.model_validate(body("j1"))
    cache.add_created(created)
    cache.add_created(ImageJob.model_validate(body("j2", "bob")))
    assert cache.unfinished_of("ann") == UsageCounts(1, 0, 10)

    cache.observe(WatchEvent("ADDED", [body("j1")]))
    cache.add_created(created)  # the response may come after the watch event
    assert cache.unfinished_of("ann") == UsageCounts(1, 0, 10)
    cache.observe(WatchEvent("MODIFIED", [body("j1", phase="done")]))
    cache.add_created(created)
    assert cache.unfinished_of("ann") == UsageCounts()
    assert cache.unfinished_of(None) == UsageCounts(1, 0, 10)


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2026-01-02T23:59:59Z", DAY),
        ("2026-01-03T00:30:00+01:00", DAY),
        ("yesterday", DAY),
        (17, DAY),
        (None, DAY),
        ("2026-01-03T00:00:00Z", date(2026, 1, 3)),
    ],
)
def test_day_is_that_of_the_end_if_it_is_known(time: Any, day: date) -> None:
    usage = LiveUsage()
    usage.add("j", body("j", phase="done", completionTime=time))
    assert usage.ended_on(day, "ann")["local"].images == 1


@pytest.mark.parametrize(
    ("size", "tokens", "expected"),
    [
        (10, {"inputTokens": 3, "outputTokens": 4}, (10, 7)),
        (-1, {"inputTokens": -3, "outputTokens": 4}, (0, 4)),
        ("x", {"inputTokens": 1.5, "outputTokens": None}, (0, 0)),
        (MAX_COUNTED + 1, {"inputTokens": 10**30, "outputTokens": 1}, (0, 1)),
        (None, ["inputTokens"], (0, 0)),
        (None, {"inputTokens": 5}, (0, 0)),
    ],
)
def test_numbers_that_are_not_plausible_count_as_zero(
    size: Any, tokens: Any, expected: tuple[int, int]
) -> None:
    usage = LiveUsage()
    usage.add("j", body("j", phase="done", size=size, result={"usage": tokens}))
    (found,) = usage.ended_on(DAY, "ann").values()
    assert (found.bytes, found.tokens) == expected
