"""Tests of the expiry of images in the inbox, with a fake S3 server."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.ownership import FakeOwnership
from fakes.s3 import S3
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import KubeError, NotFoundError, UnavailableError
from vision_node_contract.clients.ownership import NotOursError
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_operator.decisions import failed_deletions
from vision_node_operator.decisions.failed_deletions import FailedDeletions
from vision_node_operator.runtime import inbox_expiry as module
from vision_node_operator.runtime.inbox_expiry import InboxExpiry, Retention

NOW = datetime(2026, 1, 8, tzinfo=UTC)
KEPT = timedelta(days=7)
LONG_AGO = NOW - timedelta(days=365)
OLD, NEW = NOW - timedelta(days=8), NOW - timedelta(days=6)


def imagejob(key: str, phase: str | None = "queued") -> dict[str, Any]:
    status = {"status": {"phase": phase}} if phase else {}
    metadata = {"name": key.replace("/", "-"), "uid": "u", "resourceVersion": "5"}
    return {"metadata": metadata, "spec": {"image": {"key": key}}, **status}


class FakeCluster:
    """A fake API server that lists one ImageJob per page. `lists` counts the list requests."""

    path = "/imagejobs"

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.batches: list[dict[str, Any]] = []
        self.refuses_batches: KubeError | None = None
        self.lists = 0
        self.unavailable = False
        self.meanwhile: Callable[[], None] = lambda: None
        """Function to call after each list. Tests use it to change something during a sweep."""

    async def list_pages(self, path: str) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        if path == "/imagebatches":
            if self.refuses_batches:
                raise self.refuses_batches
            yield self.batches, "9"
            return

        assert path == self.path
        self.lists += 1
        if self.unavailable:
            raise UnavailableError(0, "NoAnswer", "connection refused")
        for body in self.bodies:
            yield [body], "9"
        self.meanwhile()


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def watched() -> dict[str, ImageJob]:
    """The unfinished ImageJobs that the operator's watch has reported; initially empty."""
    return {}


@pytest.fixture
def ownership() -> FakeOwnership:
    return FakeOwnership()


@pytest.fixture
def watched_batches() -> list[ImageBatch]:
    """The ImageBatches that the operator's watch has reported; initially empty."""
    return []


@pytest.fixture
def expiry(
    behind: tuple[S3, Bucket],
    cluster: FakeCluster,
    ownership: FakeOwnership,
    watched: dict[str, ImageJob],
    watched_batches: list[ImageBatch],
) -> InboxExpiry:
    fake: Any = cluster
    owner: Any = ownership
    retention = Retention(KEPT, LONG_AGO)
    return InboxExpiry(behind[1], fake, fake, owner, retention, watched, lambda: watched_batches)


async def test_old_objects_are_deleted_and_new_ones_are_kept(s3: S3, expiry: InboxExpiry) -> None:
    for key, modified in {
        "inbox/aaaabbbbcccc/a": OLD,
        "inbox/aaaabbbbcccc/b/c": OLD,
        "inbox/aaaabbbbcccc/d": NEW,
    }.items():
        s3.put(key, modified=modified)
    swept = await expiry.sweep(NOW)
    assert (swept.deleted, list(s3.objects)) == (2, ["inbox/aaaabbbbcccc/d"])


@pytest.mark.parametrize(
    ("since", "left"),
    [
        (NOW - timedelta(days=6), ["inbox/aaaabbbbcccc/a"]),
        (NOW - timedelta(days=8), []),
        (None, ["inbox/aaaabbbbcccc/a"]),
    ],
)
async def test_upgrade_does_not_delete_old_objects_immediately(
    behind: tuple[S3, Bucket],
    cluster: FakeCluster,
    watched: dict[str, ImageJob],
    since: datetime | None,
    left: list[str],
) -> None:
    """The retention period starts no earlier than the installation of a release that supports it.

    Objects that were stored before the installation are therefore kept for the full period.
    """
    s3, store = behind
    s3.put("inbox/aaaabbbbcccc/a", modified=LONG_AGO)
    fake: Any = cluster
    owner: Any = FakeOwnership()
    retention = Retention(KEPT, since) if since else None
    await InboxExpiry(store, fake, fake, owner, retention, watched).sweep(NOW)
    assert list(s3.objects) == left


