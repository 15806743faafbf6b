"""Create ImageBatches with `POST /batches`, and delete them with all that was uploaded."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from vision_node_contract.batch_objects import BatchFolder

from bench.batch.client import Batches, new_name
from bench.batch.upload_body import UploadBody
from bench.errors import BenchError
from bench.measure.bucket_access import BucketAccess
from bench.measure.kube_api import until

Json = dict[str, Any]

UPLOAD_SECONDS = 1800.0
"""Maximum seconds for an upload: four of 2 GB at once, at 5 MB/s together."""

EMPTY_SECONDS = 300.0
"""Maximum seconds until the objects of a deleted ImageBatch are deleted, too."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An ImageBatch whose images have been uploaded."""

    name: str
    uid: str
    started: float
    """When the request began, on the clock of time.perf_counter()."""
    seconds: float
    """Seconds from the first byte of the request until its response."""


@dataclass(frozen=True, slots=True)
class Uploads:
    """Uploads of many images, each in one request to vision-node's API."""

    batches: Batches
    http: aiohttp.ClientSession
    access: BucketAccess

    @asynccontextmanager
    async def sent(self, body: UploadBody, describer: str) -> AsyncIterator[Uploaded]:
        """Upload images, yield their ImageBatch, and delete it and its objects after the block.

        Raises:
            BenchError: The upload failed, an image was refused, or the objects are not deleted in
                time.
        """
        name = new_name()
        async with self.batches.deleted_afterward(name):
            uploaded = await self._post(name, body, describer)
            yield uploaded

        folder = BatchFolder(self.access.settings.folders, uploaded.uid).prefix
        await until(
            lambda: self._is_empty(folder), f"{folder} has been emptied in MinIO", EMPTY_SECONDS
        )

    async def _post(self, name: str, body: UploadBody, describer: str) -> Uploaded:
        headers = {"Content-Type": body.content_type, "Content-Length": str(body.size_bytes)}
        started = time.perf_counter()
        call = self.http.post(
            "/batches",
            params={"name": name, "describer": describer},
            data=body.stream(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=UPLOAD_SECONDS),
        )

        try:
            async with call as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BenchError(f"upload of ImageBatch {name}: {error!r}") from error

        seconds = time.perf_counter() - started
        if answer.status != 202:
            raise BenchError(f"upload of ImageBatch {name}: {answer.status} {text[:500]}")

        receipt: Json = json.loads(text)
        _require_all(name, receipt, body.images)
        return Uploaded(name, receipt["uid"], started, seconds)

    async def _is_empty(self, folder: str) -> bool:
        page = await self.access.bucket.list_page(folder, "", 1)
        return not page.objects


def _require_all(name: str, receipt: Json, images: int) -> None:
    """Check that all images were accepted.

    Raises:
        BenchError: They were not.
    """
    counts = (receipt["images"], receipt["skipped"], receipt["refused"]["count"])
    if counts != (images, 0, 0):
        raise BenchError(
            f"upload of ImageBatch {name}: of {images} images, {counts[0]} were accepted, "
            f"{counts[1]} skipped and {counts[2]} refused: {receipt['refused']['files'][:3]}"
        )
