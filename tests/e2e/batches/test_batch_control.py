"""Tests of a user who suspends and cancels batches, and of single images beside a batch."""

from collections.abc import Callable
from pathlib import Path

from conftest import wait_for
from vision_node_contract.json_types import Json

from batches.batch import FOLDER, Batches, condition, done
from batches.conftest import SLOW_LINES

SOURCE = f"inbox/{FOLDER}/slow.jsonl"


def test_suspended_batch_keeps_what_is_done_and_can_be_resumed(
    batches: Batches,
    sluggish: str,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    """A single image that is described meanwhile shows that the worker would have had the time."""
    batches.create("paused", manifest=SOURCE, describer=sluggish)
    batches.until_some_are_done("paused")
    batches.patch("paused", suspend=True)
    batches.wait("paused", "Suspended")

    uid = batches.uid("paused")
    wait_for(lambda: batches.shards(uid), lambda shards: not shards)
    kept = done(batches.status("paused"))
    assert 0 < kept < SLOW_LINES

    assert ended(submit(photo.read_bytes(), describer=sluggish))["status"] == "done"
    assert (done(batches.status("paused")), batches.shards(uid)) == (kept, [])
    assert len(batches.lines("paused")) == kept

    batches.patch("paused", suspend=False)
    status = batches.wait("paused", "Complete")
    assert status["images"] == {"total": SLOW_LINES, "done": SLOW_LINES, "failed": 0}
    assert condition(status, "Suspended")["status"] == "False"
    assert len({line["customId"] for line in batches.lines("paused")}) == SLOW_LINES


def test_cancelled_batch_keeps_what_is_done(batches: Batches, sluggish: str) -> None:
    batches.create("unwanted", manifest=SOURCE, describer=sluggish)
    batches.until_some_are_done("unwanted")
    batches.patch("unwanted", cancel=True)

    status = batches.wait("unwanted", "Failed")
    assert (status["phase"], condition(status, "Failed")["reason"]) == ("failed", "Cancelled")
    assert 0 < done(status) < SLOW_LINES
    assert len(batches.lines("unwanted")) == done(status)
    uid = batches.uid("unwanted")
    wait_for(lambda: batches.shards(uid), lambda shards: not shards)


def test_single_image_passes_a_batch(
    batches: Batches,
    sluggish: str,
    photo: Path,
    submit: Callable[..., str],
    ended: Callable[[str], Json],
) -> None:
    batches.create("long", manifest=SOURCE, describer=sluggish)
    batches.until_some_are_done("long")

    single = ended(submit(photo.read_bytes(), describer=sluggish))
    status = batches.status("long")
    assert (single["status"], status["phase"]) == ("done", "processing")
    assert done(status) < SLOW_LINES
    batches.patch("long", cancel=True)