async def test_objects_outside_the_inbox_are_not_deleted(s3: S3, expiry: InboxExpiry) -> None:
    others = ["images/a", "results/a/1", "inbox", "inboxes/a", "another/inbox/a"]
    for key in others:
        s3.put(key, modified=OLD)
    assert (await expiry.sweep(NOW)).deleted == 0
    assert list(s3.objects) == others


@pytest.mark.parametrize(
    ("phase", "stays"),
    [
        ("queued", True),
        ("processing", True),
        (None, True),
        ("odd", True),
        ("done", False),
        ("failed", False),
    ],
)
async def test_unfinished_job_keeps_its_image(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry, phase: str | None, *, stays: bool
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    cluster.bodies = [imagejob("inbox/aaaabbbbcccc/z"), imagejob("inbox/aaaabbbbcccc/a", phase)]
    await expiry.sweep(NOW)
    assert ("inbox/aaaabbbbcccc/a" in s3.objects) == stays


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"spec": None},
        {"status": {"phase": ["done"]}},
        {"spec": {"image": None}},
        {"spec": {"image": {}}},
    ],
)
async def test_invalid_job_does_not_stop_the_sweep(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry, odd: dict[str, Any]
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    cluster.bodies = [{"metadata": {"name": "odd"}, **odd}]
    assert (await expiry.sweep(NOW)).deleted == 1


async def test_job_created_during_the_list_keeps_its_image(
    s3: S3, cluster: FakeCluster, watched: dict[str, ImageJob], expiry: InboxExpiry
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    job = ImageJob.model_validate(imagejob("inbox/aaaabbbbcccc/a"))
    cluster.meanwhile = lambda: watched.update(it=job)
    assert (await expiry.sweep(NOW)).deleted == 0


async def test_object_replaced_during_the_list_is_kept(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    cluster.meanwhile = lambda: s3.put("inbox/aaaabbbbcccc/a", modified=NOW)
    assert (await expiry.sweep(NOW)).deleted == 0
    assert "inbox/aaaabbbbcccc/a" in s3.objects


@pytest.mark.parametrize("meanwhile", ["stored again", "used by a new ImageJob"])
async def test_object_that_is_replaced_or_used_during_slow_deletions_is_kept(
    behind: tuple[S3, Bucket],
    cluster: FakeCluster,
    watched: dict[str, ImageJob],
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    """A slow bucket takes seconds for each deletion, and a page may have two hundred objects."""
    s3, store = behind
    for key in ("inbox/aaaabbbbcccc/a", "inbox/aaaabbbbcccc/b", "inbox/aaaabbbbcccc/c"):
        s3.put(key, modified=OLD)

    fake: Any = cluster
    owner: Any = FakeOwnership()
    clock = iter(range(0, 10**6, 10))
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    expiry = InboxExpiry(store, fake, fake, owner, Retention(KEPT, LONG_AGO), watched)

    async def delete_slowly(key: str) -> None:
        await delete(key)
        if meanwhile == "stored again":
            s3.put("inbox/aaaabbbbcccc/b", modified=NOW)
        else:
            watched["it"] = ImageJob.model_validate(imagejob("inbox/aaaabbbbcccc/b"))

    delete = store.delete
    monkeypatch.setattr(store, "delete", delete_slowly)
    assert (await expiry.sweep(NOW)).deleted == 2
    assert list(s3.objects) == ["inbox/aaaabbbbcccc/b"]


async def test_jobs_are_listed_once_and_only_if_an_object_is_old(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_KEYS", 1)
    s3.put("inbox/aaaabbbbcccc/a", modified=NEW)
    await expiry.sweep(NOW)
    assert cluster.lists == 0
    for key in ("inbox/aaaabbbbcccc/b", "inbox/aaaabbbbcccc/c"):
        s3.put(key, modified=OLD)

    assert (await expiry.sweep(NOW)).deleted == 2
    assert cluster.lists == 1


async def test_nothing_is_deleted_while_kubernetes_is_unavailable(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    cluster.unavailable = True
    with pytest.raises(UnavailableError):
        await expiry.sweep(NOW)
    assert list(s3.objects) == ["inbox/aaaabbbbcccc/a"]


async def test_nothing_is_deleted_while_storage_is_unavailable(s3: S3, expiry: InboxExpiry) -> None:
    s3.fails = 503, "SlowDown"
    with pytest.raises(StoreUnavailableError):
        await expiry.sweep(NOW)


async def test_next_sweep_continues_after_the_maximum_number_of_deletions(
    s3: S3, expiry: InboxExpiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_KEYS", 3)
    monkeypatch.setattr(module, "MAX_DELETIONS", 4)
    for number in range(10):
        s3.put(f"inbox/aaaabbbbcccc/{number}", modified=OLD)
    assert [(await expiry.sweep(NOW)).deleted for _ in range(3)] == [4, 4, 2]
    assert s3.objects == {}


async def test_next_sweep_continues_after_the_maximum_number_of_pages(
    s3: S3, expiry: InboxExpiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_KEYS", 2)
    monkeypatch.setattr(module, "MAX_PAGES", 2)
    for number in range(7):
        s3.put(f"inbox/aaaabbbbcccc/{number}", modified=NEW)

    s3.put("inbox/aaaabbbbcccc/6", modified=OLD)
    lists = []
    for _ in range(3):
        s3.requests.clear()
        await expiry.sweep(NOW)
        lists.append(len([it for it in s3.requests if it.startswith("GET")]))

    # Each sweep lists two pages. The third sweep also looks up the object before deleting it.
    assert lists == [2, 2, 3]
    assert "inbox/aaaabbbbcccc/6" not in s3.objects


def store_undeletable_objects(s3: S3, count: int) -> list[str]:
    """Store old objects that the bucket refuses to delete, and an old one after them in the list.

    A bucket may refuse deletions because of object lock, or of a policy for some folder.
    """
    held = [f"inbox/aaaabbbbcccc/{number:03}" for number in range(count)]
    for key in [*held, "inbox/aaaabbbbcccc/last"]:
        s3.put(key, modified=OLD)
    s3.undeletable = set(held)
    return held


def deletions(s3: S3) -> int:
    """Return the number of DELETE requests since the last call."""
    count = len([it for it in s3.requests if it.startswith("DELETE")])
    s3.requests.clear()
    return count


async def test_objects_that_cannot_be_deleted_do_not_block_others(
    s3: S3, expiry: InboxExpiry
) -> None:
    """The first sweep must reach the others, because the operator may restart before the second."""
    held = store_undeletable_objects(s3, 250)
    swept = await expiry.sweep(NOW)
    assert (swept.failed, swept.deleted) == (len(held), 1)
    assert list(s3.objects) == held
    assert expiry.pause_seconds == module.SWEEP_SECONDS


async def test_failed_deletions_are_retried_with_backoff(s3: S3, expiry: InboxExpiry) -> None:
    held = store_undeletable_objects(s3, 3)
    attempts = {}
    for minutes in (0, 9, 10, 29, 30, 69, 70, 24 * 60):
        await expiry.sweep(NOW + timedelta(minutes=minutes))
        attempts[minutes] = deletions(s3)
    assert attempts == {0: 4, 9: 0, 10: 3, 29: 0, 30: 3, 69: 0, 70: 3, 24 * 60: 3}

    s3.undeletable = set()
    await expiry.sweep(NOW + timedelta(days=2))
    assert deletions(s3) == len(held)
    assert s3.objects == {}


async def test_jobs_are_not_listed_for_objects_that_wait_for_the_next_attempt(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry
) -> None:
    store_undeletable_objects(s3, 3)
    await expiry.sweep(NOW)
    await expiry.sweep(NOW)
    assert cluster.lists == 1


async def test_sweep_that_spends_too_much_time_on_failures_continues_soon(
    s3: S3, expiry: InboxExpiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the bucket takes ten seconds to refuse a deletion, a sweep must not take hours."""
    held = store_undeletable_objects(s3, 8)
    clock = iter(range(0, 10**6, 10))
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))

    outcomes = []
    for _ in range(3):
        swept = await expiry.sweep(NOW)
        outcomes.append((swept.failed, swept.deleted, expiry.pause_seconds))

    soon, later = module.CONTINUE_SECONDS, module.SWEEP_SECONDS
    assert outcomes == [(6, 0, soon), (2, 1, later), (0, 0, later)]
    assert list(s3.objects) == held


async def test_sweep_continues_soon_after_the_maximum_number_of_deletions(
    s3: S3, expiry: InboxExpiry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise, an inbox would grow forever if it gets more objects than a sweep deletes."""
    monkeypatch.setattr(module, "MAX_DELETIONS", 2)
    for number in range(3):
        s3.put(f"inbox/aaaabbbbcccc/{number}", modified=OLD)

    await expiry.sweep(NOW)
    assert expiry.pause_seconds == module.CONTINUE_SECONDS
    await expiry.sweep(NOW)
    assert expiry.pause_seconds == module.SWEEP_SECONDS


async def test_only_the_first_failures_of_a_sweep_are_logged(
    s3: S3, expiry: InboxExpiry, caplog: pytest.LogCaptureFixture
) -> None:
    store_undeletable_objects(s3, module.MAX_LOGGED + 5)
    await expiry.sweep(NOW)
    logged = [it for it in caplog.records if "could not delete" in it.getMessage()]
    assert len(logged) == module.MAX_LOGGED


def test_number_of_remembered_failures_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_deletions, "MAX_KEYS", 2)
    failed = FailedDeletions()
    for key in "abc":
        failed.add(key, NOW)
    assert len(failed) == 2
    assert [key for key in "abc" if failed.may_retry(key, NOW)] == ["a"]


async def test_sweep_starts_over_after_the_last_page(s3: S3, expiry: InboxExpiry) -> None:
    s3.put("inbox/aaaabbbbcccc/b", modified=OLD)
    await expiry.sweep(NOW)
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    assert (await expiry.sweep(NOW)).deleted == 1


async def test_nothing_is_listed_without_a_retention_period(
    behind: tuple[S3, Bucket], cluster: FakeCluster
) -> None:
    fake: Any = cluster
    owner: Any = FakeOwnership()
    await InboxExpiry(behind[1], fake, fake, owner, None, {}).run()
    assert behind[0].requests == []


async def test_only_the_inbox_of_the_release_is_swept(s3: S3, expiry: InboxExpiry) -> None:
    foreign = ["inbox/a", "inbox/ddddeeeeffff/a", "inbox/aaaabbbbcccc", "images/aaaabbbbcccc/a"]
    for key in (*foreign, "inbox/aaaabbbbcccc/a"):
        s3.put(key, modified=OLD)
    assert (await expiry.sweep(NOW)).deleted == 1
    assert s3.objects.keys() == set(foreign)
    assert set(s3.listed_prefixes) == {"inbox/aaaabbbbcccc/", "inbox/aaaabbbbcccc/a"}


async def test_nothing_is_swept_if_the_inbox_belongs_to_another_release(
    s3: S3, expiry: InboxExpiry, ownership: FakeOwnership
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    ownership.refuses = NotOursError("another release's")
    with pytest.raises(NotOursError):
        await expiry.sweep(NOW)
    assert len(s3.objects) == 1


@pytest.mark.parametrize("source", ["listed", "watched"])
async def test_job_protects_an_image_that_it_names_without_the_id(
    s3: S3, cluster: FakeCluster, watched: dict[str, ImageJob], expiry: InboxExpiry, source: str
) -> None:
    s3.put("inbox/aaaabbbbcccc/a", modified=OLD)
    body = imagejob("inbox/a")
    if source == "listed":
        cluster.bodies = [body]
    else:
        watched["j"] = ImageJob.model_validate(body)
    assert (await expiry.sweep(NOW)).deleted == 0


INBOX = "inbox/aaaabbbbcccc/"

SOME_KEYS = [f"{INBOX}{name}" for name in ("a/1", "a/2", "ab", "b/1")]


def imagebatch(phase: str | None = "processing", **spec: Any) -> dict[str, Any]:
    status = {"status": {"phase": phase}} if phase else {}
    return {"metadata": {"name": "b", "uid": "u", "resourceVersion": "5"}, "spec": spec, **status}


@pytest.mark.parametrize("source", ["list", "watch"])
@pytest.mark.parametrize(
    ("body", "left"),
    [
        (imagebatch("queued", prefix="inbox/a/"), ["a/1", "a/2"]),
        (imagebatch("processing", prefix=f"{INBOX}a/"), ["a/1", "a/2"]),
        (imagebatch("processing", prefix="inbox/a"), ["a/1", "a/2", "ab"]),
        (imagebatch("processing", prefix="inbox/"), ["a/1", "a/2", "ab", "b/1"]),
        (imagebatch(None, prefix="inbox/b/"), ["b/1"]),
        (imagebatch("done", prefix="inbox/"), []),
        (imagebatch("failed", prefix="inbox/"), []),
        (imagebatch("queued", manifest="inbox/list.jsonl"), ["a/1", "a/2", "ab", "b/1"]),
        (imagebatch("done", manifest="inbox/list.jsonl"), []),
        (imagebatch("queued", upload={"complete": False}), []),
        (imagebatch("processing", upload={"complete": True, "attempt": "a", "lists": 1}), []),
    ],
)
async def test_unfinished_batch_keeps_its_images(
    s3: S3,
    cluster: FakeCluster,
    expiry: InboxExpiry,
    watched_batches: list[ImageBatch],
    source: str,
    body: dict[str, Any],
    left: list[str],
) -> None:
    for key in SOME_KEYS:
        s3.put(key, modified=OLD)
    if source == "list":
        cluster.batches.append(body)
    else:
        watched_batches.append(ImageBatch.model_validate(body))

    await expiry.sweep(NOW)

    assert [key.removeprefix(INBOX) for key in s3.objects] == left


@pytest.mark.parametrize(
    ("body", "is_named"),
    [
        (imagebatch(manifest="inbox/list.jsonl", suspend=True), True),
        (imagebatch("queued", manifest="inbox/list.jsonl", suspend=True), True),
        (imagebatch(manifest="inbox/list.jsonl", suspend=False), False),
        (imagebatch(manifest="inbox/list.jsonl"), False),
        (imagebatch("done", manifest="inbox/list.jsonl", suspend=True), False),
        (imagebatch(prefix="inbox/a/", suspend=True), False),
    ],
)
async def test_suspended_batch_that_keeps_the_whole_inbox_is_named_once_per_sweep(
    s3: S3,
    cluster: FakeCluster,
    expiry: InboxExpiry,
    caplog: pytest.LogCaptureFixture,
    body: dict[str, Any],
    *,
    is_named: bool,
) -> None:
    """Nothing else says why the inbox grows until someone resumes the batch."""
    for key in SOME_KEYS:
        s3.put(key, modified=OLD)
    cluster.batches.append(body)
    await expiry.sweep(NOW)
    logged = [it for it in caplog.messages if "whole inbox is kept" in it and "b" in it]
    assert len(logged) == is_named


@pytest.mark.parametrize("spec", [{"prefix": ["inbox/a/"]}, {}, {"feed": {}}])
async def test_batch_with_an_unknown_source_keeps_everything(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry, spec: dict[str, Any]
) -> None:
    for key in SOME_KEYS:
        s3.put(key, modified=OLD)
    cluster.batches = [imagebatch("odd", **spec), imagebatch("processing", prefix="inbox/a/")]
    await expiry.sweep(NOW)
    assert list(s3.objects) == SOME_KEYS


async def test_several_batches_keep_the_images_of_each(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry, watched_batches: list[ImageBatch]
) -> None:
    for key in SOME_KEYS:
        s3.put(key, modified=OLD)
    cluster.batches = [imagebatch(prefix="inbox/a/")]
    watched_batches.append(ImageBatch.model_validate(imagebatch(prefix="inbox/b/")))
    await expiry.sweep(NOW)
    assert [key.removeprefix(INBOX) for key in s3.objects] == ["a/1", "a/2", "b/1"]


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (NotFoundError(404, "NotFound", "no such resource"), 0),
        (KubeError(403, "Forbidden", "no right"), 0),
        (UnavailableError(503, "ServiceUnavailable", "later"), 4),
    ],
)
async def test_missing_crd_or_right_of_an_older_chart_does_not_stop_the_sweep(
    s3: S3, cluster: FakeCluster, expiry: InboxExpiry, error: KubeError, left: int
) -> None:
    for key in SOME_KEYS:
        s3.put(key, modified=OLD)
    cluster.refuses_batches = error
    with contextlib.suppress(UnavailableError):
        await expiry.sweep(NOW)
    assert len(s3.objects) == left
