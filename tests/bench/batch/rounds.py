"""Measure batches in rounds, in turn with Celery systems that are fed with what is stored."""

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench import load, stats
from bench.batch.client import Batches, is_complete
from bench.batch.photographs import Photographs
from bench.celery_system.producer import Producer
from bench.celery_system.run import Running as CeleryRunning
from bench.celery_system.task_names import FILE_TASK, OBJECT_TASK
from bench.errors import BenchError
from bench.load import Work
from bench.measure.meter import Cost, Meter
from bench.measure.pictures_1080p import Picture
from bench.plan import (
    BATCH,
    BATCH_LOADS,
    BESIDE_BATCH,
    FROM_DISK,
    METADATA,
    ONE,
    ONE_POLL_SECONDS,
    Plan,
)
from bench.results import CELERY, VISION_NODE, Run, Sample
from bench.rounds import DESCRIBERS
from bench.systems import VisionNode

MIN_SINGLES = 5
"""Minimum number of single images beside a batch. With fewer, their median says nothing."""


@dataclass(frozen=True)
class Contest:
    """The systems, and the photographs that both of them describe."""

    batches: Batches
    singles: VisionNode
    producer: Producer
    celery: CeleryRunning
    photographs: Photographs
    warm_up: Photographs
    """Few photographs, so that all processes, connections and libraries get ready."""


@dataclass(frozen=True)
class BatchRounds:
    """Describes the same photographs with all systems in turn, and collects the samples."""

    plan: Plan
    pictures: Sequence[Picture]
    contest: Contest
    meter: Meter
    run: Run
    say: Callable[[str], None]

    async def prepare(self) -> None:
        """Describe few images in each way, so that everything is ready."""
        for describer in DESCRIBERS:
            for kind in BATCH_LOADS:
                await self._describe(kind, describer, self.contest.warm_up)
                self.contest.celery.jobs.clear()

    async def measure(self, number: int) -> None:
        """Measure one round."""
        # The order alternates, so that no system is always measured first.
        kinds = BATCH_LOADS if number % 2 == 0 else BATCH_LOADS[::-1]
        for describer in DESCRIBERS:
            for kind in kinds:
                await self._measure(kind, describer, number)

        await self._measure_singles(number)

    async def _measure(self, kind: str, describer: str, number: int) -> None:
        photographs = self.contest.photographs
        seconds, cost = await self._describe(kind, describer, photographs)

        sample = Sample(
            system=VISION_NODE if kind == BATCH else CELERY,
            load=kind,
            describer=describer,
            round=number,
            images=len(photographs.keys),
            seconds=seconds,
            latencies=[],
            **cost.for_sample(),
        )
        self.run.samples.append(sample)
        rate = f"{seconds:.1f} s, {sample.images_per_second:.0f} images/s"
        self.say(f"    {describer}, {sample.system}, {kind}: {rate}")

        self.contest.celery.jobs.clear()
        await self.meter.wait_until_idle()

    async def _describe(
        self, kind: str, describer: str, photographs: Photographs
    ) -> tuple[float, Cost]:
        """Describe the photographs, and return the seconds that it took, and the cost."""
        if kind == BATCH:
            return await self._describe_batch(describer, photographs)

        task, names = (
            (FILE_TASK, photographs.files) if kind == FROM_DISK else (OBJECT_TASK, photographs.keys)
        )
        async with self.meter.running() as cost:
            seconds = await self.contest.producer.describe(task, describer, names)

        return seconds, cost

    async def _describe_batch(self, describer: str, photographs: Photographs) -> tuple[float, Cost]:
        """Describe the photographs as a batch. Its cost includes the deletion of its shards."""
        batches, spec = self.contest.batches, _spec(describer, photographs)

        async with AsyncExitStack() as stack, self.meter.running() as cost:
            started = time.perf_counter()
            name = await stack.enter_async_context(batches.created(**spec))
            await batches.until_complete(name, len(photographs.keys))
            seconds = time.perf_counter() - started
            await batches.until_no_shards()

        return seconds, cost

    async def _measure_singles(self, number: int) -> None:
        """Measure the first result of a batch, and single images while the batch is described."""
        batches, spec = self.contest.batches, _spec(METADATA, self.contest.photographs)
        started = time.perf_counter()

        async with batches.created(**spec) as name:
            await batches.until_first_result(name)
            self.run.first_result_seconds.append(time.perf_counter() - started)

            begun = time.perf_counter()
            latencies = await self._singles_beside(name)
            seconds = time.perf_counter() - begun

        sample = Sample(
            system=VISION_NODE,
            load=BESIDE_BATCH,
            describer=METADATA,
            round=number,
            images=len(latencies),
            seconds=seconds,
            latencies=latencies,
        )
        self.run.samples.append(sample)
        self.say(
            f"    first result: {self.run.first_result_seconds[-1]:.2f} s; {len(latencies)} single "
            f"images beside the batch: p50 {1000 * stats.p50(sample):.0f} ms"
        )
        await self.meter.wait_until_idle()

    async def _singles_beside(self, name: str) -> list[float]:
        """Submit single images, one after the other, as long as the batch is described.

        Raises:
            BenchError: The batch ended before there were enough images.
        """
        latencies: list[float] = []
        batches, images = self.contest.batches, len(self.contest.photographs.keys)

        for picture in itertools.islice(
            itertools.cycle(self.pictures), self.plan.images[ONE][METADATA]
        ):
            work = Work(self.contest.singles, [picture], METADATA)
            seen = await load.closed_loop(work, clients=1, images=1, poll_seconds=ONE_POLL_SECONDS)
            if is_complete(await batches.read(name), images):
                break
            latencies += seen.latencies

        if len(latencies) < MIN_SINGLES:
            raise BenchError(
                f"ImageBatch {name}: only {len(latencies)} single images ended before the batch; "
                "use more photographs"
            )

        return latencies


def _spec(describer: str, photographs: Photographs) -> dict[str, str]:
    return {"describer": describer, "prefix": photographs.prefix}
