"""Tests of the transitions of an ImageBatch's status, and of what a shard contributes to it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from vision_node_contract.batch_objects import BatchFolder, IndexEntry, chunk_key
from vision_node_contract.bucket_keys import BucketFolders
from vision_node_contract.models import batch_transitions, transitions
from vision_node_contract.models.batch_transitions import Progress, advance, after
from vision_node_contract.models.imagebatch import FrozenManifest, ImageBatch
from vision_node_contract.models.imagejob import ShardOutcome
from vision_node_contract.models.reasons import Reason
from vision_node_contract.models.shard import Shard, shard_manifest, shard_name

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UID = "0f0e0d0c-1111-2222-3333-444455556666"
MANIFEST = FrozenManifest(folder=f"batches/aaaabbbbcccc/{UID}/m1/", images=100, sha256="0" * 64)


def batch(total: int = 100, **spec: Any) -> ImageBatch:
    body = {"metadata": {"name": "holiday", "uid": UID}, "spec": {"prefix": "inbox/", **spec}}
    new = ImageBatch.model_validate(body)
    manifest = MANIFEST.model_copy(update={"images": total})
    return after(new, batch_transitions.freeze(new, manifest, NOW))


def entry(first: int, last: int, failed: int = 0, **more: Any) -> IndexEntry:
    size = last - first + 1
    counts = {"ranges": f"{first}-{last}", "done": size - failed, "failed": failed}
    return IndexEntry.model_validate({"shard": f"s-{first}", **counts, **more})


def step(current: ImageBatch, *entries: IndexEntry, seconds: float = 1, **more: Any) -> ImageBatch:
    now = NOW + timedelta(seconds=seconds)
    return after(current, advance(current, Progress(entries=entries, **more), now))


def states(current: ImageBatch) -> dict[str, tuple[str, str]]:
    return {it.type: (it.status, it.reason) for it in current.status.conditions}


def test_frozen_batch_is_in_processing_and_has_a_total() -> None:
    frozen = batch(7)
    assert (frozen.status.phase, frozen.total, frozen.counts.total) == ("processing", 7, 7)
    assert states(frozen) == {"ManifestFrozen": ("True", "ManifestFrozen")}


def test_counts_add_up_and_the_last_ones_complete_the_batch() -> None:
    half = step(batch(), entry(0, 9), entry(20, 59, failed=2), rate=153.4)
    assert (half.status.counted, half.index, half.status.rate) == ("0-9,20-59", 1, "153/s")
    assert (half.counts.done, half.counts.failed, half.status.phase) == (48, 2, "processing")

    full = step(half, entry(10, 19), entry(60, 99), seconds=4)
    assert (full.status.counted, full.index, full.status.phase) == ("0-99", 2, "done")
    assert (full.counts.done, full.counts.failed) == (98, 2)
    assert (full.status.duration, full.status.rate) == ("4.000s", "25/s")
    assert states(full)["Complete"] == ("True", "Completed")


@pytest.mark.parametrize(
    ("spec", "entries", "is_idle", "phase", "reason"),
    [
        ({}, [], False, "processing", None),
        ({}, [], True, "processing", None),  # between two shards
        ({"suspend": True}, [entry(0, 9)], True, "processing", None),
        ({"cancel": True}, [entry(0, 9)], False, "processing", None),
        ({"cancel": True}, [entry(0, 9)], True, "failed", "Cancelled"),
        ({"cancel": True}, [entry(0, 99)], True, "done", "Completed"),
        ({"maxFailedImages": 3}, [entry(0, 9, failed=3)], True, "processing", None),
        ({"maxFailedImages": 3}, [entry(0, 9, failed=4)], False, "processing", None),
        ({"maxFailedImages": 3}, [entry(0, 9, failed=4)], True, "failed", "TooManyFailedImages"),
        ({"maxFailedImages": 3}, [entry(0, 99, failed=4)], True, "failed", "TooManyFailedImages"),
        ({"maxFailedImages": 0}, [entry(0, 99)], True, "done", "Completed"),
    ],
)
def test_batch_ends_when_nothing_is_left_to_do(
    spec: dict[str, Any],
    entries: list[IndexEntry],
    is_idle: bool,  # noqa: FBT001
    phase: str,
    reason: str | None,
) -> None:
    ended = step(batch(**spec), *entries, is_idle=is_idle)
    found = [
        reason for kind, (_, reason) in states(ended).items() if kind in {"Complete", "Failed"}
    ]
    assert (ended.status.phase, found) == (phase, [reason] if reason else [])


def test_tokens_are_added_up_and_end_the_batch() -> None:
    used = {"inputTokens": 60, "outputTokens": 30}
    first = step(batch(maxTokens=150), entry(0, 9, usage=used), is_idle=True)
    assert first.status.phase == "processing"

    second = step(first, entry(10, 19, usage=used), is_idle=True)
    assert (second.status.phase, states(second)["Failed"][1]) == ("failed", "TokensUsedUp")
    assert second.status.usage is not None
    assert (second.status.usage.input_tokens, second.status.usage.output_tokens) == (120, 60)


def test_waiting_and_suspended_come_and_go() -> None:
    waiting = step(batch(suspend=True), waiting=("QuotaExhausted", "pay the bill"))
    assert states(waiting)["Waiting"] == ("True", "QuotaExhausted")
    assert states(waiting)["Suspended"] == ("True", "Suspended")

    later = step(waiting, waiting=("QuotaExhausted", "pay the bill"), seconds=9)
    at = {it.type: it.last_transition_time for it in later.status.conditions}
    assert at["Waiting"] == NOW + timedelta(seconds=1)  # the status has not changed since

    spec = later.spec.model_copy(update={"suspend": False})
    resumed = step(later.model_copy(update={"spec": spec}))
    assert states(resumed)["Waiting"] == ("False", "NotWaiting")
    assert states(resumed)["Suspended"] == ("False", "Resumed")


def test_new_suspects_replace_the_range_that_contained_them() -> None:
    one = step(batch(), IndexEntry(shard="a", suspects="10-19,20-29"))
    assert one.status.suspects == "10-19,20-29"
    assert (one.counts.ended, one.index) == (0, 1)

    two = step(one, IndexEntry(shard="b", suspects="20-24,25-29"))
    assert two.status.suspects == "10-19,20-24,25-29"

    three = step(two, entry(10, 19), IndexEntry(shard="c", ranges="20-24", failed=5))
    assert three.status.suspects == "25-29"


def test_failures_are_limited_to_ten() -> None:
    failures = [
        {"index": n, "customId": f"{n}.jpg", "reason": "ImageUnreadable", "message": "no image"}
        for n in range(8)
    ]
    both = step(batch(), entry(0, 9, 8, failures=failures), entry(10, 19, 8, failures=failures))
    assert [it.index for it in both.status.failures] == [*range(8), 0, 1]


def test_status_with_everything_at_its_maximum_is_small() -> None:
    """Each version of it is kept for some minutes, and there may be one a second."""
    widest = "\N{GRINNING FACE}"  # four bytes
    failures = [
        {"index": n, "customId": widest * 512, "reason": "R" * 128, "message": widest * 512}
        for n in range(10)
    ]
    before = batch(total=900_000_000, suspend=True)
    ranges = ",".join(str(100_000_000 + 2 * n) for n in range(818))
    suspects = ",".join(str(200_000_000 + 2 * n) for n in range(409))
    found = {"shard": "a", "ranges": ranges, "done": 808, "failed": 10, "suspects": suspects}
    entries = [IndexEntry.model_validate({**found, "failures": failures})]
    progress = Progress(entries, 1.0, ("R" * 128, widest * 2048))
    status = after(before, advance(before, progress, NOW)).status
    assert len(status.counted or "") > 8100
    assert len(status.suspects or "") > 4000
    assert 0 < len(status.failures) < 10

    size = len(json.dumps(status.to_json(), ensure_ascii=False).encode())
    assert size < 32 << 10


def shard(first: int = 10, count: int = 10, **status: Any) -> Shard:
    images = {"batch": "holiday", "batchUID": UID, "manifest": MANIFEST.folder}
    spec = {"images": {**images, "first": first, "count": count}}
    meta = {"name": f"holiday-0f0e0d0c-{first}", "uid": "s-uid"}
    return Shard.model_validate({"metadata": meta, "spec": spec, "status": status})


OUTCOME = ShardOutcome(
    done=5, failed=1, rest="16-18,19", suspects="19", key="batches/r", sha256="a" * 64, size_bytes=9
)


def test_partly_described_shard_contributes_what_has_ended() -> None:
    running = shard(phase="processing", attempts=1)
    patch = transitions.finish_shard(running, outcome=OUTCOME, now=NOW)
    finished = shard(**patch)
    assert (str(finished.ended), str(finished.rest)) == ("10-15", "16-19")

    found = IndexEntry.of(finished)
    assert (found.ranges, found.done, found.failed) == ("10-15", 5, 1)
    assert (found.suspects, found.key, found.sha256) == ("19", "batches/r", "a" * 64)


def test_given_up_shard_contributes_only_its_suspects() -> None:
    patch = transitions.give_up_shard(
        shard(phase="processing"),
        reason=Reason.WORKER_LOST,
        message="worker x ended",
        suspects="12,14",
        now=NOW,
    )
    given_up = shard(**patch)
    assert (given_up.status.phase, str(given_up.ended)) == ("failed", "")

    found = IndexEntry.of(given_up)
    assert (found.ranges, found.done, found.failed, found.suspects) == ("", 0, 0, "12,14")


@pytest.mark.parametrize(("count", "ranges", "failed"), [(1, "10", 1), (2, "", 0)])
def test_shard_of_one_that_failed_is_a_failed_image(count: int, ranges: str, failed: int) -> None:
    patch = transitions.fail(
        shard(count=count), reason=Reason.OUT_OF_MEMORY, message="too large", now=NOW
    )
    found = IndexEntry.of(shard(count=count, **patch))
    assert (found.ranges, found.failed) == (ranges, failed)
    assert (found.error.reason if found.error else None) == ("OutOfMemory" if failed else None)


def test_entries_survive_json() -> None:
    found = IndexEntry.of(shard(**transitions.finish_shard(shard(), outcome=OUTCOME, now=NOW)))
    assert IndexEntry.model_validate(found.to_json()) == found


def test_shard_belongs_to_its_batch() -> None:
    manifest = shard_manifest(shard().spec, "alice")
    assert manifest["metadata"]["name"] == shard_name("holiday", UID, 10) == "holiday-0f0e0d0c-10"
    assert manifest["metadata"]["labels"] == {
        "vision-node.dev/batch": UID,
        "vision-node.dev/owner": "alice",
    }
    (owner,) = manifest["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ImageBatch", UID, True)
    assert Shard.model_validate(manifest).range == (10, 19)


def test_long_names_are_cut_without_a_trailing_dot() -> None:
    assert shard_name("a" * 39 + ".b", UID, 7) == "a" * 39 + "-0f0e0d0c-7"


def test_keys_are_in_the_release_s_folder() -> None:
    folder = BatchFolder(BucketFolders("aaaabbbbcccc"), UID)
    start = f"batches/aaaabbbbcccc/{UID}/"
    assert folder.manifest(1) == start + "m1/"
    assert folder.results(20, "s-uid", 2) == start + "results/000000020-s-uid-2"
    assert folder.checkpoint(7) == start + "checkpoints/000000007"
    assert folder.index(3) == start + "index/000000003"
    assert [chunk_key(start + "m1/", index) for index in (0, 999, 1000, 12345)] == [
        start + f"m1/{first:09}" for first in (0, 0, 1000, 12000)
    ]
