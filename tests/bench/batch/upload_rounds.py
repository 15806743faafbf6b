"""Measure in rounds how long it takes to upload many images in one request and describe them."""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.batch.upload_body import BODIES
from bench.batch.uploads import Uploads
from bench.measure.meter import Cost, Meter
from bench.measure.pictures_1080p import Picture
from bench.plan import METADATA, UPLOAD_LOADS, Plan
from bench.results import VISION_NODE, Run, Sample


@dataclass
class Times:
    """How long a batch took, in seconds since the first byte of the request."""

    upload_seconds: float = 0.0
    """Time until the response."""
    seconds: float = 0.0
    """Time until the ImageBatch was complete."""


@dataclass(frozen=True)
class UploadRounds:
    """Uploads the photographs of the other loads, as many as a batch has, and collects samples.

    Celery's samples through its HTTP API in the same rounds are those of the other loads.
    """

    plan: Plan
    pictures: Sequence[Picture]
    uploads: Uploads
    meter: Meter
    run: Run
    say: Callable[[str], None]

    async def prepare(self) -> None:
        """Upload few images in each way, so that everything is ready."""
        for kind in UPLOAD_LOADS:
            await self._describe(kind, self.plan.warm_up)

    async def measure(self, number: int) -> None:
        """Measure one round."""
        # The order alternates, so that neither way is always measured first.
        for kind in UPLOAD_LOADS if number % 2 == 0 else UPLOAD_LOADS[::-1]:
            await self._measure(kind, number)

    async def _measure(self, kind: str, number: int) -> None:
        images = self.plan.batch_images
        times, cost = await self._describe(kind, images)

        sample = Sample(
            system=VISION_NODE,
            load=kind,
            describer=METADATA,
            round=number,
            images=images,
            seconds=times.seconds,
            latencies=[],
            upload_seconds=times.upload_seconds,
            **cost.for_sample(),
        )
        self.run.samples.append(sample)
        self.say(
            f"    {kind}: {times.seconds:.1f} s, of which the upload took "
            f"{times.upload_seconds:.1f} s; {sample.images_per_second:.0f} images/s"
        )
        await self.meter.wait_until_idle()

    async def _describe(self, kind: str, images: int) -> tuple[Times, Cost]:
        """Describe uploaded images as a batch. The cost includes the deletion of its shards."""
        body, batches, times = BODIES[kind](self.pictures, images), self.uploads.batches, Times()

        async with AsyncExitStack() as stack, self.meter.running() as cost:
            uploaded = await stack.enter_async_context(self.uploads.sent(body, METADATA))
            times.upload_seconds = uploaded.seconds
            await batches.until_complete(uploaded.name, images)
            times.seconds = time.perf_counter() - uploaded.started
            await batches.until_no_shards()

        return times, cost
