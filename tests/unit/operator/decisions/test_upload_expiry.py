"""Tests of the decisions about ImageBatches whose images are being uploaded."""

from typing import Any

import pytest
from batch_world import BatchWorld
from vision_node_contract.batch_uploads import UPLOAD_SECONDS
from world import at

DUE = UPLOAD_SECONDS - 60.0
"""When a batch that was created a minute before NOW expires, in seconds after NOW."""


def upload(world: BatchWorld, *, complete: bool = False, **parts: Any) -> None:
    """Report a queued ImageBatch that was created a minute before NOW."""
    status = {"phase": "queued", "manifest": None, "images": None} | parts.pop("status", {})
    world.batch(prefix=None, upload={"complete": complete}, status=status, **parts)


def test_batch_whose_upload_is_not_complete_is_deleted_after_a_day() -> None:
    world = BatchWorld(0)
    upload(world)
    assert world.decided(DUE - 1) == []
    assert world.decided(DUE) == ["expire upload b"]


def test_time_to_live_does_not_apply_to_an_upload() -> None:
    world = BatchWorld(0)
    upload(world, ttlSecondsAfterFinished=0)
    assert world.decided(DUE - 1) == []


def test_cancelled_upload_that_nobody_ends_expires_too() -> None:
    world = BatchWorld(0)
    upload(world, cancel=True)
    assert world.decided(DUE) == ["expire upload b"]


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "processing", "images": {"total": 0, "done": 0, "failed": 0}},
        {"phase": "done", "completionTime": at(DUE - 1)},
    ],
)
def test_complete_upload_does_not_expire(status: dict[str, Any]) -> None:
    world = BatchWorld(0)
    upload(world)
    upload(world, complete=True, status=status)
    assert not any(it.startswith("expire") for it in world.decided(DUE + 10))


def test_finished_upload_expires_like_any_other_batch() -> None:
    world = BatchWorld(0)
    ended = {"phase": "failed", "completionTime": at(-10)}
    upload(world, cancel=True, ttlSecondsAfterFinished=60, status=ended)
    assert world.decided(49) == []
    assert world.decided(50) == ["expire batch b"]


def test_upload_that_is_being_deleted_or_could_not_be_is_left_alone() -> None:
    world = BatchWorld(0)
    upload(world)
    world.back_off("imagebatches", "b", DUE + 90)
    assert world.decided(DUE + 89) == []
    assert world.decided(DUE + 90) == ["expire upload b"]

    world.begin_write("imagebatches", "b")
    assert world.decided(DUE + 90) == []


def test_deletion_that_waits_for_a_finalizer_is_not_repeated() -> None:
    world = BatchWorld(0)
    metadata = {"uid": "u", "creationTimestamp": at(-60), "deletionTimestamp": at(DUE)}
    spec = {"upload": {"complete": False}, "describer": "metadata"}
    world.observe("imagebatches", "b", metadata=metadata, spec=spec, status={"phase": "queued"})
    assert world.decided(DUE + 10) == []


def test_incomplete_upload_asks_for_no_workers_and_no_shards() -> None:
    world = BatchWorld(maxWorkers=3)
    upload(world)
    assert world.decide() == []
