"""Measure what an image of a shard costs a worker, in milliseconds of its CPU time.

The bucket is a fake in another process, whose CPU time does not count:

    PYTHONPATH=tests python -m bench.shards.worker_cost [nothing | metadata | profile]
"""

import asyncio
import cProfile
import json
import logging
import multiprocessing
import pstats
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, cast

import uvloop
from fakes.s3 import serving_s3
from vision_node_contract.batch_objects import CHUNK_LINES, BatchFolder, chunk_key
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.models.description import Options
from vision_node_contract.models.shard import Shard
from vision_node_describer.describe_slots import DescribeSlots
from vision_node_describer.describers.interface import Describer, Setup
from vision_node_describer.describers.registry import load
from vision_node_describer.image_describer import ImageDescriber
from vision_node_describer.settings import Settings
from vision_node_describer.shards.runner import ShardRunner
from vision_node_describer.threads import background_threads

from bench.measure.pictures_1080p import photographs

CONCURRENCY = 4
"""As in the chart for `metadata`."""

ROUNDS = 3
"""How often to measure; the first round also loads libraries."""

UID = "0a0a0a0a-0000-4000-8000-000000000001"


class Commits:
    """Stands in for the Kubernetes API."""

    def __init__(self) -> None:
        self.outcomes: list[dict[str, Any]] = []

    async def patch_status(self, shard: Shard, patch: dict[str, Any]) -> dict[str, Any]:
        """Remember the outcome."""
        self.outcomes.append(patch["images"])
        return {}

    get = get_shard = patch_status


def serve(connection: Connection) -> None:
    """Run the fake bucket. Store what arrives, and answer with the ETags."""

    async def run() -> None:
        async with serving_s3() as (s3, settings):
            connection.send(settings)
            while (objects := await asyncio.to_thread(connection.recv)) is not None:
                for key, data in objects.items():
                    s3.put(key, data)
                connection.send({key: s3.objects[key].etag for key in objects})

    uvloop.run(run())


@contextmanager
def bucket_process() -> Iterator[Connection]:
    """Run the fake bucket in another process until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield ours
    finally:
        ours.send(None)
        process.join(10)


def shard_of(images: int, folder: str) -> dict[str, Any]:
    """Return a shard of the first images, as the watch reports it."""
    return {
        "metadata": {"name": "bench", "uid": UID, "resourceVersion": "1"},
        "spec": {
            "images": {
                "batch": "bench",
                "batchUID": UID,
                "manifest": folder,
                "first": 0,
                "count": images,
            }
        },
        "status": {"phase": "processing", "worker": "bench", "attempts": 1},
    }


def fill(connection: Connection, settings: BucketSettings, files: list[bytes], count: int) -> str:
    """Store the images and their manifest. Return the manifest's folder."""
    folder = BatchFolder(settings.folders, UID).manifest(1)
    images = {f"{settings.folders.inbox}{n}.jpg": file for n, file in enumerate(files)}
    connection.send(images)
    etags: dict[str, str] = connection.recv()

    lines = [
        {
            "index": n,
            "customId": f"{n}.jpg",
            "key": key,
            "etag": etags[key],
            "size": len(images[key]),
        }
        for n, key in zip(range(count), _repeated(list(images)), strict=False)
    ]
    chunks = {}
    for start in range(0, count, CHUNK_LINES):
        chunk = "".join(json.dumps(it) + "\n" for it in lines[start : start + CHUNK_LINES])
        chunks[chunk_key(folder, start)] = chunk.encode()

    connection.send(chunks)
    connection.recv()
    return folder


def _repeated(keys: list[str]) -> Iterator[str]:
    while True:
        yield from keys


async def measure(
    settings: BucketSettings, describer: Describer, body: dict[str, Any]
) -> tuple[float, float]:
    """Return the CPU time and the time per image of one shard, in milliseconds."""
    count, commits = body["spec"]["images"]["count"], Commits()
    limits = Settings("ns", "bench", "u", "bench", "bench", CONCURRENCY, 20 << 20, 512 << 20)

    async with Bucket.open(settings) as bucket:
        with ThreadPoolExecutor(CONCURRENCY) as executor, background_threads(CONCURRENCY) as low:
            images = ImageDescriber(bucket, describer, executor, limits, None, low)
            slots = DescribeSlots(CONCURRENCY)
            runner = ShardRunner(cast("ImageJobClient", commits), bucket, images, slots)
            started, cpu = time.perf_counter(), time.process_time()
            runner.handle(body)
            await runner.idle.wait()
            spent = time.process_time() - cpu, time.perf_counter() - started

    (outcome,) = commits.outcomes
    if outcome["done"] != count:
        raise RuntimeError(f"only a part was described: {outcome}")
    return 1e3 * spent[0] / count, 1e3 * spent[1] / count


def cost_of_describing(describer: Describer, files: list[bytes]) -> float:
    """Return the CPU time of describing one of the files, and nothing else, in milliseconds."""
    describe = cast("Any", describer.describe)
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for file in files:
            describer.memory(file)
            describe(file, Options())
        rounds.append(1e3 * (time.process_time() - started) / len(files))

    return min(rounds)


def main() -> None:
    """Print what an image costs: a small file for `nothing`, a photograph for `metadata`."""
    logging.disable(logging.WARNING)
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    cases: dict[str, tuple[list[bytes], int]] = {"nothing": ([b"x" * 2000], 1000)}
    if wanted not in {"profile", "nothing"}:
        cases["metadata"] = ([it.data for it in photographs()], 400)

    with bucket_process() as connection:
        settings = connection.recv()
        for name, (files, count) in cases.items():
            if wanted not in {"", "profile", name}:
                continue
            describer = load(name, Setup())
            body = shard_of(count, fill(connection, settings, files, count))
            alone = cost_of_describing(describer, files)
            if wanted == "profile":
                with cProfile.Profile() as profile:
                    uvloop.run(measure(settings, describer, body))
                pstats.Stats(profile).sort_stats("tottime").print_stats(45)
                continue

            for _ in range(ROUNDS):
                cpu, wall = uvloop.run(measure(settings, describer, body))
                print(
                    f"{name}: {cpu:.2f} ms of CPU an image, {alone:.2f} of them to describe it; "
                    f"{1e3 / wall:.0f} images/s"
                )


if __name__ == "__main__":
    main()
