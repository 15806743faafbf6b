"""Tests of storing streams of unknown length, against a fake S3 server."""

import asyncio
import logging
import tracemalloc
from collections.abc import Callable

import pytest
from fakes.s3 import S3
from vision_node_contract.clients import bucket_uploads
from vision_node_contract.clients.bucket import (
    Bucket,
    ObjectTooLargeError,
    StoreUnavailableError,
)
from vision_node_contract.clients.bucket_uploads import MAX_STORING, PART_BYTES
from vision_node_contract.models.reasons import Reason

KEY = "batches/id/uid/u/a/zip"
SMALL_PART = 1000


@pytest.fixture
def small_parts(behind: tuple[S3, Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make parts small, so that tests are fast."""
    monkeypatch.setattr(bucket_uploads, "PART_BYTES", SMALL_PART)
    behind[0].multipart.min_part_bytes = SMALL_PART


async def store(bucket: Bucket, data: bytes, piece: int = 300) -> int:
    """Store the data in pieces, as it might arrive."""
    async with bucket.upload(KEY, "application/zip") as upload:
        for start in range(0, len(data), piece):
            await upload.write(data[start : start + piece])
        return await upload.finish()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (the server's state has no event)
            await asyncio.sleep(0.01)


def some_bytes(size: int) -> bytes:
    """Return bytes that don't repeat with the size of a part."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("piece", [1, 300, 1000, 5000])
@pytest.mark.parametrize("size", [1000, 1001, 1999, 2000, 3456])
async def test_stream_is_stored_in_parts(behind: tuple[S3, Bucket], size: int, piece: int) -> None:
    s3, bucket = behind
    data = some_bytes(size)

    assert await store(bucket, data, piece) == size

    assert s3.objects[KEY].data == data
    assert s3.objects[KEY].media_type == "application/zip"
    assert (s3.multipart.created, s3.multipart.uploads) == (1, {})


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("size", [0, 1, 999])
async def test_short_stream_is_stored_by_one_request(behind: tuple[S3, Bucket], size: int) -> None:
    s3, bucket = behind
    assert await store(bucket, some_bytes(size)) == size
    assert s3.objects[KEY].data == some_bytes(size)
    assert s3.requests == [f"PUT /bucket/{KEY}"]


async def test_parts_have_the_size_that_amazon_demands(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    data = some_bytes(2 * PART_BYTES + 1)
    assert await store(bucket, data, 1 << 20) == len(data)
    assert s3.objects[KEY].data == data


@pytest.mark.usefixtures("small_parts")
async def test_few_parts_are_stored_at_the_same_time(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    proceed = asyncio.Event()

    async def wait(_: int) -> None:
        await proceed.wait()

    s3.multipart.before_part = wait
    storing = asyncio.create_task(store(bucket, some_bytes(20 * SMALL_PART)))
    await until(lambda: s3.multipart.storing == MAX_STORING)
    await asyncio.sleep(0.1)
    assert not storing.done()

    proceed.set()
    await storing
    assert s3.multipart.most_storing == MAX_STORING
    assert s3.objects[KEY].data == some_bytes(20 * SMALL_PART)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("part", [1, 2, 7, 8])
async def test_upload_whose_part_is_not_stored_is_aborted(
    behind: tuple[S3, Bucket], part: int
) -> None:
    s3, bucket = behind
    s3.put(KEY, b"before")
    s3.multipart.fails_part = part

    with pytest.raises(StoreUnavailableError) as error:
        await store(bucket, some_bytes(7500))

    assert error.value.code == "InternalError"
    assert s3.multipart.uploads == {}
    assert s3.objects[KEY].data == b"before"


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("code", ["InternalError", "AccessDenied"])
async def test_error_that_follows_the_status_of_success_is_an_error(
    behind: tuple[S3, Bucket], code: str
) -> None:
    s3, bucket = behind
    s3.multipart.completion_error = code
    with pytest.raises(StoreUnavailableError) as error:
        await store(bucket, some_bytes(3000))

    assert error.value.code == code
    assert (error.value.reason is Reason.STORAGE_DENIED) == (code == "AccessDenied")
    assert KEY not in s3.objects
    assert s3.multipart.uploads == {}
    assert sum(bucket.failures.values()) == 1


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("request_kind", ["create", "complete"])
async def test_request_whose_answer_is_lost_is_repeated(
    behind: tuple[S3, Bucket], request_kind: str
) -> None:
    s3, bucket = behind
    s3.multipart.loses = {request_kind}
    assert await store(bucket, some_bytes(3000)) == 3000
    assert s3.objects[KEY].data == some_bytes(3000)
    assert s3.multipart.loses == set()


@pytest.mark.usefixtures("small_parts")
async def test_older_object_is_not_taken_for_the_completed_one(
    behind: tuple[S3, Bucket],
) -> None:
    s3, bucket = behind
    s3.put(KEY, bytes(3000))
    async with bucket.upload(KEY, "application/zip") as upload:
        await upload.write(some_bytes(3000))
        await upload._storing.wait_until(0)
        s3.multipart.uploads.clear()  # the service has forgotten it
        with pytest.raises(StoreUnavailableError) as error:
            await upload.finish()

    assert error.value.code == "NoSuchUpload"
    assert s3.objects[KEY].data == bytes(3000)


@pytest.mark.usefixtures("small_parts")
async def test_upload_that_is_not_finished_is_aborted(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind
    async with bucket.upload(KEY, "application/zip") as upload:
        await upload.write(some_bytes(2500))
        assert len(s3.multipart.uploads) == 1

    assert s3.multipart.uploads == {}
    assert KEY not in s3.objects


@pytest.mark.usefixtures("small_parts")
async def test_cancelled_upload_is_aborted(behind: tuple[S3, Bucket]) -> None:
    s3, bucket = behind

    async def wait(_: int) -> None:
        await asyncio.Event().wait()

    s3.multipart.before_part = wait
    storing = asyncio.create_task(store(bucket, some_bytes(5000)))
    await until(lambda: s3.multipart.storing == MAX_STORING)

    storing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await storing

    assert s3.multipart.uploads == {}


@pytest.mark.usefixtures("small_parts")
async def test_upload_that_is_cancelled_twice_is_aborted(
    behind: tuple[S3, Bucket],
) -> None:
    """A second cancellation, as of a server that stops, comes while the upload is aborted."""
    s3, bucket = behind
    called, proceed, stored = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        called.set()
        await proceed.wait()

    async def hold() -> None:
        async with bucket.upload(KEY, "application/zip") as upload:
            await upload.write(some_bytes(1500))
            stored.set()
            await asyncio.Event().wait()

    s3.multipart.before_abort = wait
    storing = asyncio.create_task(hold())
    await stored.wait()
    storing.cancel()
    await called.wait()
    storing.cancel()
    await asyncio.wait([storing])
    proceed.set()

    await until(lambda: not s3.multipart.uploads)


@pytest.mark.usefixtures("small_parts")
async def test_parts_that_remain_are_logged(
    behind: tuple[S3, Bucket], caplog: pytest.LogCaptureFixture
) -> None:
    s3, bucket = behind
    with caplog.at_level(logging.WARNING):
        async with bucket.upload(KEY, "application/zip") as upload:
            await upload.write(some_bytes(2500))
            s3.fails = (503, "SlowDown")

    assert f"abandoned upload to {KEY} remain" in caplog.text


@pytest.mark.usefixtures("small_parts")
async def test_stream_with_too_many_parts_is_refused(
    behind: tuple[S3, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, bucket = behind
    monkeypatch.setattr(bucket_uploads, "MAX_PARTS", 3)
    assert await store(bucket, some_bytes(3000)) == 3000
    with pytest.raises(ObjectTooLargeError):
        await store(bucket, some_bytes(3001))
    assert s3.multipart.uploads == {}


async def test_upload_takes_memory_for_two_parts(behind: tuple[S3, Bucket]) -> None:
    """The fake server keeps all parts in memory, so only what the client has is measured."""
    s3, bucket = behind
    piece = some_bytes(1 << 16)
    peak = 0

    async def measure(_: int) -> None:
        nonlocal peak
        taken = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(inclusive=True, filename_pattern=bucket_uploads.__file__)]
        )
        peak = max(peak, sum(it.size for it in taken.traces))

    s3.multipart.before_part = measure
    tracemalloc.start()
    try:
        async with bucket.upload(KEY, "application/zip") as upload:
            for _ in range(6 * PART_BYTES // len(piece)):
                await upload.write(piece)
            await upload.finish()
    finally:
        tracemalloc.stop()

    assert PART_BYTES <= peak < 2.3 * PART_BYTES
