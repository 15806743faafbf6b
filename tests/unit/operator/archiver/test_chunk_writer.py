"""Tests of writing a manifest, and of reading parts of a list that do not fit."""

import pytest
from archiver_helpers import BATCHES, INBOX
from fakes.s3 import S3
from vision_node_contract.batch_objects import ManifestLine
from vision_node_contract.clients.bucket import Bucket
from vision_node_operator.archiver.manifests.chunk_writer import MAX_WRITES, ChunkWriter
from vision_node_operator.archiver.manifests.freeze_errors import (
    AttemptLostError,
    SourceChangedError,
)
from vision_node_operator.archiver.manifests.manifest_source import ManifestSource

FOLDER = f"{BATCHES}u/m1/"
FIRST = f"{FOLDER}000000000"


async def write(bucket: Bucket, lines: int) -> None:
    async with ChunkWriter(bucket, FOLDER) as writer:
        for index in range(lines):
            await writer.add(ManifestLine(index=index, custom_id=str(index), key=str(index)))
        await writer.finish(skipped=0)


async def test_first_object_is_stored_before_the_others(s3: S3, bucket: Bucket) -> None:
    """Otherwise, each of two archivers could store some of the objects of one folder."""
    stored_before: list[bool] = []

    async def slow_first(key: str) -> None:
        if key == FIRST:
            for number in range(100):
                await bucket.stat(s3_key(s3, number))
        else:
            stored_before.append(FIRST in s3.objects)

    s3.before_put = slow_first
    await write(bucket, 5500)
    assert stored_before == [True] * 5


def s3_key(s3: S3, number: int) -> str:
    """Return the key of an object that exists, to make a request that takes some time."""
    s3.put(f"{INBOX}{number}")
    return f"{INBOX}{number}"


async def test_several_objects_are_written_at_a_time(s3: S3, bucket: Bucket) -> None:
    running = most = 0

    async def count(key: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await bucket.stat(s3_key(s3, 0))
        running -= 1

    s3.before_put = count
    await write(bucket, 20_500)
    assert 1 < most <= MAX_WRITES


@pytest.mark.parametrize("taken", [0, 2000, 4000])
async def test_existing_object_is_not_overwritten(s3: S3, bucket: Bucket, taken: int) -> None:
    key = f"{FOLDER}{taken:09}"
    s3.put(key, b"another's")
    with pytest.raises(AttemptLostError):
        await write(bucket, 5500)
    assert s3.objects[key].data == b"another's"


async def test_shorter_part_means_that_the_list_was_replaced(
    s3: S3, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service without ETags does not say so."""

    async def get_part(key: str, first: int, size: int, etag: str) -> bytes:
        return b"x" * (size - 1)

    s3.put(f"{INBOX}list", b"x\n" * 10)
    monkeypatch.setattr(bucket, "get_part", get_part)
    with pytest.raises(SourceChangedError, match="shorter"):
        async for _ in ManifestSource(bucket, "inbox/list", max_bytes=100).pages():
            pass
