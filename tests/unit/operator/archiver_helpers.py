"""Helpers for the archiver's tests."""

import asyncio
import hashlib
from collections.abc import Callable

from fakes.s3 import S3
from vision_node_contract.batch_objects import CHUNK_LINES, ManifestLine, chunk_key
from vision_node_contract.models.imagebatch import ImageBatch

INBOX = "inbox/aaaabbbbcccc/"
BATCHES = "batches/aaaabbbbcccc/"

Frozen = Callable[[str], list[ManifestLine]]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until other tasks have made the condition true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (other tasks make it true)
            await asyncio.sleep(0.001)


def frozen_lines(s3: S3, batch: ImageBatch) -> list[ManifestLine]:
    """Return the lines of a manifest, after checking what the status says of them."""
    manifest = batch.status.manifest
    assert manifest, f"{batch.metadata.name} has no manifest"
    keys = [chunk_key(manifest.folder, first) for first in range(0, manifest.images, CHUNK_LINES)]
    assert sorted(key for key in s3.objects if key.startswith(manifest.folder)) == keys

    chunks = [s3.objects[key].data for key in keys]
    assert hashlib.sha256(b"".join(chunks)).hexdigest() == manifest.sha256
    assert all(chunk.count(b"\n") == CHUNK_LINES for chunk in chunks[:-1])

    lines = [ManifestLine.model_validate_json(it) for chunk in chunks for it in chunk.splitlines()]
    assert [it.index for it in lines] == list(range(manifest.images))
    return lines
