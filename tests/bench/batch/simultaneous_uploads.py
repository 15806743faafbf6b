"""`make bench-uploads`: upload several gigabytes of photographs in several requests at once.

Half of the requests are forms, and half are tar streams. The describer does nothing. Nothing is
stored on the machine's disk but what MinIO stores, which is deleted at the end.
"""

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.arena import REPOSITORY, WARM
from bench.batch.client import Batches
from bench.batch.plan import UploadsPlan
from bench.batch.upload_body import BODIES, UploadBody, images_within
from bench.batch.upload_results import SimultaneousUploads, UploadTime, save
from bench.batch.uploads import Uploads
from bench.load import together
from bench.measure import bucket_access, machine, release_state
from bench.measure.meter import Meter
from bench.measure.node import free_disk_bytes
from bench.measure.peak_memory import PeakMemory
from bench.measure.pictures_1080p import Picture, photographs
from bench.measure.stage import WARM_WORKERS, Stage, staged
from bench.plan import NOTHING, UPLOAD_LOADS

RESULTS = REPOSITORY / "build" / "bench" / "uploads.json"


async def measure(plan: UploadsPlan) -> SimultaneousUploads:
    """Upload the photographs, and save the results to RESULTS.

    Raises:
        BenchError: The disk has too little space for them.
    """
    async with staged() as stage:
        plan.require_disk(free_disk_bytes(stage.arena.kind))
        about = await machine.describe(stage.arena, stage.kube, quick=plan.quick)

        stage.arena.configure(WARM)
        await release_state.workers_serve(stage.kube, WARM_WORKERS)
        await release_state.delete_imagejobs(stage.kube)

        async with bucket_access.opened(stage.arena, stage.kube) as access:
            uploads = Uploads(Batches(stage.kube, stage.http), stage.http, access)
            meter = Meter(stage.arena, stage.kube)
            found = SimultaneousUploads(about, plan.size_mb)
            await exercise(Rig(stage, uploads, meter), plan, photographs(), found)

        save(found, RESULTS)
        return found


@dataclass(frozen=True)
class Rig:
    """What the measurement acts on."""

    stage: Stage
    uploads: Uploads
    meter: Meter


async def exercise(
    rig: Rig, plan: UploadsPlan, pictures: list[Picture], found: SimultaneousUploads
) -> None:
    """Upload photographs until all of them are described and deleted; record that in `found`."""
    await rig.meter.wait_until_idle()
    found.memory_before = await rig.meter.memory()
    peak, say = PeakMemory(), rig.stage.say

    async with AsyncExitStack() as stack:
        async with rig.meter.running() as cost, peak.watching(rig.meter, plan.memory_seconds):
            await _describe(rig, _bodies(plan, pictures), found, stack)

        found.memory, found.cpu_seconds = peak.by_component, cost.cpu_seconds
        say(f"  {found.images:,} images described: {found.seconds:.0f} s")
        ended = time.perf_counter()

    found.emptied_seconds = time.perf_counter() - ended
    say(f"  ImageBatches and objects deleted: {found.emptied_seconds:.0f} s")


def _bodies(plan: UploadsPlan, pictures: list[Picture]) -> list[tuple[str, UploadBody]]:
    """Return the kind and the body of each upload."""
    images = images_within(plan.size_bytes, pictures)
    kinds = [UPLOAD_LOADS[number % len(UPLOAD_LOADS)] for number in range(plan.uploads)]
    return [(kind, BODIES[kind](pictures, images)) for kind in kinds]


async def _describe(
    rig: Rig,
    bodies: list[tuple[str, UploadBody]],
    found: SimultaneousUploads,
    stack: AsyncExitStack,
) -> None:
    """Send all bodies at once, and wait until their ImageBatches are complete.

    The stack deletes the ImageBatches later, when none of them has shards.
    """
    uploads, started = rig.uploads, time.perf_counter()
    sent: list[tuple[str, int]] = []

    async def send(kind: str, body: UploadBody) -> None:
        uploaded = await stack.enter_async_context(uploads.sent(body, NOTHING))
        sent.append((uploaded.name, body.images))
        found.uploads.append(UploadTime(kind, body.images, body.size_bytes, uploaded.seconds))
        rig.stage.say(f"  {kind}, {body.size_bytes / 1e6:,.0f} MB: {uploaded.seconds:.0f} s")

    await together(send(kind, body) for kind, body in bodies)
    found.upload_seconds = time.perf_counter() - started

    for name, images in sent:
        await uploads.batches.until_complete(name, images)
    found.seconds = time.perf_counter() - started
    await uploads.batches.until_no_shards()
