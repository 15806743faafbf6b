"""Tests of what becomes of a queued ImageBatch, with a fake bucket and a fake API server."""

import asyncio
import json
from collections.abc import Callable

import pytest
from archiver_helpers import BATCHES, INBOX, Frozen
from fakes.batch_api import BatchApi
from fakes.s3 import S3
from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.clients.bucket import Bucket
from vision_node_operator.archiver.freezer import Freezer
from vision_node_operator.archiver.manifests import manifest_source, object_parts, sources
from vision_node_operator.archiver.manifests.manifest_source import ManifestSource

FreezerOf = Callable[..., Freezer]


@pytest.mark.parametrize(
    ("prefix", "expected", "skipped"),
    [
        ("inbox/holiday/", ["1.jpg", "2 é.jpg", "day/3.jpg"], 4),
        (f"{INBOX}holiday/", ["1.jpg", "2 é.jpg", "day/3.jpg"], 4),
        ("inbox/holiday/day/", ["3.jpg"], 1),
        ("inbox/holiday/.trash/", ["4.jpg"], 0),
        ("inbox/hol", ["holiday/1.jpg", "holiday/2 é.jpg", "holiday/day/3.jpg", "holy.jpg"], 4),
        ("inbox/holiday/1.jpg", ["1.jpg"], 0),
        (
            "inbox/",
            ["holiday/1.jpg", "holiday/2 é.jpg", "holiday/day/3.jpg", "holy.jpg", "other.jpg"],
            5,
        ),
    ],
)
async def test_objects_below_a_prefix_are_images_unless_they_are_hidden(
    s3: S3,
    api: BatchApi,
    freezer_of: FreezerOf,
    frozen: Frozen,
    prefix: str,
    expected: list[str],
    skipped: int,
) -> None:
    for name in [
        *("holiday/1.jpg", "holiday/2 é.jpg", "holiday/day/3.jpg", "holy.jpg", "other.jpg"),
        *("holiday/", "holiday/.DS_Store", "holiday/.trash/4.jpg", "holiday/day/.hidden/5"),
        ".keep",
    ]:
        s3.put(INBOX + name, name.encode())
    for foreign in ["inbox/holiday/older.jpg", "inbox/ddddeeeeffff/holiday/x.jpg", "images/a"]:
        s3.put(foreign)
    api.create("b", prefix=prefix)

    await freezer_of().freeze("b", "u-b")

    lines = frozen("b")
    names = [line.key.removeprefix(INBOX) for line in lines if line.key]
    assert [line.custom_id for line in lines] == expected
    assert all(line.key and line.key.endswith(line.custom_id) for line in lines)
    assert [(it.etag, it.size) for it in lines] == [
        (s3.objects[INBOX + name].etag, len(name.encode())) for name in names
    ]

    status = api.batch("b").status
    assert status.manifest
    assert status.manifest.folder == f"{BATCHES}u-b/m1/"
    assert (status.manifest.skipped or 0) == skipped
    assert (status.phase, api.batch("b").total) == ("processing", len(expected))
    assert api.condition("b", "ManifestFrozen")[:2] == ("True", "ManifestFrozen")


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("page", [1000, 300])
async def test_manifest_consists_of_objects_with_1000_lines(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, count: int, page: int
) -> None:
    s3.page = page
    for number in range(count):
        s3.put(f"{INBOX}{number:05}.jpg")
    api.create("b", prefix="inbox/")

    await freezer_of().freeze("b", "u-b")

    assert [it.custom_id for it in frozen("b")] == [f"{number:05}.jpg" for number in range(count)]


