"""Tests of GET /batches/{name}/results: what is sent, and in which order."""

import hashlib
from collections.abc import Callable

import httpx
import pytest
from api_server import until
from batch_fixture import MANIFEST, Batch, custom_id, lines_of, outcomes
from fakes.s3 import S3
from vision_node_api.services.batches.batches import Batches
from vision_node_contract.batch_objects import IndexEntry
from vision_node_contract.clients.batch_results import PIECE_BYTES

PATH = "/batches/holiday/results"


async def test_results_are_sent_as_stored_in_the_order_of_counting(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3
) -> None:
    late, first = batch.shard(4, 6), batch.shard(0, 3)
    batch.count(late, first)
    batch.count(batch.shard(7, 9))
    batch.report(batches.cache)
    response = await web.get(PATH)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jsonl"
    assert response.headers["vision-node-after"] == "2"
    keys = [it.key for it in (late, first)] + [batch.folder.results(7, "shard-7", 1)]
    assert response.content == b"".join(s3.objects[str(key)].data for key in keys)


@pytest.mark.parametrize(
    ("after", "expected"), [(0, ["0", "1", "2"]), (1, ["1", "2"]), (2, ["2"]), (3, [])]
)
async def test_client_resumes_after_the_parts_that_it_has(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, after: int, expected: list[str]
) -> None:
    for index in range(3):
        batch.count(batch.shard(index, index))
    batch.report(batches.cache)
    response = await web.get(PATH, params={"after": after})

    assert outcomes(response.content) == expected
    assert response.headers["vision-node-after"] == "3"


