"""Tests of the garbage collector, which deletes the stored objects of deleted ImageJobs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.ownership import FakeOwnership
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_contract.models.imagejob import ImageJob
from vision_node_operator.runtime import garbage_collector as module
from vision_node_operator.runtime.garbage_collector import GRACE, GarbageCollector
from vision_node_operator.state.job_queue import JobQueue

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = NOW - GRACE - timedelta(seconds=1), NOW - GRACE + timedelta(seconds=1)

IMAGES, RESULTS = "images/aaaabbbbcccc/", "results/aaaabbbbcccc/"

FOREIGN = {
    "images/ddddeeeeffff/1",  # another release's
    "results/ddddeeeeffff/u/1",
    "inbox/ddddeeeeffff/a",
    "owners/ddddeeeeffff",
    "owners/aaaabbbbcccc",
    "images/1",  # an older release's, or another program's
    "results/u/1",
    "inbox/aaaabbbbcccc/a",  # expires, but is not an orphan
    "images/aaaabbbbcccc",
    "backup/images/aaaabbbbcccc/1",
}


def body(name: str, image: str, result: str | None = None) -> dict[str, Any]:
    stored = {"result": {"describer": "d", "summary": "s", "key": result}} if result else {}
    return {
        "metadata": {"name": name, "uid": name, "resourceVersion": "5"},
        "spec": {"image": {"key": image}},
        "status": {"phase": "done" if result else "queued", "attempts": 1, **stored},
    }


class FakeCluster:
    path = "/imagejobs"

    def __init__(self, *bodies: dict[str, Any]) -> None:
        self.bodies = bodies
        self.lists = 0

    async def list_pages(self, path: str) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        assert path == self.path
        self.lists += 1
        for body in self.bodies:
            yield [body], "9"


@pytest.fixture
def ownership() -> FakeOwnership:
    return FakeOwnership()


@pytest.fixture
def collector_of(
    behind: tuple[S3, Bucket], ownership: FakeOwnership
) -> Callable[..., GarbageCollector]:
    def make(*bodies: dict[str, Any], cluster: FakeCluster | None = None) -> GarbageCollector:
        fake: Any = cluster or FakeCluster(*bodies)
        owner: Any = ownership
        return GarbageCollector(behind[1], fake, fake, owner)

    return make


CollectorOf = Callable[..., GarbageCollector]


def put(s3: S3, *keys: str, modified: datetime = OLD) -> None:
    for key in keys:
        s3.put(key, modified=modified)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (other tasks make it true)
            await asyncio.sleep(0.001)


def deletions(s3: S3) -> int:
    """Return how many objects the requests were to delete."""
    return sum(map(len, s3.deletions))


def collect(collector: GarbageCollector, deleted: dict[str, Any], *others: dict[str, Any]) -> None:
    job_queue = JobQueue()
    for other in (deleted, *others):
        job_queue.put(ImageJob.model_validate(other), NOW)
    job_queue.drop(deleted["metadata"]["name"])
    collector.collect(ImageJob.model_validate(deleted))
    collector.delete_unnamed(job_queue)


async def test_objects_of_a_deleted_job_are_deleted(s3: S3, collector_of: CollectorOf) -> None:
    put(s3, f"{IMAGES}1", f"{RESULTS}j/1", f"{IMAGES}2", *FOREIGN)
    deleted = body("j", f"{IMAGES}1", f"{RESULTS}j/1")
    collect(collector_of(), deleted, body("k", f"{IMAGES}2"))
    await until(lambda: deletions(s3) == 2)
    assert s3.objects.keys() == {f"{IMAGES}2", *FOREIGN}


async def test_objects_of_a_job_of_an_older_release_are_deleted_by_name(
    s3: S3, collector_of: CollectorOf
) -> None:
    put(s3, "images/1", "images/2", "results/j/1")
    collect(collector_of(), body("j", "images/1", "results/j/1"))
    await until(lambda: deletions(s3) == 2)
    assert s3.objects.keys() == {"images/2"}


async def test_image_that_another_job_uses_is_kept(s3: S3, collector_of: CollectorOf) -> None:
    put(s3, f"{IMAGES}1", f"{RESULTS}j/1")
    deleted = body("j", f"{IMAGES}1", f"{RESULTS}j/1")
    collect(collector_of(), deleted, body("retry", f"{IMAGES}1"))
    await until(lambda: deletions(s3) == 1)
    assert s3.objects.keys() == {f"{IMAGES}1"}


async def test_failed_deletion_is_repeated_by_the_next_sweep(
    s3: S3, collector_of: CollectorOf
) -> None:
    """The sweep lists only own folders, so it must remember the keys of older releases."""
    put(s3, f"{IMAGES}1", "images/2")
    collector, s3.fails = collector_of(), (503, "SlowDown")
    for name, image in (("j", f"{IMAGES}1"), ("k", "images/2")):
        collect(collector, body(name, image))
    await until(lambda: deletions(s3) == 2)
    assert len(s3.objects) == 2

    s3.fails = None
    async with asyncio.timeout(60):
        while s3.objects:  # the collector may not have read the last failure yet
            await collector.sweep(NOW)


async def test_objects_that_arrive_during_a_deletion_are_deleted_together(
    s3: S3, collector_of: CollectorOf
) -> None:
    put(s3, *(f"{IMAGES}{n:04}" for n in range(1102)))
    collector = collector_of()
    for count in (1, 1101):
        collector.delete_keys([f"{IMAGES}{n:04}" for n in range(count)])
        await asyncio.sleep(0)  # the first request begins

    await until(lambda: len(s3.objects) == 1)
    assert [len(it) for it in s3.deletions] == [1, 1000, 101]


async def test_objects_that_cannot_be_deleted_are_left_to_the_sweep(
    s3: S3, collector_of: CollectorOf, caplog: pytest.LogCaptureFixture
) -> None:
    """All others of the same request are deleted, and the log does not name thousands."""
    keys = [f"images/{n}" for n in range(30)]
    put(s3, *keys)
    s3.undeletable = set(keys[10:])
    collector = collector_of()
    collector.delete_keys(keys)
    await until(lambda: "left 20 objects" in caplog.text)
    assert s3.objects.keys() == s3.undeletable
    assert caplog.text.count("AccessDenied: It is locked.") <= module.MAX_LOGGED + 1

    s3.undeletable = set()
    assert await collector.sweep(NOW) == 20
    assert not s3.objects


async def test_bucket_without_bulk_deletion_gets_single_ones(
    s3: S3, collector_of: CollectorOf
) -> None:
    put(s3, *(f"{IMAGES}{n}" for n in range(30)))
    s3.refuses_bulk = (501, "NotImplemented")
    assert await collector_of().sweep(NOW) == 30
    assert not s3.objects


async def test_objects_wait_until_it_is_known_who_names_them(
    s3: S3, collector_of: CollectorOf
) -> None:
    put(s3, f"{IMAGES}1")
    collector = collector_of()
    collector.collect(ImageJob.model_validate(body("j", f"{IMAGES}1")))
    await asyncio.sleep(0.01)
    assert deletions(s3) == 0

    collector.delete_unnamed(JobQueue())
    await until(lambda: not s3.objects)


@pytest.mark.parametrize("folder", [IMAGES, "images/"])
async def test_mass_deletion_is_bounded_and_the_rest_is_left_to_the_sweep(
    s3: S3, collector_of: CollectorOf, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """The sweep also deletes what it doesn't list, the objects of older releases."""
    monkeypatch.setattr(module, "MAX_WAITING", 20)
    put(s3, *(f"{folder}{n:02}" for n in range(50)))
    cluster = FakeCluster(body("retry", f"{folder}49"))
    collector = collector_of(cluster=cluster)
    for n in range(50):
        collector.collect(ImageJob.model_validate(body(f"j{n}", f"{folder}{n:02}")))

    before = len(asyncio.all_tasks())
    collector.delete_unnamed(JobQueue())
    assert len(asyncio.all_tasks()) == before + 1
    await until(lambda: deletions(s3) == 20)
    await collector.sweep(NOW)
    assert list(s3.objects) == [f"{folder}49"]


