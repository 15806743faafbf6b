"""Measure the memory of one API process during several uploads of many images.

Run this module with `python -m bench.api.bulk_memory`. The API runs in a process of its own. The
uploads arrive as fast as it takes them, and a fake bucket accepts packs slowly.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from fakes.batch_api import BatchApi
from fakes.kube_api import KubeApi
from fakes.kube_server import serving
from fakes.s3 import S3, serving_s3

from bench.api.memory import api_process, memory_mib, png

UPLOADS = 4
MEGABYTES = 2000
"""Size of each upload in MB."""

IMAGE_BYTES = 3_000_000
PIECE_BYTES = 1 << 18

STORE_SECONDS = 0.05
"""Seconds that the bucket takes for each pack."""

BOUNDARY = "b0undary"


@dataclass(frozen=True, slots=True)
class BulkRow:
    """Resident memory of the API's process in MiB."""

    idle: float
    peak: float
    images: list[int]
    """Number of images that were accepted in each upload."""


class _Api:
    """An API server with ImageBatches, and without ImageJobs."""

    def __init__(self) -> None:
        self._batches = BatchApi()
        self._jobs = KubeApi(0, str)

    def add_routes(self, app: web.Application) -> None:
        self._batches.add_routes(app)
        self._jobs.add_routes(app)

    def end_watches(self) -> None:
        self._batches.end_watches()
        self._jobs.end_watches()


async def measure(
    uploads: int = UPLOADS, megabytes: int = MEGABYTES, image_bytes: int = IMAGE_BYTES
) -> BulkRow:
    """Start the API, send it forms with many images at the same time, and return its memory."""
    async with (
        serving_s3() as (s3, bucket),
        serving(_Api()) as kube_url,
        api_process(bucket, kube_url) as (pid, url),
    ):
        s3.before_put = _discarding(s3)
        idle = memory_mib(pid, "VmRSS")
        image = png(image_bytes)
        count = megabytes * 1_000_000 // image_bytes
        images = await asyncio.gather(*(_upload(url, image, count) for _ in range(uploads)))
        return BulkRow(idle, memory_mib(pid, "VmHWM"), images)


async def _upload(url: str, image: bytes, count: int) -> int:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(f"{url}/batches", data=_form(image, count), headers=headers) as response,
    ):
        response.raise_for_status()
        return int((await response.json())["images"])


async def _form(image: bytes, count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        disposition = f'form-data; name="files"; filename="{number}.png"'
        yield f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        for start in range(0, len(image), PIECE_BYTES):
            yield image[start : start + PIECE_BYTES]
        yield b"\r\n"
    yield f"--{BOUNDARY}--\r\n".encode()


def _discarding(s3: S3) -> Callable[[str], Awaitable[None]]:
    async def before_put(_key: str) -> None:
        s3.objects.clear()
        await asyncio.sleep(STORE_SECONDS)

    return before_put


if __name__ == "__main__":
    print(asyncio.run(measure()))
