"""Tests of what workers and others may write into statuses without stopping the operator."""

from typing import Any

import pytest
from batch_world import BatchWorld

LONG_NUMBER = "9" * 5000
"""A number that Python refuses to read."""

GIVEN_UP = {"done": 0, "failed": 0, "rest": "0-7"}


@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        ("a range that ends before its start", {"rest": "5-3"}),
        ("a long number", {"rest": LONG_NUMBER}),
        ("images of other shards", {"rest": "7-8", "done": 7}),
        ("more images than it has", {"rest": "0-99", "done": -92}),
        ("too few images", {"done": 7}),
        ("too many images", {"done": 9}),
        ("a negative number", {"done": 9, "failed": -1}),
        ("no results", {"key": None}),
        ("results of nothing", {**GIVEN_UP, "key": "batches/x/r"}),
        ("unreadable suspects", {**GIVEN_UP, "suspects": "5-3"}),
        ("a suspect that has ended", {"rest": "7", "done": 7, "suspects": "6"}),
        ("a suspect of another shard", {**GIVEN_UP, "suspects": "8"}),
        ("the same suspect twice", {**GIVEN_UP, "suspects": "3,3"}),
    ],
)
def test_outcome_that_contradicts_itself_counts_for_nothing(
    why: str, outcome: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world = BatchWorld()
    world.batch()
    world.done(0, **outcome)
    expected = ["advance b waiting DescriberFailed idle", "delete b-0"]
    assert sorted(world.decided()) == expected, why
    assert caplog.text.count("shard b-0: its images are described again") == 1


@pytest.mark.parametrize(
    ("why", "status", "expected"),
    [
        ("all images", {"phase": "done", "images": {"done": 7, "failed": 1, "key": "k"}}, "+0-7"),
        (
            "a part",
            {
                "phase": "done",
                "images": {"done": 6, "failed": 0, "rest": "3,5", "suspects": "5", "key": "k"},
            },
            "+0-2,4,6-7",
        ),
        (
            "given up by the operator",
            {"phase": "failed", "images": {**GIVEN_UP, "suspects": "0-3,4-7"}},
            "+",
        ),
    ],
)
def test_sound_outcome_is_counted(why: str, status: Any, expected: str) -> None:
    world = BatchWorld()
    world.batch()
    world.shard(0, worker="w0", attempts=1, **status)
    assert f"advance b {expected} idle" in world.decided(), why


def test_image_that_failed_alone_is_counted_without_an_outcome() -> None:
    world = BatchWorld()
    world.batch(status={"suspects": "0"})
    error = {"reason": "OutOfMemory", "message": "m", "retryable": False}
    world.shard(0, 1, alone=True, phase="failed", attempts=1, error=error)
    assert "advance b +0 idle" in world.decided()


@pytest.mark.parametrize("text", ["5-3", LONG_NUMBER])
@pytest.mark.parametrize("name", ["counted", "suspects"])
def test_batch_that_cannot_be_read_is_ignored(
    name: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = BatchWorld(0, maxWorkers=1)
    world.batch("bad", status={name: text})
    world.batch("good", images=8)
    assert world.decided() == ["create 0-7"]
    assert "imagebatches bad is ignored" in caplog.text


def test_batch_that_can_no_longer_be_read_stays_as_it_was() -> None:
    world = BatchWorld(0)
    world.batch(status={"counted": "0-7"})
    world.batch(status={"counted": "5-3"})
    world.done(8)
    assert "advance b +8-15 idle" in world.decided()
