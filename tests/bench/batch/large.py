"""`make bench-batch`: describe 100,000 images or more as one ImageBatch.

The images are a few thumbnails, each with many customIds, and the describer does nothing. So what
is measured is what the system itself needs.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field

from bench import results
from bench.arena import REPOSITORY, WARM
from bench.batch.client import Batches, counted, is_complete, size_bytes, summary
from bench.batch.photographs import JSON_LINES, manifest, number_of, store
from bench.batch.plan import LargeBatchPlan
from bench.errors import BenchError
from bench.load import JOB_SECONDS
from bench.measure import bucket_access, machine, release_state
from bench.measure.bucket_access import BucketAccess
from bench.measure.meter import Meter
from bench.measure.peak_memory import PeakMemory
from bench.measure.pictures_1080p import thumbnail
from bench.measure.stage import WARM_WORKERS, Stage, staged
from bench.plan import NOTHING
from bench.results import LargeBatch
from bench.soak.sources import count_imagejobs

RESULTS = REPOSITORY / "build" / "bench"

OBJECTS = 8
"""Number of thumbnails in the bucket."""

SLOWEST_PER_SECOND = 20.0
"""Minimum throughput in images per second. If the system is slower, the measurement fails."""

SAY_SECONDS = 15.0
"""Seconds between two lines about the progress."""

POINTS = 1000
"""Maximum number of points in a saved curve."""


@dataclass
class Seen:
    """What was observed while the ImageBatch was described."""

    created: float = 0.0
    """When the ImageBatch was created, on the monotonic clock."""
    manifest_seconds: float = 0.0
    seconds: float = 0.0
    counted: list[tuple[float, int]] = field(default_factory=list)
    batch_bytes: int = 0
    imagejobs: int = 0
    memory: PeakMemory = field(default_factory=PeakMemory)


class Tally:
    """Counts the results of each image, with one byte per image."""

    def __init__(self, images: int) -> None:
        self._seen = bytearray(images)
        self.bytes = 0
        """Number of bytes in all lines."""
        self.lines = 0
        self.repeated = 0

    def add(self, line: bytes) -> None:
        """Count a line of results.

        Raises:
            BenchError: The line is not a result of one of the images.
        """
        found = json.loads(line)
        if "result" not in found:
            raise BenchError(f"an image has no result: {line[:500].decode(errors='replace')}")

        number = number_of(found["customId"])
        if not 0 <= number < len(self._seen):
            raise BenchError(f"the results have an unknown customId: {found['customId']}")

        self.lines += 1
        self.bytes += len(line)
        self.repeated += self._seen[number]
        self._seen[number] = 1

    @property
    def missing(self) -> int:
        """Number of images without a result."""
        return self._seen.count(0)


async def measure(plan: LargeBatchPlan) -> None:
    """Describe the images, and save the results to a file of their own."""
    async with staged() as stage:
        about = await machine.describe(stage.arena, stage.kube, quick=plan.quick)

        stage.arena.configure(WARM)
        await release_state.workers_serve(stage.kube, WARM_WORKERS)
        await release_state.delete_imagejobs(stage.kube)

        async with bucket_access.opened(stage.arena, stage.kube) as access:
            key = await _store_manifest(stage, access, plan.images)

        found = await _describe(stage, plan, about, key)
        results.save(found, RESULTS / f"batch-{plan.images}.json")


async def _store_manifest(stage: Stage, access: BucketAccess, images: int) -> str:
    """Store the thumbnails and the manifest that lists them, and return the manifest's key."""
    started = time.monotonic()
    keys = await store(access.bucket, f"{access.folder}thumbnails/", [thumbnail()], OBJECTS)
    key = f"{access.folder}manifest-{images}.jsonl"
    await access.bucket.put(key, manifest(keys, images), JSON_LINES)

    stage.say(f"  manifest of {images:,} images stored: {time.monotonic() - started:.0f} s")
    return key


async def _describe(
    stage: Stage, plan: LargeBatchPlan, about: results.Machine, key: str
) -> LargeBatch:
    batches, meter, seen = Batches(stage.kube, stage.http), Meter(stage.arena, stage.kube), Seen()
    await meter.wait_until_idle()
    before = await meter.memory()

    async with AsyncExitStack() as stack:
        async with meter.running() as cost, seen.memory.watching(meter, plan.memory_seconds):
            seen.created = time.perf_counter()
            created = batches.created(describer=NOTHING, manifest=key)
            name = await stack.enter_async_context(created)
            await _until_complete(stage, batches, name, plan, seen)

        stage.say(f"  {plan.images:,} images described: {seen.seconds:.0f} s")
        started = time.monotonic()
        tally = await _tally(batches, name, plan.images)
        read_seconds = time.monotonic() - started
        seen.memory.add(await meter.memory())
        stage.say(f"  {tally.lines:,} results read: {read_seconds:.0f} s")
        started = time.monotonic()

    deleted_seconds = time.monotonic() - started
    stage.say(f"  ImageBatch deleted: {deleted_seconds:.0f} s")

    return LargeBatch(
        machine=about,
        images=plan.images,
        manifest_seconds=seen.manifest_seconds,
        seconds=seen.seconds,
        counted=thinned(seen.counted),
        batch_bytes=seen.batch_bytes,
        imagejobs=seen.imagejobs,
        memory_before=before,
        memory=seen.memory.by_component,
        cpu_seconds=cost.cpu_seconds,
        batch_writes=cost.batch_writes,
        results_seconds=read_seconds,
        results_bytes=tally.bytes,
        missing=tally.missing,
        repeated=tally.repeated,
        deleted_seconds=deleted_seconds,
    )


async def _until_complete(
    stage: Stage, batches: Batches, name: str, plan: LargeBatchPlan, seen: Seen
) -> None:
    """Watch the ImageBatch and the number of ImageJobs until all images are described."""
    said = time.perf_counter()
    deadline = said + JOB_SECONDS + plan.images / SLOWEST_PER_SECOND
    complete = False

    while not complete:
        batch = await batches.read(name)
        now = time.perf_counter()
        seen.seconds = now - seen.created
        seen.counted.append((seen.seconds, counted(batch)))
        seen.batch_bytes = max(seen.batch_bytes, size_bytes(batch))
        if batch.get("status", {}).get("manifest") and not seen.manifest_seconds:
            seen.manifest_seconds = seen.seconds

        complete = is_complete(batch, plan.images)
        if now > deadline:
            raise BenchError(f"{summary(batch)}: not complete after {seen.seconds:.0f} s")
        if now - said > SAY_SECONDS:
            said = now
            stage.say(f"    {counted(batch):,} of {plan.images:,} after {seen.seconds:.0f} s")

        seen.imagejobs = max(seen.imagejobs, await count_imagejobs(stage.kube))
        if not complete:
            await asyncio.sleep(plan.look_seconds)


async def _tally(batches: Batches, name: str, images: int) -> Tally:
    """Read all results of the ImageBatch as one stream, and count those of each image."""
    tally = Tally(images)
    async with aclosing(batches.results(name)) as lines:
        async for line in lines:
            tally.add(line)

    return tally


def thinned(curve: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return at most about POINTS points of a curve, with the last one among them."""
    step = max(1, len(curve) // POINTS)
    return [*curve[:-1:step], curve[-1]]