async def test_object_whose_name_is_too_long_for_a_custom_id_is_an_error_line(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    s3.put(f"{INBOX}a")
    s3.put(f"{INBOX}b{'b' * 512}")
    s3.put(f"{INBOX}object-1")
    api.create("b", prefix="inbox/")

    await freezer_of().freeze("b", "u-b")

    good, bad, other = frozen("b")
    assert (good.custom_id, other.custom_id) == ("a", "object-1")
    assert (bad.custom_id, bad.key) == ("object-1/", None)
    assert bad.error
    assert bad.error.reason == "ManifestLineInvalid"


async def test_event_tells_of_the_frozen_manifest(
    s3: S3, api: BatchApi, freezer_of: FreezerOf
) -> None:
    s3.put(f"{INBOX}a")
    s3.put(f"{INBOX}.hidden")
    api.create("b", prefix="inbox/")

    await freezer_of().freeze("b", "u-b")

    (event,) = api.events
    assert (event["type"], event["reason"]) == ("Normal", "ManifestFrozen")
    assert event["message"] == (
        f"1 images are listed in {BATCHES}u-b/m1/; 1 hidden files and folders were skipped"
    )
    assert event["involvedObject"]["kind"] == "ImageBatch"
    assert (event["involvedObject"]["uid"], event["reportingComponent"]) == (
        "u-b",
        "vision-node-archiver",
    )


def put_list(s3: S3, *lines: object, end: str = "\n") -> None:
    text = end.join(it if isinstance(it, str) else json.dumps(it) for it in lines)
    s3.put(f"{INBOX}lists/a.jsonl", text.encode())


def brief(line: ManifestLine) -> tuple[str, str]:
    """Return the customId of a line, and the name of its image or the reason of its error."""
    return line.custom_id, line.error.reason if line.error else (line.key or "")[len(INBOX) :]


@pytest.mark.parametrize("part_bytes", [101, 1 << 18])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n \n"])
async def test_each_line_of_a_list_is_an_image_or_an_error(
    s3: S3,
    api: BatchApi,
    freezer_of: FreezerOf,
    frozen: Frozen,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    part_bytes: int,
) -> None:
    monkeypatch.setattr(object_parts, "PART_BYTES", part_bytes)
    put_list(
        s3,
        '\ufeff{"key": "inbox/a"}',
        {"key": "inbox/b", "customId": "two"},
        {"key": "inbox/c", "customId": "two"},
        {"customId": "two"},
        {"key": "images/d", "customId": "four"},
        {"key": "inbox/e", "customId": "four"},
        {"key": "inbox/a"},
        {"key": "inbox/a", "customId": "again"},
        "",
        "x" * 16385,
        {"key": "inbox/z"},
        *({"key": f"inbox/{n}", "customId": f"line-{n}"} for n in range(1, 40)),
        end=end,
    )
    api.create("b", manifest="inbox/lists/a.jsonl")

    await freezer_of().freeze("b", "u-b")

    named = [brief(it) for it in frozen("b") if not it.custom_id.endswith("/")]
    assert named == [
        ("a", "a"),
        ("two", "b"),
        ("two", "DuplicateCustomId"),
        ("two", "DuplicateCustomId"),
        ("four", "ManifestLineInvalid"),
        ("four", "DuplicateCustomId"),
        ("a", "DuplicateCustomId"),
        ("again", "a"),
        ("z", "z"),
        *((f"line-{n}", f"{n}") for n in range(1, 40)),
    ]
    (too_long,) = [it for it in frozen("b") if it.custom_id.endswith("/")]
    assert too_long.error
    assert "more than 16384 bytes" in too_long.error.message


async def test_pages_of_a_list_are_small_and_let_others_run(bucket: Bucket, s3: S3) -> None:
    """Otherwise, the 131,072 lines of one part take all memory, and block the liveness probe."""
    s3.put(f"{INBOX}a", b"1\n" * 3500 + b"\n" * 2500 + b"1")
    sizes, turns = list[int](), list[int]()
    turn = 0

    async def take_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    async for page in ManifestSource(bucket, "inbox/a", 1 << 20).pages():
        sizes.append(len(page))
        turns.append(turn)
    other.cancel()

    assert [it for it in sizes if it] == [1000, 1000, 1000, 500, 1]
    assert len(sizes) >= 7
    assert len(set(turns)) == len(turns)


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"prefix": "inbox/empty/"}, "NoImages", f"{INBOX}empty/ in the bucket has no images:"),
        ({"prefix": "inbox/hidden/"}, "NoImages", "no images, besides 2 hidden files or folders:"),
        ({"prefix": "inbox/five/"}, "ManifestTooLarge", "more than 4 images"),
        ({"manifest": "inbox/none.jsonl"}, "ManifestNotFound", f"{INBOX}none.jsonl"),
        ({"manifest": "inbox/empty.jsonl"}, "NoImages", f"{INBOX}empty.jsonl"),
        ({"manifest": "inbox/blank.jsonl"}, "NoImages", f"{INBOX}blank.jsonl"),
        ({"manifest": "inbox/five.jsonl"}, "ManifestTooLarge", "limits.batchImages"),
        ({"manifest": "inbox/large.jsonl"}, "ManifestTooLarge", "65540 bytes"),
        ({"manifest": "inbox/blanks.jsonl"}, "ManifestTooLarge", "more than 100 blank lines"),
        ({"prefix": "inbox/four/", "cancel": True}, "Cancelled", "cancelled"),
        ({}, "NoImages", "none of spec.prefix, spec.manifest and spec.upload"),
    ],
)
async def test_batch_without_usable_images_fails_with_the_reason(
    s3: S3,
    api: BatchApi,
    freezer_of: FreezerOf,
    monkeypatch: pytest.MonkeyPatch,
    spec: dict[str, str],
    reason: str,
    words: str,
) -> None:
    monkeypatch.setattr(manifest_source, "MAX_BLANK_LINES", 100)
    s3.put(f"{INBOX}hidden/.a")
    s3.put(f"{INBOX}hidden/folder/")
    for name in ["five/1", "five/2", "five/3", "five/4", "five/5", "four/1"]:
        s3.put(INBOX + name)
    s3.put(f"{INBOX}empty.jsonl", b"")
    s3.put(f"{INBOX}blank.jsonl", b"\xef\xbb\xbf\n\r\n  \n")
    s3.put(f"{INBOX}five.jsonl", b"x\n" * 5)
    s3.put(f"{INBOX}large.jsonl", b"\n" * 65541)
    s3.put(f"{INBOX}blanks.jsonl", b"1\n" + b"\n" * 50 + b"2\n" + b" \n" * 51)
    api.create("b", **spec)

    await freezer_of(max_images=4).freeze("b", "u-b")

    assert (api.batch("b").status.phase, api.batch("b").status.manifest) == ("failed", None)
    assert api.condition("b", "Failed")[:2] == ("True", reason)
    assert words in api.condition("b", "Failed")[2]
    kind = "Normal" if reason == "Cancelled" else "Warning"
    assert [(it["type"], it["reason"]) for it in api.events] == [(kind, reason)]


