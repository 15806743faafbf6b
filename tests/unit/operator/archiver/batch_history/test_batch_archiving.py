"""Tests of archiving the results of ImageBatches."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from batch_history_world import LONG_AGO, HistoryWorld, result_line, uid_of
from vision_node_contract.batch_objects import (
    BatchFolder,
    IndexEntry,
    LineError,
    ManifestLine,
    chunk_key,
)
from vision_node_contract.clients.batch_results import PIECE_BYTES
from vision_node_contract.history.database import HistoryUnavailableError
from vision_node_contract.history.records import MAX_ROW_RESULT_BYTES
from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.ranges import RangeSet
from vision_node_operator.archiver.batch_history import index_archiver
from vision_node_operator.archiver.batch_history.result_lines import MAX_LINE_BYTES, ResultLines


async def test_each_image_gets_a_row_with_what_the_line_says(world: HistoryWorld) -> None:
    before = datetime.now(UTC)
    world.create("b", parts=1)
    error = {"reason": "ImageInvalid", "message": "no"}
    world.count_lines(
        "b", [result_line(2, "A dog"), result_line(3, result=None, error=error)], "2-3"
    )
    await world.settle(world.start())

    rows = world.query(
        "SELECT image_index, name, custom_id, owner, describer, phase, reason, result,"
        " archive_error FROM images ORDER BY image_index"
    )
    assert [row[:7] for row in rows] == [
        (0, "b", "image-0", "ann", "local", "done", None),
        (1, "b", "image-1", "ann", "local", "done", None),
        (2, "b", "image-2", "ann", "local", "done", None),
        (3, "b", "image-3", "ann", "local", "failed", "ImageInvalid"),
    ]
    assert json.loads(rows[2][7])["caption"] == "A dog"
    assert rows[3][7:] == (None, None)
    assert min(at for (at,) in world.query("SELECT at FROM images")) >= before


async def test_new_index_objects_of_a_running_batch_are_archived(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)
    assert world.images("b") == [0, 1]

    world.count("b")
    await world.settle(history)
    assert world.images("b") == [0, 1, 2, 3]
    assert history.counts.archived == 4


async def test_time_is_not_before_the_creation(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    created = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    world.api.bodies["b"]["metadata"]["creationTimestamp"] = created.isoformat()
    await world.settle(world.start())
    assert world.query("SELECT DISTINCT at FROM images") == [(created,)]


async def test_row_of_the_batch_has_its_final_state(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)

    world.finish("b", datetime.now(UTC))
    world.api.change("b", ttlSecondsAfterFinished=60)
    await world.settle(history)

    rows = world.query("SELECT body, finished_at, expires_at - finished_at FROM batches")
    assert json.loads(rows[0][0]) == world.api.bodies["b"]
    assert rows[0][2] == timedelta(seconds=60)


ODD_LINES: dict[str, tuple[bytes, bool]] = {
    "no JSON": (b"{", False),
    "not UTF-8": (b'{"index":1,"customId":"\xff","result":{}}', False),
    "no object": (b"[1]", False),
    "no index": (b'{"customId":"a","result":{}}', False),
    "index of another shard": (result_line(10), False),
    "negative index": (result_line(-1), False),
    "huge index": (result_line(10**30), False),
    "neither result nor error": (b'{"index":1,"customId":"a"}', False),
    "result and error": (result_line(1, error={"reason": "A", "message": ""}), False),
    "result is a list": (result_line(1, result=[1]), False),
    "deeply nested": (b'{"index":1,"customId":"a","result":{"a":' + b"[" * 10_000 + b"}", False),
    "blank": (b"  ", False),
    "unknown fields": (result_line(1, later=1), True),
    "odd texts": (result_line(1, result={"caption": 5, "tags": [None], "text": {}}), True),
    "U+0000": (result_line(1, "a\0b", customId="a\0b"), True),
    "empty result": (result_line(1, result={}), True),
}


@pytest.mark.parametrize(("line", "is_archived"), ODD_LINES.values(), ids=ODD_LINES.keys())
async def test_odd_line_does_not_hold_up_the_others(
    world: HistoryWorld, line: bytes, *, is_archived: bool
) -> None:
    world.create("b")
    world.count_lines("b", [result_line(0), line, result_line(2)], "0-2")
    world.count_lines("b", [result_line(3)], "3")
    history = world.start()
    await world.settle(history)

    assert world.images("b") == ([0, 1, 2, 3] if is_archived else [0, 2, 3])
    assert history.counts.unreadable_lines == (not is_archived and bool(line.strip()))


async def test_few_unreadable_lines_are_logged(world: HistoryWorld, caplog: Any) -> None:
    world.create("b")
    world.count_lines("b", [b"{"] * 100, "0-99")
    history = world.start()
    with caplog.at_level(logging.WARNING):
        await world.settle(history)

    assert history.counts.unreadable_lines == 100
    assert caplog.text.count("skipping a line") == 5
    assert "100 lines" in caplog.text


async def test_large_result_stays_in_the_bucket(world: HistoryWorld) -> None:
    world.create("b")
    text = "x" * MAX_ROW_RESULT_BYTES
    world.count_lines("b", [result_line(0, text), result_line(1)], "0-1")
    await world.settle(world.start())
    rows = world.query("SELECT result IS NULL, archive_error FROM images ORDER BY image_index")
    assert rows[0][0]
    assert "only in the bucket" in rows[0][1]
    assert rows[1] == (False, None)


@pytest.mark.parametrize("size", [1, 7, 100, PIECE_BYTES])
def test_lines_are_the_same_in_pieces_of_any_size(size: int) -> None:
    batch = ImageBatch.model_validate({"metadata": {"name": "b", "uid": uid_of("b")}, "spec": {}})
    data = b"\n".join([result_line(0), b"", result_line(1), b"x" * 200, result_line(2)])
    lines = ResultLines(batch, "key", RangeSet([(0, 2)]), LONG_AGO)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    rows = [row for piece in pieces for row in lines.feed(piece)] + [*lines.finish()]
    assert [row.image_index for row in rows] == [0, 1, 2]
    assert lines.unreadable == 1


def test_endless_line_takes_no_memory() -> None:
    batch = ImageBatch.model_validate({"metadata": {"name": "b", "uid": uid_of("b")}, "spec": {}})
    lines = ResultLines(batch, "key", RangeSet([(0, 2)]), LONG_AGO)
    for _ in range(20):
        assert not [*lines.feed(b" " * PIECE_BYTES)]
        assert len(lines._rest) <= MAX_LINE_BYTES
    rows = [*lines.feed(b"\n" + result_line(1) + b"\n")]
    assert [row.image_index for row in rows] == [1]
    assert lines.unreadable == 1


@pytest.mark.parametrize("padding", [0, PIECE_BYTES])
@pytest.mark.parametrize("how", ["missing", "altered", "of another batch", "no hash"])
async def test_unreadable_results_are_counted_and_skipped(
    world: HistoryWorld, caplog: Any, how: str, padding: int
) -> None:
    world.create("b")
    key = world.count_lines("b", [result_line(0, "x" * padding)], "0")
    match how:
        case "missing":
            del world.s3.objects[key]
        case "altered":
            data = world.s3.objects[key].data
            world.s3.put(key, data.replace(b"image-0", b"image-1"))
        case "of another batch":
            other = world.bucket.folders.batches + "other/results/0"
            world.s3.put(other, b"x")
            entry = IndexEntry(shard="s", ranges="0", key=other, sha256="0", size_bytes=1)
            world.count_entries("b", [entry])
            del world.s3.objects[key]
        case _:
            world.count_entries("b", [IndexEntry(shard="s", ranges="0", key=key)])
            del world.s3.objects[key]
    world.count_lines("b", [result_line(5)], "5")

    history = world.start()
    await world.settle(history)

    assert world.images("b") == [5]
    assert history.counts.unreadable_objects == 1 + (how in ("of another batch", "no hash"))
    assert key in caplog.text


@pytest.mark.parametrize("data", [None, b"{}\n[]\n", b"\xff"])
async def test_unreadable_index_object_is_counted_and_skipped(
    world: HistoryWorld, data: bytes | None
) -> None:
    world.create("b", parts=1)
    key = next(key for key in world.folder("b") if "/index/" in key)
    if data is None:
        del world.s3.objects[key]
    else:
        world.s3.put(key, data)
    world.count("b")
    history = world.start()
    await world.settle(history)

    assert world.images("b") == [2, 3]
    assert history.counts.unreadable_objects >= 1


async def test_images_of_a_shard_without_results_have_rows_with_its_error(
    world: HistoryWorld,
) -> None:
    world.create("b")
    uid = world.api.bodies["b"]["metadata"]["uid"]
    folder = BatchFolder(world.bucket.folders, uid)
    lines = [ManifestLine(index=it, custom_id=f"cats/{it}.jpg", key=f"inbox/{it}") for it in (0, 1)]
    data = b"".join(json.dumps(it.to_json()).encode() + b"\n" for it in lines)
    world.s3.put(chunk_key(folder.manifest(1), 0), data)
    manifest = {"folder": folder.manifest(1), "images": 2, "sha256": "0" * 64}
    error = LineError(reason="OutOfMemory", message="no")
    world.count_entries("b", [IndexEntry(shard="s", ranges="1", failed=1, error=error)])
    world.finish("b")
    world.api.change("b", status=world.api.bodies["b"]["status"] | {"manifest": manifest})
    history = world.start()
    await world.settle(history)

    rows = world.query("SELECT image_index, custom_id, phase, reason, excerpt FROM images")
    assert rows == [(1, "cats/1.jpg", "failed", "OutOfMemory", '{"error":"no"}')]
    assert history.counts.unreadable_objects == 0
    assert world.is_marked("b")


async def test_shard_without_results_and_manifest_has_no_rows(world: HistoryWorld) -> None:
    world.create("b")
    error = LineError(reason="WorkerLost", message="no")
    world.count_entries("b", [IndexEntry(shard="s", ranges="0", failed=1, error=error)])
    world.finish("b")
    history = world.start()
    await world.settle(history)
    assert world.images("b") == []
    assert history.counts.unreadable_objects == 0
    assert world.is_marked("b")


async def test_missing_object_is_not_skipped_while_the_bucket_may_be_the_wrong_one(
    world: HistoryWorld,
) -> None:
    world.create("b")
    key = world.count("b")
    stored = world.s3.objects.pop(key)
    world.holds.held = {"clean"}
    history = world.start()
    for _ in range(5):
        await history.round()
    assert history.counts.unreadable_objects == 0

    world.s3.objects[key] = stored
    await world.settle(history)
    assert world.images("b") == [0, 1]


async def test_bucket_that_is_away_delays_only(world: HistoryWorld) -> None:
    world.create("b", parts=2)
    world.s3.fails = (503, "SlowDown")
    history = world.start()
    for _ in range(5):
        await history.round()
    assert world.images("b") == []

    world.s3.fails = None
    await world.settle(history)
    assert world.images("b") == [0, 1, 2, 3]
    assert history.counts.unreadable_objects == 0


async def test_batch_whose_objects_fail_does_not_hold_up_others(world: HistoryWorld) -> None:
    world.create("a", parts=1)
    world.create("b", parts=3)
    world.s3.forbidden_outside = uid_of("b")
    history = world.start()
    for _ in range(20):
        await history.round()
    assert world.images("b") == [0, 1, 2, 3, 4, 5]


async def test_many_batches_take_turns(world: HistoryWorld) -> None:
    for name in ("a", "b", "c"):
        world.create(name, parts=4, images=1)
    history = world.start()
    order: list[str] = []
    for _ in range(30):
        await history.round()
        rows = world.query("SELECT name FROM images ORDER BY at, name")
        order += [name for (name,) in rows[len(order) :]]

    assert order == ["a", "b", "c"] * 4


async def test_groups_of_rows_are_small(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_archiver, "GROUP_BYTES", 300_000)
    sizes: list[int] = []
    add = world.store.add_batch_images

    async def record(uid: str, index: int, rows: Any, *, is_last: bool) -> Any:
        sizes.append(len(rows))
        return await add(uid, index, rows, is_last=is_last)

    monkeypatch.setattr(world.store, "add_batch_images", record)
    world.create("b")
    world.count_lines("b", [result_line(it, "x" * 100_000) for it in range(20)], "0-19")
    world.count_lines("b", [result_line(it) for it in range(20, 1500)], "20-1499")
    await world.settle(world.start())

    assert world.images("b") == list(range(1500))
    assert max(sizes[:7]) <= 3
    assert max(sizes) <= index_archiver.GROUP_ROWS


async def test_database_that_is_slow_gets_smaller_groups(
    world: HistoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, sizes = world.store.add_batch_images, list[int]()

    async def fail(uid: str, index: int, rows: Any, *, is_last: bool) -> Any:
        sizes.append(len(rows))
        if len(rows) > 40:
            raise HistoryUnavailableError("too slow", "HistoryTooSlow")
        return await add(uid, index, rows, is_last=is_last)

    monkeypatch.setattr(world.store, "add_batch_images", fail)
    world.create("b", parts=1, images=600)
    history = world.start()
    for _ in range(20):
        try:
            await history.round()
        except HistoryUnavailableError:
            continue
        if len(world.images("b")) == 600:
            break

    assert len(world.images("b")) == 600
    assert history.counts.archived == 600


async def test_unreadable_batch_is_not_taken_for_a_deleted_one(world: HistoryWorld) -> None:
    world.create("b", parts=1)
    history = world.start()
    await world.settle(history)
    world.api.change("b", describer=["local"])
    world.show(history)
    for _ in range(5):
        await history.round()
    assert world.images("b") == [0, 1]
    assert world.folder("b")
