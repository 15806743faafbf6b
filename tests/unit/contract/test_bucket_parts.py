"""Tests of reading parts of objects and of listing folders, against a fake S3 server."""

import pytest
from fakes.s3 import S3
from vision_node_contract.clients.bucket import (
    Bucket,
    ObjectChangedError,
    ObjectNotFoundError,
    StoreUnavailableError,
)

DATA = bytes(range(100))


@pytest.mark.parametrize(
    ("first", "size", "expected"),
    [
        (0, 10, DATA[:10]),
        (10, 10, DATA[10:20]),
        (95, 10, DATA[95:]),
        (0, 100, DATA),
        (0, 1000, DATA),
    ],
)
async def test_part_of_an_object_is_read(
    behind: tuple[S3, Bucket], first: int, size: int, expected: bytes
) -> None:
    s3, bucket = behind
    s3.put("inbox/a", DATA)
    assert await bucket.get_part("inbox/a", first, size, s3.objects["inbox/a"].etag) == expected


async def test_part_of_another_version_is_not_read(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    s3.put("inbox/a", DATA)
    before = s3.objects["inbox/a"].etag
    s3.put("inbox/a", DATA + b"more")
    with pytest.raises(ObjectChangedError):
        await bucket.get_part("inbox/a", 0, 10, before)


async def test_part_of_a_missing_object_is_an_error(behind: tuple[S3, Bucket]) -> None:
    with pytest.raises(ObjectNotFoundError):
        await behind[1].get_part("inbox/a", 0, 10, '"e"')


async def test_answer_that_is_not_the_requested_part_is_an_error(
    behind: tuple[S3, Bucket],
) -> None:
    s3, bucket = behind
    s3.put("inbox/a", DATA)
    s3.keeps_ranges = False
    with pytest.raises(StoreUnavailableError, match="Range"):
        await bucket.get_part("inbox/a", 10, 10, s3.objects["inbox/a"].etag)


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
async def test_folders_are_listed_once_each(behind: tuple[S3, Bucket], page: int) -> None:
    s3, bucket = behind
    s3.page = page
    keys = ["b/u1/m1/0", "b/u1/m1/1", "b/u10/x", "b/u2/a b/c", "b/é/x", "b/object", "c/u3/x"]
    for key in keys:
        s3.put(key)

    found = [name async for names in bucket.list_folders("b/") for name in names]

    assert sorted(found) == ["u1", "u10", "u2", "é"]
    assert "b/u1/" not in s3.listed_prefixes


async def test_list_of_folders_that_repeats_is_an_error(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    s3.put("b/u1/x")
    s3.repeats_page = True
    with pytest.raises(StoreUnavailableError, match="same folders"):
        async for _ in bucket.list_folders("b/"):
            pass