async def test_list_may_not_be_larger_than_any_sensible_one(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of images allows 16 GB, whose blank lines would be read for minutes."""
    monkeypatch.setattr(sources, "MAX_LIST_BYTES", 1000)
    s3.put(f"{INBOX}a", b"\n" * 1001)
    api.create("b", manifest="inbox/a")
    await freezer_of().freeze("b", "u-b")
    assert api.condition("b", "Failed")[1] == "ManifestTooLarge"
    assert "1001 bytes, more than the allowed 1000 bytes" in api.condition("b", "Failed")[2]


async def test_as_many_images_as_allowed_are_frozen(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    for number in range(4):
        s3.put(f"{INBOX}{number}")
    api.create("b", prefix="inbox/", suspend=True)
    await freezer_of(max_images=4).freeze("b", "u-b")
    assert len(frozen("b")) == 4


async def test_replaced_list_is_read_again_from_its_start(
    s3: S3,
    api: BatchApi,
    freezer_of: FreezerOf,
    frozen: Frozen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise, the manifest would consist of parts of two lists."""
    monkeypatch.setattr(object_parts, "PART_BYTES", 40)
    lists = [[{"key": f"inbox/new-{n}"} for n in range(3)], [{"key": "inbox/x"}] * 20]
    put_list(s3, *[{"key": f"inbox/old-{n}"} for n in range(20)])
    reads: list[str] = []

    async def replace(key: str) -> None:
        reads.append(key)
        if len(reads) in {3, 6} and lists:  # after the first part of each list
            put_list(s3, *lists.pop())

    s3.before_get = replace
    api.create("b", manifest="inbox/lists/a.jsonl")

    await freezer_of().freeze("b", "u-b")

    assert [it.custom_id for it in frozen("b")] == ["new-0", "new-1", "new-2"]


async def test_list_that_is_replaced_again_and_again_lets_the_batch_fail(
    s3: S3, api: BatchApi, freezer_of: FreezerOf
) -> None:
    put_list(s3, {"key": "inbox/a"})
    reads = 0

    async def replace(key: str) -> None:
        nonlocal reads
        reads += 1
        if reads % 2 == 0:  # after each HEAD request
            put_list(s3, {"key": f"inbox/{reads}"})

    s3.before_get = replace
    api.create("b", manifest="inbox/lists/a.jsonl")

    await freezer_of().freeze("b", "u-b")

    assert api.condition("b", "Failed")[:2] == ("True", "ManifestChanged")
    assert reads == 6