async def test_marks_say_where_to_resume(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    for index in range(2):
        batch.count(batch.shard(index, index))
    batch.report(batches.cache)
    lines = lines_of((await web.get(PATH, params={"marks": True})).content)
    assert [line.get("after", "result") for line in lines] == ["result", 1, "result", 2]


async def test_part_that_only_another_replica_knows_is_looked_up(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, cluster: object
) -> None:
    batch.count(batch.shard(0, 0))
    batch.report(batches.cache)
    batch.count(batch.shard(1, 1))
    cluster.batches["holiday"] = batch.body()  # type: ignore[attr-defined]

    assert (await web.get(PATH, params={"after": 2})).status_code == 200
    refused = await web.get(PATH, params={"after": 3})
    assert (refused.status_code, refused.json()["reason"]) == (422, "InvalidAfter")


async def test_large_object_is_sent_in_pieces(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3
) -> None:
    entry = batch.shard(0, 9, padding=PIECE_BYTES // 4)
    assert (entry.size_bytes or 0) > 2 * PIECE_BYTES
    batch.count(entry)
    batch.report(batches.cache)
    assert (await web.get(PATH)).content == s3.objects[str(entry.key)].data


async def test_last_line_is_ended_if_the_worker_did_not(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3
) -> None:
    entries = []
    for index in range(2):
        entry = batch.shard(index, index)
        data = s3.objects[str(entry.key)].data.removesuffix(b"\n")
        s3.put(str(entry.key), data)
        digest = hashlib.sha256(data).hexdigest()
        entries.append(entry.model_copy(update={"sha256": digest, "size_bytes": len(data)}))
    batch.count(*entries)
    batch.report(batches.cache)
    assert outcomes((await web.get(PATH)).content) == ["0", "1"]


async def test_image_on_which_a_worker_ended_has_a_line(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    error = {"reason": "OutOfMemory", "message": "The worker ran out of memory."}
    poison = IndexEntry.model_validate(
        {"shard": "holiday-0b1c-1", "ranges": "1", "failed": 1, "error": error}
    )
    batch.count(batch.shard(0, 0), poison, batch.shard(2, 2))
    batch.report(batches.cache)
    lines = lines_of((await web.get(PATH)).content)

    key = "inbox/aaaabbbbcccc/1"
    assert lines[1] == {"index": 1, "customId": custom_id(1), "key": key, "error": error}
    assert [line["index"] for line in lines] == [0, 1, 2]


async def test_shard_without_results_and_without_images_has_no_line(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.count(IndexEntry(shard="holiday-0b1c-0", suspects="0-4"), batch.shard(5, 5))
    batch.report(batches.cache)
    assert outcomes((await web.get(PATH)).content) == ["5"]


def remove(s3: S3, key: str) -> None:
    del s3.objects[key]


def overwrite(s3: S3, key: str) -> None:
    s3.put(key, s3.objects[key].data.replace(b"vision", b"visiom"))


def cut_off(s3: S3, key: str) -> None:
    s3.put(key, s3.objects[key].data[:-1])


def extend(s3: S3, key: str) -> None:
    s3.put(key, s3.objects[key].data + b"\n")


def empty(s3: S3, key: str) -> None:
    s3.put(key, b"")


DAMAGE: dict[str, tuple[Callable[[S3, str], None], str]] = {
    "deleted": (remove, "ResultGone"),
    "overwritten": (overwrite, "ResultChanged"),
    "cut off": (cut_off, "ResultChanged"),
    "extended": (extend, "ResultChanged"),
    "emptied": (empty, "ResultChanged"),
}
"""What happened to an object, and the reason in the lines of its images."""


@pytest.mark.parametrize("padding", [0, PIECE_BYTES])
@pytest.mark.parametrize("case", DAMAGE)
async def test_images_whose_results_are_damaged_have_error_lines(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3, case: str, padding: int
) -> None:
    damage, reason = DAMAGE[case]
    entry = batch.shard(1, 2, padding=padding)
    batch.count(batch.shard(0, 0), entry, batch.shard(3, 3))
    batch.report(batches.cache)
    damage(s3, str(entry.key))
    response = await web.get(PATH)

    assert outcomes(response.content) == ["0", f"1 {reason}", f"2 {reason}", "3"]
    assert lines_of(response.content)[1]["customId"] == custom_id(1)
    assert b"visiom" not in response.content


@pytest.mark.parametrize(
    "key",
    [
        "images/aaaabbbbcccc/secret",
        "batches/aaaabbbbcccc/another/results/000000001-u-1",
        "batches/aaaabbbbcccc/0b1c/m1/000000000",
        "batches/aaaabbbbcccc/0b1c/index/000000000",
    ],
)
async def test_only_results_of_the_batch_are_sent(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3, key: str
) -> None:
    """A worker writes the status of its shard, and so chooses the key and the SHA-256."""
    entry = batch.shard(1, 1, key=key)
    s3.put(key, s3.objects[batch.folder.results(1, "shard-1", 1)].data)
    batch.count(entry)
    batch.freeze()
    batch.report(batches.cache)
    assert outcomes((await web.get(PATH)).content) == ["1 ResultGone"]


@pytest.mark.parametrize("changes", [{"sha256": None}, {"size_bytes": None}])
async def test_results_that_can_not_be_verified_are_not_sent(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, changes: dict[str, None]
) -> None:
    batch.count(batch.shard(1, 1, **changes))
    batch.report(batches.cache)
    assert outcomes((await web.get(PATH)).content) == ["1 ResultChanged"]


async def test_missing_results_and_missing_manifest_leave_one_line(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3, cluster: object
) -> None:
    cluster.batches["holiday"] = batch.body()  # type: ignore[attr-defined]
    entry = batch.shard(0, 4)
    batch.count(entry, batch.shard(5, 5))
    batch.report(batches.cache)
    remove(s3, str(entry.key))
    remove(s3, f"{MANIFEST}000000000")
    assert outcomes((await web.get(PATH)).content) == ["0-4 ResultGone", "5"]


@pytest.mark.parametrize("damaged", [None, b"nonsense\n", b'{"shard":"a","ranges":"x"}\n'])
async def test_missing_or_unreadable_part_has_a_line(
    web: httpx.AsyncClient,
    batches: Batches,
    batch: Batch,
    s3: S3,
    cluster: object,
    damaged: bytes | None,
) -> None:
    cluster.batches["holiday"] = batch.body()  # type: ignore[attr-defined]
    for index in range(3):
        batch.count(batch.shard(index, index))
    batch.report(batches.cache)
    if damaged is None:
        remove(s3, batch.folder.index(1))
    else:
        s3.put(batch.folder.index(1), damaged)
    assert outcomes((await web.get(PATH)).content) == ["0", "1 ResultGone", "2"]


async def test_errors_of_a_shard_across_two_parts_of_the_manifest(
    web: httpx.AsyncClient, batches: Batches, s3: S3
) -> None:
    batch = Batch(s3, total=1500)
    batch.freeze()
    entry = batch.shard(998, 1002)
    batch.count(entry)
    batch.report(batches.cache)
    remove(s3, str(entry.key))
    lines = lines_of((await web.get(PATH)).content)
    assert [line["customId"] for line in lines] == [custom_id(it) for it in range(998, 1003)]


async def test_ranges_beyond_the_manifest_are_ignored(
    web: httpx.AsyncClient, batches: Batches, batch: Batch
) -> None:
    batch.count(IndexEntry(shard="holiday-0b1c-9", ranges="9-200000000", failed=1))
    batch.report(batches.cache)
    assert [it.split()[0] for it in outcomes((await web.get(PATH)).content)] == ["9"]


async def test_storage_that_is_unavailable_at_the_start_is_a_problem(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3
) -> None:
    batch.count(batch.shard(0, 0))
    batch.report(batches.cache)
    s3.fails = (503, "SlowDown")
    response = await web.get(PATH)
    assert (response.status_code, response.json()["reason"]) == (503, "StorageUnavailable")


async def test_head_sends_the_headers_without_reading_all_results(
    web: httpx.AsyncClient, batches: Batches, batch: Batch, s3: S3
) -> None:
    for index in range(5):
        batch.count(batch.shard(index, index))
    batch.report(batches.cache)
    response = await web.head(PATH, params={"follow": True})

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["vision-node-after"] == "5"
    await until(lambda: not batches.limits.followers.streams)
    assert len([it for it in s3.requests if "/index/" in it]) == 1