async def test_sweep_deletes_orphans_only_in_own_folders(s3: S3, collector_of: CollectorOf) -> None:
    put(s3, f"{IMAGES}1", f"{IMAGES}2", f"{RESULTS}u/1", f"{RESULTS}u/2", *FOREIGN)
    used = (body("j", f"{IMAGES}1", f"{RESULTS}u/2"), body("k", "inbox/1"))
    assert await collector_of(*used).sweep(NOW) == 2
    assert s3.objects.keys() == {f"{IMAGES}1", f"{RESULTS}u/2", *FOREIGN}


async def test_sweep_lists_only_own_folders(s3: S3, collector_of: CollectorOf) -> None:
    """A bucket's policy may forbid listing anything else."""
    s3.listed_prefixes.clear()
    await collector_of().sweep(NOW)
    assert s3.listed_prefixes == [IMAGES, RESULTS]


async def test_sweep_keeps_young_objects_and_lists_jobs_only_if_there_are_old_ones(
    s3: S3, collector_of: CollectorOf
) -> None:
    put(s3, f"{IMAGES}1", modified=NEW)
    cluster = FakeCluster()
    assert await collector_of(cluster=cluster).sweep(NOW) == 0
    assert cluster.lists == 0

    put(s3, f"{IMAGES}2", f"{RESULTS}u/1")
    assert await collector_of(cluster=cluster).sweep(NOW) == 2
    assert (cluster.lists, s3.objects.keys()) == (1, {f"{IMAGES}1"})


