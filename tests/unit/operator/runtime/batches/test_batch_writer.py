"""Tests of how ImageBatches are counted: the index object first, then the status."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.s3 import RELEASE_ID, S3, serving_s3
from vision_node_contract.batch_objects import BatchFolder, IndexEntry
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.clients.bucket import Bucket, StoreUnavailableError
from vision_node_contract.clients.kube import (
    AlreadyExistsError,
    ConflictError,
    KubeError,
    NotFoundError,
)
from vision_node_contract.models.batch_transitions import Progress
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.shard import ShardSpec
from vision_node_contract.names import BATCH_LABEL
from vision_node_operator.decisions.actions import (
    AdvanceBatch,
    CreateShard,
    DeleteShard,
    ExpireUpload,
)
from vision_node_operator.runtime.batches.batch_writer import BatchWriter
from vision_node_operator.runtime.batches.index_objects import store_entries

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UID = "0f0e0d0c-1111-2222-3333-444455556666"
BODY: dict[str, Any] = {
    "metadata": {"name": "holiday", "uid": UID, "resourceVersion": "7"},
    "spec": {"prefix": "inbox/holiday/"},
    "status": {
        "phase": "processing",
        "manifest": {"folder": f"batches/{RELEASE_ID}/{UID}/m1/", "images": 20, "sha256": "0" * 64},
        "images": {"total": 20, "done": 0, "failed": 0},
    },
}
BATCH = ImageBatch.model_validate(BODY)
FIRST = IndexEntry(shard="holiday-0f0e0d0c-0", ranges="0-9", done=10, key="results/a")
SECOND = IndexEntry(shard="holiday-0f0e0d0c-10", ranges="10-19", done=9, failed=1, key="results/b")
KEY = BatchFolder(BucketFolders(RELEASE_ID), UID).index(0)


class FakeKube:
    """A fake API server with one ImageBatch, which answers status patches as Kubernetes does."""

    def __init__(self) -> None:
        self.body = json.loads(json.dumps(BODY))
        self.requests: list[tuple[str, str, Any]] = []
        self.exists = False
        self.deletion: Exception | None = NotFoundError(404, "NotFound", "it")
        self.existing = {"metadata": {"name": "shard", "labels": {BATCH_LABEL: UID}}}

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Any:
        self.requests.append((method, path.rpartition("/vision-node/")[2], body))
        if method == "POST" and self.exists:
            raise AlreadyExistsError(409, "AlreadyExists", path)
        if method == "DELETE":
            if self.deletion:
                raise self.deletion
            return {}
        if method != "PATCH":
            return self.existing

        if body["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", path)

        present = {**self.body["status"], **body["status"]}
        self.body["status"] = {name: it for name, it in present.items() if it is not None}
        self.body["metadata"]["resourceVersion"] = "8"
        return self.body


@pytest.fixture
async def storage() -> AsyncIterator[tuple[S3, Bucket]]:
    async with serving_s3() as (s3, settings), Bucket.open(settings) as bucket:
        yield s3, bucket


class Operator:
    """A writer, and the Events that it wrote."""

    def __init__(self, kube: FakeKube, bucket: Bucket) -> None:
        self.events: list[str] = []
        self.messages: list[str] = []
        server: Any = kube
        self._writer = BatchWriter(server, "vision-node", bucket, self._emit)

    async def _emit(self, event: Any) -> None:
        self.events.append(event["reason"])
        self.messages.append(event["message"])

    async def perform(self, action: Any) -> Any:
        return await self._writer.perform(action, NOW)

    async def advance(self, *entries: IndexEntry, is_idle: bool = False) -> ImageBatch:
        progress = Progress(entries=entries, is_idle=is_idle)
        _, body = await self.perform(AdvanceBatch(BATCH, progress))
        return ImageBatch.model_validate(body)


def entries_of(data: bytes) -> list[IndexEntry]:
    return [IndexEntry.model_validate_json(line) for line in data.splitlines()]


async def test_counted_shards_are_listed_before_the_status_names_them(
    storage: tuple[S3, Bucket],
) -> None:
    s3, bucket = storage
    operator = Operator(FakeKube(), bucket)

    counted = await operator.advance(FIRST, SECOND)
    assert (counted.status.phase, counted.counts.done, counted.counts.failed) == ("done", 19, 1)
    assert counted.index == 1
    assert entries_of(s3.objects[KEY].data) == [FIRST, SECOND]
    assert operator.events == ["Completed"]


async def test_what_a_crashed_operator_has_listed_is_counted_instead(
    storage: tuple[S3, Bucket],
) -> None:
    """The batch must not end: the other shard has not been counted."""
    s3, bucket = storage
    await store_entries(bucket, BATCH, [FIRST])

    counted = await Operator(FakeKube(), bucket).advance(FIRST, SECOND, is_idle=True)
    assert (counted.status.counted, counted.index, counted.status.phase) == ("0-9", 1, "processing")
    assert entries_of(s3.objects[KEY].data) == [FIRST]


async def test_repeated_write_whose_answer_was_lost_counts_the_same(
    storage: tuple[S3, Bucket],
) -> None:
    _, bucket = storage
    assert await store_entries(bucket, BATCH, [FIRST, SECOND]) == [FIRST, SECOND]
    assert await store_entries(bucket, BATCH, [FIRST, SECOND]) == [FIRST, SECOND]


async def test_nothing_is_counted_while_the_bucket_is_away(storage: tuple[S3, Bucket]) -> None:
    s3, bucket = storage
    s3.fails = (503, "SlowDown")
    kube = FakeKube()
    with pytest.raises(StoreUnavailableError):
        await Operator(kube, bucket).advance(FIRST)
    assert kube.requests == []


async def test_stale_operator_does_not_change_the_status(storage: tuple[S3, Bucket]) -> None:
    s3, bucket = storage
    kube = FakeKube()
    await Operator(kube, bucket).advance(FIRST)
    with pytest.raises(ConflictError):
        await Operator(kube, bucket).advance(SECOND)
    assert kube.body["status"]["counted"] == "0-9"
    assert [*s3.objects] == [KEY]


async def test_condition_without_entries_needs_no_index_object(storage: tuple[S3, Bucket]) -> None:
    s3, bucket = storage
    operator = Operator(FakeKube(), bucket)
    progress = Progress(waiting=("QuotaExhausted", "pay the bill"))
    _, body = await operator.perform(AdvanceBatch(BATCH, progress))

    waiting = ImageBatch.model_validate(body).status.condition("Waiting")
    assert waiting is not None
    assert (waiting.status, waiting.reason) == ("True", "QuotaExhausted")
    assert (operator.events, s3.objects) == (["QuotaExhausted"], {})


SPEC = ShardSpec.model_validate(
    {
        "images": {
            "batch": "holiday",
            "batchUID": UID,
            "manifest": "batches/m1/",
            "first": 10,
            "count": 10,
        }
    }
)


async def test_shard_that_exists_already_is_read(storage: tuple[S3, Bucket]) -> None:
    _, bucket = storage
    kube = FakeKube()
    kube.exists = True
    kind, body = await Operator(kube, bucket).perform(CreateShard(SPEC, None))

    name = "holiday-0f0e0d0c-10"
    assert (kind, body) == ("imagejobs", kube.existing)
    sent = [(method, path) for method, path, _ in kube.requests]
    assert sent == [("POST", "imagejobs"), ("GET", f"imagejobs/{name}")]


@pytest.mark.parametrize("labels", [{}, {BATCH_LABEL: "another-uid"}])
async def test_name_that_another_imagejob_has_is_refused(
    storage: tuple[S3, Bucket], labels: dict[str, str]
) -> None:
    """The refusal makes the operator wait before it tries again."""
    _, bucket = storage
    kube = FakeKube()
    kube.exists = True
    kube.existing = {"metadata": {"name": "holiday-0f0e0d0c-10", "labels": labels}}
    with pytest.raises(KubeError, match="is not a shard of ImageBatch holiday"):
        await Operator(kube, bucket).perform(CreateShard(SPEC, None))


async def test_only_the_counted_shard_is_deleted(storage: tuple[S3, Bucket]) -> None:
    """A new shard may have the same name."""
    _, bucket = storage
    kube = FakeKube()
    assert await Operator(kube, bucket).perform(DeleteShard("a-shard", "its-uid")) == (
        "imagejobs",
        None,
    )
    assert kube.requests[0][2] == {"preconditions": {"uid": "its-uid"}}


async def test_expired_upload_is_deleted_and_an_event_says_why(storage: tuple[S3, Bucket]) -> None:
    kube = FakeKube()
    kube.deletion = None
    operator = Operator(kube, storage[1])
    assert await operator.perform(ExpireUpload(BATCH)) == ("imagebatches", None)

    preconditions = {"uid": UID, "resourceVersion": "7"}
    assert kube.requests == [("DELETE", "imagebatches/holiday", {"preconditions": preconditions})]
    assert operator.events == ["UploadExpired"]
    assert "was not complete 24 h after" in operator.messages[0]


@pytest.mark.parametrize("error", [ConflictError, NotFoundError, KubeError])
async def test_upload_that_is_completed_at_the_same_moment_is_kept(
    storage: tuple[S3, Bucket], error: type[KubeError]
) -> None:
    kube = FakeKube()
    kube.deletion = error(409, "Conflict", "holiday")
    operator = Operator(kube, storage[1])
    with pytest.raises(error):
        await operator.perform(ExpireUpload(BATCH))
    assert operator.events == []
