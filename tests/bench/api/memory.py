"""Measure the memory of one API process with full caches and many large uploads.

Run this module with `python -m bench.api.memory`. The API runs as in its container, in a process of
its own. It lists ImageJobs from a fake API server until its caches are full. Then clients send
twelve images of 20 MiB, the maximum, to POST /submit at the same time. A fake bucket accepts them
slowly, so that as many as possible are in memory together.
"""

import asyncio
import io
import os
import random
import socket
import struct
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import aiohttp
from fakes.kube_api import serving_kube
from fakes.s3 import S3, serving_s3
from vision_node_contract.clients.bucket_settings import BucketSettings
from vision_node_contract.images.header import PNG_SIGNATURE

from bench.api.imagejobs import DONE, PROCESSING, UNFINISHED, numbered, template
from bench.report.tables import table

TESTS = Path(__file__).resolve().parents[2]

MEBIBYTE = 1 << 20
IMAGE_BYTES = 20 * MEBIBYTE
UPLOADS = 12

STORE_SECONDS = 1.0
"""Seconds that the bucket takes for each image."""

START_SECONDS = 60.0
"""Time limit for the start of the API, which lists all ImageJobs."""

MMAP_THRESHOLD = "1048576"
"""MALLOC_MMAP_THRESHOLD_ in charts/vision-node/templates/api.yaml."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Numbers of ImageJobs in the cluster."""

    unfinished: int
    finished: int


FULL = 20_000
"""Maximum number of unfinished ImageJobs, with the default values."""

SCENES = (Scene(0, 0), Scene(FULL, 20_000), Scene(FULL, 30_000), Scene(0, 300_000))


@dataclass(frozen=True, slots=True)
class Row:
    """Resident memory of the API's process in MiB."""

    listed: float
    """Memory when all ImageJobs have been listed."""
    list_peak: float
    """Peak until then."""
    upload_peak: float
    """Peak during the uploads."""
    accepted: int
    """Number of uploads that were accepted."""


async def measure(scene: Scene, uploads: int = UPLOADS) -> Row:
    """Start the API with the ImageJobs of the scene, send it uploads, and return its memory."""
    texts = [template(UNFINISHED), template(PROCESSING), template(DONE)]

    def imagejob(number: int) -> str:
        return numbered(texts[2 if number >= scene.unfinished else number % 2], number)

    async with (
        serving_s3() as (s3, bucket),
        serving_kube(scene.unfinished + scene.finished, imagejob) as kube_url,
        api_process(bucket, kube_url) as (pid, url),
    ):
        s3.before_put = _discard_slowly(s3)
        listed, list_peak = memory_mib(pid, "VmRSS"), memory_mib(pid, "VmHWM")
        statuses = await _upload(url, uploads)
        return Row(listed, list_peak, memory_mib(pid, "VmHWM"), statuses.count(202))


@asynccontextmanager
async def api_process(
    bucket: BucketSettings,
    kube_url: str,
    variables: Mapping[str, str] | None = None,
    log: IO[bytes] | None = None,
) -> AsyncIterator[tuple[int, str]]:
    """Start the API as its container does. Once it is ready, yield its process ID and its URL.

    Args:
        bucket: The fake bucket.
        kube_url: URL of the fake API server.
        variables: Further variables of the environment.
        log: File for what the process prints; None for the output of this process.
    """
    port = _free_port()
    python = os.environ.get("API_PYTHON", sys.executable)
    command = [python, "-m", "bench.api.process", str(port), kube_url]
    environment = _environment(bucket, port) | dict(variables or {})
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=log, stderr=log
    )

    try:
        url = f"http://127.0.0.1:{port}"
        await _wait_until_ready(process, url)
        yield process.pid, url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def memory_mib(pid: int, field: str) -> float:
    """Return a field of the process's status in MiB: VmRSS is its memory now, VmHWM its peak."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"/proc/{pid}/status has no {field}")


def _environment(bucket: BucketSettings, port: int) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS))),
        "POD_NAMESPACE": "vision-node",
        "DEFAULT_DESCRIBER": "metadata",
        # Without these limits, full caches would be a reason to refuse the uploads.
        "MAX_UNFINISHED_JOBS": "1000000",
        "MAX_IMAGEJOBS": "1000000",
        "LISTEN_ADDRESS": f"127.0.0.1:{port}",
        # Another process on this machine may use the usual port.
        "METRICS_LISTEN_ADDRESS": "127.0.0.1:0",
        "MALLOC_MMAP_THRESHOLD_": MMAP_THRESHOLD,
        "S3_ENDPOINT": bucket.endpoint,
        "S3_BUCKET": bucket.bucket,
        "S3_ACCESS_KEY": bucket.access_key,
        "S3_SECRET_KEY": bucket.secret_key,
        "S3_SECURE": "false",
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


async def _wait_until_ready(process: asyncio.subprocess.Process, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while not await _is_ready(session, url):
            if process.returncode is not None or time.monotonic() > deadline:
                raise TimeoutError(f"the API at {url} is not ready; see its log above")
            await asyncio.sleep(0.05)


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def _upload(url: str, uploads: int) -> list[int]:
    """Send the images at the same time, and return the statuses of the responses."""
    image = png(IMAGE_BYTES)

    async with aiohttp.ClientSession() as session:

        async def submit() -> int:
            form = aiohttp.FormData()
            form.add_field(
                "image", io.BytesIO(image), filename="photo.png", content_type="image/png"
            )
            async with session.post(f"{url}/submit", data=form) as response:
                await response.read()
                return response.status

        return await asyncio.gather(*(submit() for _ in range(uploads)))


def png(size: int) -> bytes:
    """Return a PNG of `size` bytes whose header is valid, and whose other bytes are random."""
    ihdr = b"IHDR" + struct.pack(">LLBBBBB", 1920, 1080, 8, 2, 0, 0, 0)
    checksum = struct.pack(">L", zlib.crc32(ihdr))
    head = PNG_SIGNATURE + struct.pack(">L", len(ihdr) - 4) + ihdr + checksum
    noise = random.Random(1).randbytes(size - len(head))  # noqa: S311 (not a secret)
    return head + noise


def _discard_slowly(s3: S3) -> Callable[[str], Awaitable[None]]:
    async def before_put(_key: str) -> None:
        s3.objects.clear()
        await asyncio.sleep(STORE_SECONDS)

    return before_put


def report(scenes: Sequence[Scene] = SCENES) -> str:
    """Measure all scenes, and return a table of the results."""
    rows = []
    for scene in scenes:
        row = asyncio.run(measure(scene))
        numbers = (row.listed, row.list_peak, row.upload_peak)
        counts = [f"{scene.unfinished:,}", f"{scene.finished:,}"]
        rows.append([*counts, *(f"{number:.0f}" for number in numbers), f"{row.accepted}"])

    head = ["unfinished", "finished", "MiB when listed", "peak", "peak with uploads", "accepted"]
    return table(head, rows)


if __name__ == "__main__":
    print(report())
