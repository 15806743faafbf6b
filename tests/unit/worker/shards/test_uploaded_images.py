"""Tests of describing images that are parts of objects: of packs, and of zip files."""

import asyncio
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from fakes.s3 import S3
from shard_world import FOLDERS, Blocking, World, away, settings
from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.batch_uploads import UploadFolder
from vision_node_contract.clients.bucket import (
    Bucket,
    ObjectChangedError,
    ObjectNotFoundError,
    StoreUnavailableError,
)
from vision_node_contract.models.description import Options
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_contract.zip_member import MAX_OVERHEAD_BYTES
from vision_node_describer.image_fetcher import ImageFetcher
from vision_node_describer.image_task import ImagePart, ImageTask
from vision_node_describer.memory import Budget, Budgets
from vision_node_describer.shards import shard_run

MIB = 1 << 20
UPLOADS = UploadFolder(FOLDERS, "0b0b0b0b-0000-4000-8000-000000000002")
PACK = f"{UPLOADS.attempt('first')}p000000000"
ZIP = f"{UPLOADS.attempt('first')}zip"


@pytest.fixture(autouse=True)
def no_retry_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_run, "RETRY_SECONDS", (0.0, 0.0))


def zip_of(*images: bytes, method: int = zipfile.ZIP_DEFLATED) -> tuple[bytes, list[Any]]:
    """Return a zip file, and the parts that its images are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for number, image in enumerate(images):
            archive.writestr(f"{number}.jpg", image)
        members = archive.infolist()
        ends = [*(it.header_offset for it in members[1:]), archive.start_dir]

    parts = [
        {
            "key": ZIP,
            "etag": None,
            "offset": it.header_offset,
            "length": end - it.header_offset,
            "size": it.file_size,
            "zip": {"method": method, "compressedSize": it.compress_size, "crc32": it.CRC},
        }
        for it, end in zip(members, ends, strict=True)
    ]
    return file.getvalue(), parts


async def test_images_in_packs_and_zip_files_are_described_like_others() -> None:
    world = World(count=6)
    world.bucket.objects[PACK] = b"zeroone"
    for index, offset, length in [(0, 0, 4), (1, 4, 3)]:
        part = {"key": PACK, "etag": None, "offset": offset, "length": length, "size": length}
        world.lines[index] |= part
    world.bucket.objects[ZIP], parts = zip_of(b"two" * 50, b"three" * 50)
    world.lines[2] |= parts[0]
    world.lines[3] |= parts[1]
    alone = UPLOADS.image_key("four")
    world.bucket.objects[alone] = b"four"
    world.lines[4] |= {"key": alone, "etag": None, "size": 4}

    outcome = await world.run()

    assert (outcome["done"], outcome["failed"]) == (6, 0)
    assert world.results == {
        0: "zero",
        1: "one",
        2: "two" * 50,
        3: "three" * 50,
        4: "four",
        5: "5",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"offset": 5}, Reason.IMAGE_UNREADABLE),  # it ends too early
        ({"offset": 5, "length": None}, Reason.MANIFEST_LINE_INVALID),
        ({"length": 0}, Reason.MANIFEST_LINE_INVALID),
        ({"offset": -1}, Reason.MANIFEST_LINE_INVALID),
        ({"size": None}, Reason.MANIFEST_LINE_INVALID),
        ({"length": 1001, "size": 1001}, Reason.IMAGE_TOO_LARGE),
        ({"key": f"{PACK}-missing"}, Reason.IMAGE_NOT_FOUND),
        ({"etag": '"other"'}, Reason.IMAGE_CHANGED),
    ],
)
async def test_image_that_is_not_where_it_should_be_fails_alone(
    change: dict[str, Any], reason: Reason
) -> None:
    world = World(count=3)
    world.bucket.objects[PACK] = b"image"
    world.lines[1] |= {"key": PACK, "etag": None, "offset": 0, "length": 5, "size": 5} | change
    if reason == Reason.MANIFEST_LINE_INVALID:  # such a line has no readable customId
        world.lines[1]["customId"] = "c1"

    outcome = await world.run()

    assert (outcome["done"], outcome["failed"]) == (2, 1)
    assert outcome["failures"][0]["reason"] == reason
    assert world.describer.described.count("0") == world.describer.described.count("2") == 1


async def test_damaged_member_of_a_zip_file_fails_without_another_attempt() -> None:
    world = World(count=3)
    data, parts = zip_of(b"zero", b"one", b"two", method=zipfile.ZIP_STORED)
    world.bucket.objects[ZIP] = data.replace(b"one", b"eno")
    world.lines = [line | part for line, part in zip(world.lines, parts, strict=True)]

    outcome = await world.run()

    assert world.results == {0: "zero", 1: "ImageUnreadable", 2: "two"}
    (failure,) = outcome["failures"]
    assert failure["message"] == (
        f"the zip member at byte {parts[1]['offset']} of {ZIP} is damaged: its CRC-32 differs; "
        "make the zip file again"
    )
    assert world.bucket.gets.count(ZIP) == 3


async def test_part_that_can_not_be_fetched_for_the_moment_is_left_to_another_shard() -> None:
    world = World(count=2)
    world.bucket.objects[PACK] = b"image"
    world.lines[1] |= {"key": PACK, "etag": None, "offset": 0, "length": 5, "size": 5}
    world.bucket.errors[PACK] = [away()]
    outcome = await world.run()
    assert (outcome["done"], outcome["failed"], outcome["rest"]) == (1, 0, "1")
    assert outcome["stopped"]["reason"] == Reason.STORAGE_UNAVAILABLE


# The range itself, with a bucket behind a socket.


def task_of(part: ImagePart | None, key: str = PACK, etag: str | None = None) -> ImageTask:
    return ImageTask(
        name="image",
        uid="u",
        number=1,
        key=key,
        etag=etag,
        size_bytes=None,
        options=Options(),
        attempt=1,
        max_attempts=1,
        timeout_seconds=10.0,
        part=part,
    )


async def fetched(bucket: Bucket, task: ImageTask, max_bytes: int = 1000) -> bytes:
    fetcher = ImageFetcher(bucket, Budgets.of(1 << 30, max_bytes), max_bytes)
    async with fetcher.fetch(task) as image:
        return image


async def test_only_the_part_is_fetched(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    s3.put(PACK, bytes(range(100)))
    assert await fetched(bucket, task_of(ImagePart(10, 20, 20))) == bytes(range(10, 30))

    etag = s3.objects[PACK].etag
    assert await fetched(bucket, task_of(ImagePart(0, 100, 100), etag=etag)) == bytes(range(100))


@pytest.mark.parametrize(
    ("part", "change", "error"),
    [
        (ImagePart(90, 20, 20), {}, DescribeError),
        (ImagePart(100, 20, 20), {}, DescribeError),  # answered with 416
        (ImagePart(10**15, 20, 20), {}, DescribeError),
        (ImagePart(10, 20, 20), {"keeps_ranges": False}, StoreUnavailableError),
        (ImagePart(10, 20, 20), {"fails": (503, "SlowDown")}, StoreUnavailableError),
        (ImagePart(10, 20, 20), {"objects": {}}, ObjectNotFoundError),
    ],
)
async def test_part_that_is_not_the_requested_one_is_refused(
    behind: tuple[S3, Bucket], part: ImagePart, change: dict[str, Any], error: type[Exception]
) -> None:
    s3, bucket = behind
    s3.put(PACK, bytes(range(100)))
    vars(s3).update(change)
    with pytest.raises(error) as raised:
        await fetched(bucket, task_of(part))
    if isinstance(raised.value, DescribeError):
        assert raised.value.reason == Reason.IMAGE_UNREADABLE
        assert "ends before the image" in raised.value.message


async def test_part_of_another_version_is_refused_if_the_etag_is_known(
    behind: tuple[S3, Bucket],
) -> None:
    s3, bucket = behind
    s3.put(PACK, bytes(100))
    with pytest.raises(ObjectChangedError):
        await fetched(bucket, task_of(ImagePart(0, 20, 20), etag='"another"'))


# Memory.


class CountingBucket:
    """Returns parts of zeros, and notes how many bytes of memory were reserved meanwhile."""

    def __init__(self, data: Callable[[int], bytes]) -> None:
        self.folders = FOLDERS
        self.budgets = Budgets(Budget(96 * MIB, 0), Budget(MIB, 0))
        self.used: list[int] = []
        self._data = data

    async def get_part(self, key: str, first: int, size: int, etag: str) -> bytes:
        assert etag == ""
        self.used.append(self.budgets.files._used)
        return self._data(size)


async def test_memory_is_reserved_for_the_larger_of_part_and_image() -> None:
    bucket = CountingBucket(bytes)
    fetcher = ImageFetcher(bucket, bucket.budgets, 20 * MIB)  # type: ignore[arg-type]
    async with fetcher.fetch(task_of(ImagePart(0, 3 * MIB, 3 * MIB))):
        assert bucket.budgets.files._used == 3 * MIB

    assert bucket.used == [6 * MIB]
    assert bucket.budgets.files._used == 0

    data, (member,) = zip_of(bytes(4 * MIB))
    bucket = CountingBucket(lambda size: data[:size])
    fetcher = ImageFetcher(bucket, bucket.budgets, 20 * MIB)  # type: ignore[arg-type]
    part = ImagePart.of(ManifestLine(index=0, custom_id="a", **{**member, "key": ZIP}))
    async with fetcher.fetch(task_of(part, ZIP)) as image:
        assert image == bytes(4 * MIB)
        assert bucket.budgets.files._used == 4 * MIB
    assert bucket.used == [8 * MIB]


async def test_largest_image_fits_even_if_its_member_is_a_little_larger() -> None:
    size = 48 * MIB
    bucket = CountingBucket(lambda length: b"")
    fetcher = ImageFetcher(bucket, bucket.budgets, size)  # type: ignore[arg-type]
    part = ImagePart.of(
        ManifestLine.model_validate(
            {
                "index": 0,
                "customId": "a",
                "offset": 0,
                "length": size + MAX_OVERHEAD_BYTES,
                "size": size,
                "zip": {"method": 8, "compressedSize": size, "crc32": 0},
            }
        )
    )
    with pytest.raises(DescribeError) as raised:
        async with fetcher.fetch(task_of(part, ZIP)):
            pass
    assert raised.value.reason == Reason.IMAGE_UNREADABLE  # it was fetched
    assert bucket.used == [96 * MIB]


@pytest.mark.parametrize("length", [MIB + MAX_OVERHEAD_BYTES + 1, 10**15])
@pytest.mark.parametrize("size", [1, MIB + 1])
async def test_part_that_is_too_large_is_not_even_requested(length: int, size: int) -> None:
    bucket = CountingBucket(bytes)
    fetcher = ImageFetcher(bucket, bucket.budgets, MIB)  # type: ignore[arg-type]
    _, (member,) = zip_of(b"image")
    line = {"index": 0, "customId": "a", **member, "length": length, "size": size}
    part = ImagePart.of(ManifestLine.model_validate(line))
    with pytest.raises(DescribeError) as raised:
        async with fetcher.fetch(task_of(part, ZIP)):
            pass
    assert raised.value.reason == Reason.IMAGE_TOO_LARGE
    assert bucket.used == []


async def test_images_of_a_pack_share_the_memory_for_files() -> None:
    world = World(Blocking(), count=12, settings=settings(concurrency=2))
    world.bucket.objects[PACK] = b"x" * 12_000
    for index, line in enumerate(world.lines):
        line |= {"key": PACK, "etag": None, "offset": index * 1000, "length": 1000, "size": 1000}
    world.images.budgets.files.total = 4000
    world.images._fetcher._background.total = 2000

    await asyncio.wait_for(world.run(), 30)

    assert world.images.budgets.files._used == 0
    assert len(world.describer.described) == 12