async def test_sweep_works_page_by_page(s3: S3, collector_of: CollectorOf) -> None:
    s3.page = 10
    put(s3, *(f"{IMAGES}{n:03}" for n in range(95)))
    used = [body(f"j{n}", f"{IMAGES}{n:03}") for n in range(0, 95, 2)]
    assert await collector_of(*used).sweep(NOW) == 47
    assert len(s3.objects) == 48


async def test_sweep_ends_if_the_bucket_repeats_a_page(s3: S3, collector_of: CollectorOf) -> None:
    put(s3, f"{IMAGES}1")
    s3.repeats_page = True
    with pytest.raises(StoreUnavailableError, match="same objects"):
        await collector_of(body("j", f"{IMAGES}1")).sweep(NOW)


async def test_invalid_job_protects_its_objects(s3: S3, collector_of: CollectorOf) -> None:
    odd = body("j", f"{IMAGES}1")
    odd["status"] = {"attempts": "many", "result": {"key": f"{RESULTS}u/1"}}
    put(s3, f"{IMAGES}1", f"{RESULTS}u/1")
    assert await collector_of(odd).sweep(NOW) == 0


async def test_nothing_is_swept_if_the_folders_belong_to_another_release(
    s3: S3, collector_of: CollectorOf, ownership: FakeOwnership
) -> None:
    put(s3, f"{IMAGES}1", f"{RESULTS}u/1")
    ownership.refuses = NotOursError("another release's")
    with pytest.raises(NotOursError):
        await collector_of().sweep(NOW)
    assert (len(s3.objects), deletions(s3)) == (2, 0)


@pytest.mark.parametrize(
    ("was_checked", "is_ours", "is_deleted"),
    [(False, None, False), (True, False, False), (True, None, True), (True, True, True)],
)
async def test_objects_by_name_stay_while_another_release_owns_the_folders(
    s3: S3,
    collector_of: CollectorOf,
    ownership: FakeOwnership,
    *,
    was_checked: bool,
    is_ours: bool | None,
    is_deleted: bool,
) -> None:
    """A namespace that was restored from a backup names the images of the original."""
    put(s3, f"{IMAGES}1")
    ownership.was_checked, ownership.is_ours = was_checked, is_ours
    collector = collector_of()
    collect(collector, body("j", f"{IMAGES}1"))
    await asyncio.sleep(0.01)
    assert deletions(s3) == is_deleted

    ownership.was_checked, ownership.is_ours = True, True
    collector.delete_unnamed(JobQueue())
    await until(lambda: not s3.objects)


async def test_jobs_are_listed_after_the_objects_of_a_batch(
    s3: S3, collector_of: CollectorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object may look old because the clock of the bucket is wrong."""
    monkeypatch.setattr(module, "BATCH_KEYS", 20)
    s3.page = 10
    put(s3, *(f"{IMAGES}{n:03}" for n in range(50)))
    cluster = FakeCluster(*(body(f"j{n}", f"{IMAGES}{n:03}") for n in range(25)))
    assert await collector_of(cluster=cluster).sweep(NOW) == 25
    assert cluster.lists == 3


async def test_two_releases_share_a_bucket(
    s3: S3, behind: tuple[S3, Bucket], collector_of: CollectorOf
) -> None:
    """Each release sweeps while the other has queued, finished and orphaned objects."""
    put(s3, f"{IMAGES}a", f"{IMAGES}orphan", "images/ddddeeeeffff/b", "results/ddddeeeeffff/b/1")
    assert await collector_of(body("a", f"{IMAGES}a")).sweep(NOW) == 1
    assert s3.objects.keys() == {
        f"{IMAGES}a",
        "images/ddddeeeeffff/b",
        "results/ddddeeeeffff/b/1",
    }
