"""Tests of freezing ImageBatches whose images were uploaded through the API."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from archiver_helpers import BATCHES, INBOX, Frozen, until
from fakes.batch_api import BatchApi
from fakes.s3 import S3
from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.batch_uploads import MAX_LIST_BYTES, UploadedImage, UploadFolder
from vision_node_contract.clients.bucket import Bucket
from vision_node_operator.archiver import freeze_queue
from vision_node_operator.archiver.freezer import Freezer
from vision_node_operator.archiver.manifests import object_parts

FreezerOf = Callable[..., Freezer]
Start = Callable[..., AbstractAsyncContextManager[None]]

FOLDER = f"{BATCHES}u-b/u/"
COMPLETE = {"complete": True, "attempt": "first", "lists": 1}


def packed(custom_id: str, offset: int = 0, size: int = 10, **changes: Any) -> dict[str, Any]:
    """Return the line of an image in a pack."""
    line = UploadedImage(
        custom_id=custom_id, object="p000000000", offset=offset, length=size, size=size
    )
    return line.to_json() | changes


def zipped(custom_id: str, **changes: Any) -> dict[str, Any]:
    """Return the line of an image in a zip file."""
    member = {"method": 8, "compressedSize": 70, "crc32": 1, **changes.pop("zip", {})}
    line = {"customId": custom_id, "object": "zip", "offset": 5, "length": 130, "size": 90}
    return line | {"zip": member} | changes


def put_list(s3: S3, *lines: object, number: int = 0, attempt: str = "first") -> None:
    texts = (it if isinstance(it, str) else json.dumps(it) for it in lines)
    s3.put(f"{FOLDER}{attempt}/l{number:09}", "".join(f"{it}\n" for it in texts).encode())


def put_image(s3: S3, bucket: Bucket, custom_id: str, data: bytes = b"image") -> str:
    key = UploadFolder(bucket.folders, "u-b").image_key(custom_id)
    s3.put(key, data)
    return key


def brief(line: ManifestLine) -> tuple[str, str]:
    """Return the customId of a line, and its object or the reason of its error."""
    return line.custom_id, line.error.reason if line.error else (line.key or "")[len(FOLDER) :]


async def test_images_of_the_lists_come_first_and_then_those_that_were_stored_alone(
    s3: S3, bucket: Bucket, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    put_list(s3, packed("a/1.jpg"), packed("b.jpg", offset=10, size=7))
    put_list(s3, zipped("in the zip"), number=1)
    put_list(s3, packed("another attempt"), attempt="second")
    put_list(s3, packed("not counted"), number=2)
    alone = {name: put_image(s3, bucket, name, b"x" * 3) for name in ("é/2.png", "x" * 512)}
    api.create("b", upload=COMPLETE | {"lists": 2})

    await freezer_of().freeze("b", "u-b")

    lines = {line.custom_id: line for line in frozen("b")}
    assert [*lines][:3] == ["a/1.jpg", "b.jpg", "in the zip"]
    assert {*lines} == {"a/1.jpg", "b.jpg", "in the zip", *alone}
    assert lines["b.jpg"].to_json() == {
        "index": 1,
        "customId": "b.jpg",
        "key": f"{FOLDER}first/p000000000",
        "offset": 10,
        "length": 7,
        "size": 7,
    }
    assert lines["in the zip"].to_json() == {
        "index": 2,
        "customId": "in the zip",
        "key": f"{FOLDER}first/zip",
        "offset": 5,
        "length": 130,
        "size": 90,
        "zip": {"method": 8, "compressedSize": 70, "crc32": 1},
    }
    for name, key in alone.items():
        found = lines[name]
        assert (found.key, found.etag, found.size) == (key, s3.objects[key].etag, 3)
        assert (found.offset, found.length) == (None, None)

    assert api.batch("b").status.phase == "processing"


async def test_uploaded_image_may_have_its_own_options(
    s3: S3, bucket: Bucket, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    options = {"language": "de", "maxLength": 50}
    put_list(s3, packed("a", options=options), packed("b", options={}))
    put_list(s3, packed("c", options={"detail": "vague"}), number=1)
    api.create("b", upload=COMPLETE | {"lists": 2})

    await freezer_of().freeze("b", "u-b")

    a, b, c = frozen("b")
    assert a.to_json()["options"] == options
    assert b.options is None
    assert brief(c) == ("c", "ManifestLineInvalid")


@pytest.mark.parametrize("upload", [{"complete": True}, COMPLETE | {"lists": 0}])
async def test_all_images_may_have_been_stored_alone(
    s3: S3,
    bucket: Bucket,
    api: BatchApi,
    freezer_of: FreezerOf,
    frozen: Frozen,
    upload: dict[str, Any],
) -> None:
    """POST /batches/{name}/start completes an upload that has no lists."""
    s3.page = 7
    names = [f"{number}.jpg" for number in range(20)]
    for name in names:
        put_image(s3, bucket, name)
    s3.put(f"{FOLDER}i/not base64!")
    s3.put(f"{FOLDER}i/YQ")  # without the dot at the end
    put_image(s3, bucket, "a\nb")
    api.create("b", upload=upload)

    await freezer_of().freeze("b", "u-b")

    assert sorted(it.custom_id for it in frozen("b")) == sorted(names)
    manifest = api.batch("b").status.manifest
    assert manifest
    assert manifest.skipped == 3


async def test_first_image_with_a_custom_id_counts(
    s3: S3, bucket: Bucket, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    put_list(s3, packed("a"), packed("b"), packed("a", offset=10))
    put_list(s3, packed("b"), number=1)
    put_image(s3, bucket, "a")
    put_image(s3, bucket, "c")
    api.create("b", upload=COMPLETE | {"lists": 2})

    await freezer_of().freeze("b", "u-b")

    assert [brief(it) for it in frozen("b")] == [
        ("a", "first/p000000000"),
        ("b", "first/p000000000"),
        ("a", "DuplicateCustomId"),
        ("b", "DuplicateCustomId"),
        ("a", "DuplicateCustomId"),
        ("c", "i/Yw."),
    ]


async def test_image_that_the_api_has_refused_is_an_error(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    error = {"reason": "ImageTooLarge", "message": "m" * 600}
    put_list(s3, {"customId": "a", "error": error})
    api.create("b", upload=COMPLETE)

    await freezer_of().freeze("b", "u-b")

    (line,) = frozen("b")
    assert brief(line) == ("a", "ImageTooLarge")
    assert line.error
    assert line.error.message == "m" * 512


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "",
        "[]",
        {"customId": "x"},
        packed("x", object="../../other/p000000000"),
        packed("x", object="p1"),
        packed("x", object="p000000000\n"),
        packed("x", object="l000000000"),
        packed("x", object="zip"),
        packed("x", object=None),
        packed("x", offset=-1),
        packed("x", offset=10**30),
        packed("x") | {"offset": "1"},
        packed("x", size=0),
        packed("x", length=11),
        packed("a\u0000b"),
        packed("line-7/"),
        packed("x", customId="x" * 513),
        zipped("x", object="p000000000"),
        zipped("x", length=99),
        zipped("x", size=0),
        zipped("x", zip={"method": 12}),
        zipped("x", zip={"method": 0}),
        zipped("x", zip={"compressedSize": -1}),
        zipped("x", zip={"crc32": 1 << 32}),
        zipped("x", zip={"crc32": None}),
        {"customId": "x", "error": {"reason": "no reason", "message": ""}},
        "x" * 30_000,
    ],
)
async def test_invalid_line_is_an_error_and_does_not_stop_the_batch(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen, line: object
) -> None:
    put_list(s3, packed("before"), line, packed("after"))
    api.create("b", upload=COMPLETE)

    await freezer_of().freeze("b", "u-b")

    before, bad, after = frozen("b")
    assert (before.key, after.key) == (f"{FOLDER}first/p000000000",) * 2
    assert bad.error
    assert (bad.error.reason, bad.key) == ("ManifestLineInvalid", None)
    assert bad.custom_id in {"x", "line-2/"}


@pytest.mark.parametrize(
    ("upload", "reason", "words"),
    [
        ({"complete": True}, "NoImages", "no images were uploaded"),
        (COMPLETE | {"attempt": "empty"}, "NoImages", "no images were uploaded"),
        (COMPLETE | {"lists": 2}, "UploadUnreadable", "first/l000000001, a list"),
        (COMPLETE | {"attempt": "none"}, "UploadUnreadable", "is missing in the bucket"),
        (COMPLETE | {"attempt": None}, "UploadUnreadable", "spec.upload.attempt: '' is not"),
        (COMPLETE | {"attempt": "../first"}, "UploadUnreadable", "not the name of an attempt"),
        (COMPLETE | {"attempt": "large"}, "UploadUnreadable", f"more than {MAX_LIST_BYTES} bytes"),
        (COMPLETE | {"attempt": "many"}, "ManifestTooLarge", "more than 4 images"),
        (COMPLETE | {"cancel": True}, "Cancelled", "before its images were listed"),
    ],
)
async def test_upload_without_usable_lists_fails_with_the_reason_and_is_deleted(
    s3: S3,
    api: BatchApi,
    freezer_of: FreezerOf,
    upload: dict[str, Any],
    reason: str,
    words: str,
) -> None:
    put_list(s3, packed("a"))
    s3.put(f"{FOLDER}empty/l{0:09}", b"")
    s3.put(f"{FOLDER}large/l{0:09}", b"x" * (MAX_LIST_BYTES + 1))
    put_list(s3, *(packed(f"{number}") for number in range(5)), attempt="many")
    s3.put(f"{BATCHES}u-bb/u/first/p000000000")
    cancel = {"cancel": True} if upload.pop("cancel", False) else {}
    api.create("b", upload=upload, **cancel)

    await freezer_of(max_images=4).freeze("b", "u-b")

    assert api.batch("b").status.phase == "failed"
    assert api.condition("b", "Failed")[1] == reason
    assert words in api.condition("b", "Failed")[2]
    await until(lambda: not any(key.startswith(f"{BATCHES}u-b/") for key in s3.objects))
    assert f"{BATCHES}u-bb/u/first/p000000000" in s3.objects


async def test_line_with_the_longest_prompt_and_customid_is_read(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    name = "🌨" * 512
    options = {"prompt": "🌨" * 4000, "language": "zh-Hant-TW", "detail": "high", "maxLength": 20}
    text = json.dumps(packed(name) | {"options": options}, ensure_ascii=False)
    assert len(text.encode()) > 16 << 10
    put_list(s3, text)
    api.create("b", upload=COMPLETE)

    await freezer_of().freeze("b", "u-b")

    (found,) = frozen("b")
    assert (found.error, found.custom_id) == (None, name)


@pytest.mark.parametrize("part_bytes", [101, 1 << 18])
async def test_list_is_read_in_parts(
    s3: S3,
    api: BatchApi,
    freezer_of: FreezerOf,
    frozen: Frozen,
    monkeypatch: pytest.MonkeyPatch,
    part_bytes: int,
) -> None:
    monkeypatch.setattr(object_parts, "PART_BYTES", part_bytes)
    names = [f"{number} é.jpg" for number in range(1500)]
    put_list(s3, *map(packed, names[:200]))
    put_list(s3, *map(packed, names[200:]), number=1)
    api.create("b", upload=COMPLETE | {"lists": 2})

    await freezer_of().freeze("b", "u-b")

    assert [it.custom_id for it in frozen("b")] == names


async def test_uploads_survive_attempts_at_freezing_that_fail(
    s3: S3, bucket: Bucket, api: BatchApi, freezer_of: FreezerOf, frozen: Frozen
) -> None:
    put_list(s3, *(packed(f"{number}") for number in range(2500)))
    put_image(s3, bucket, "alone")
    s3.put(f"{FOLDER}m/p000000000")
    uploaded = {key: it for key, it in s3.objects.items() if key.startswith(FOLDER)}
    api.create("b", upload=COMPLETE)

    async def stop(key: str) -> None:
        if key.endswith("m1/000001000"):
            attempt.cancel()

    s3.before_put = stop
    freezer = freezer_of()
    attempt = asyncio.create_task(freezer.freeze("b", "u-b"))
    await asyncio.wait({attempt})
    assert attempt.cancelled()
    await until(lambda: not any("/m1/" in key for key in s3.objects))
    await freezer.freeze("b", "u-b")

    manifest = api.batch("b").status.manifest
    assert manifest
    assert manifest.folder == f"{BATCHES}u-b/m2/"
    assert len(frozen("b")) == 2501
    assert {key: s3.objects.get(key) for key in uploaded} == uploaded


@pytest.mark.parametrize("phase", ["queued", "failed"])
async def test_freezer_leaves_an_incomplete_upload_alone(
    s3: S3, api: BatchApi, freezer_of: FreezerOf, phase: str
) -> None:
    """The queue may have seen a later state, before etcd was restored from a backup."""
    api.create("b", upload={"complete": False})
    api.change("b", status={"phase": phase})
    await freezer_of().freeze("b", "u-b")
    assert (api.patches, s3.requests) == ([], [])


async def test_batch_is_frozen_as_soon_as_its_upload_is_complete(
    s3: S3,
    api: BatchApi,
    archiver: Start,
    frozen: Frozen,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(freeze_queue, "BEAT_SECONDS", 3600.0)
    put_list(s3, packed("a"))
    s3.put(f"{INBOX}a")
    api.create("b", upload={"complete": False})
    async with archiver():
        api.create("other", prefix="inbox/")
        await until(lambda: api.batch("other").status.phase == "processing")
        assert api.batch("b").status.phase == "queued"
        assert api.batch("b").status.conditions == []

        api.change("b", upload=COMPLETE)
        await until(lambda: api.batch("b").status.phase == "processing")

    assert [it.custom_id for it in frozen("b")] == ["a"]
    assert f"{FOLDER}first/l000000000" in s3.objects


async def test_incomplete_upload_neither_waits_nor_is_reported_while_the_bucket_is_away(
    s3: S3, api: BatchApi, archiver: Start
) -> None:
    api.create("b", upload={"complete": False})
    s3.fails = (503, "SlowDown")
    api.create("other", prefix="inbox/")
    async with archiver():
        await until(lambda: api.condition("other", "Waiting")[0] == "True")
        await until(lambda: len(s3.requests) > 20)

    assert api.batch("b").status.conditions == []


async def test_cancelled_upload_fails_at_once_and_its_objects_are_deleted(
    s3: S3, bucket: Bucket, api: BatchApi, archiver: Start
) -> None:
    put_list(s3, packed("a"))
    put_image(s3, bucket, "alone")
    api.create("b", upload={"complete": False})
    async with archiver():
        api.change("b", cancel=True)
        await until(lambda: api.batch("b").status.phase == "failed")
        await until(lambda: not any(key.startswith(FOLDER) for key in s3.objects))

    assert api.condition("b", "Failed")[:2] == ("True", "Cancelled")


async def test_incomplete_uploads_take_no_place_in_the_queue(
    s3: S3, api: BatchApi, archiver: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freeze_queue, "MAX_WAITING", 3)
    s3.put(f"{INBOX}a")
    for number in range(5):
        api.create(f"upload-{number}", upload={"complete": False})
    names = [f"b{number}" for number in range(5)]
    for name in names:
        api.create(name, prefix="inbox/")
    async with archiver():
        await until(lambda: all(api.batch(it).status.phase == "processing" for it in names))

    assert {api.batch(f"upload-{it}").status.phase for it in range(5)} == {"queued"}


async def test_objects_of_a_deleted_upload_are_deleted(
    s3: S3, bucket: Bucket, api: BatchApi, archiver: Start
) -> None:
    put_list(s3, packed("a"))
    s3.put(f"{FOLDER}first/p000000000")
    put_image(s3, bucket, "alone")
    s3.put(f"{INBOX}a")
    api.create("b", upload={"complete": False})
    api.create("other", prefix="inbox/")
    async with archiver():
        await until(lambda: api.batch("other").status.phase == "processing")
        api.delete("b")
        await until(lambda: not any(key.startswith(FOLDER) for key in s3.objects))
