"""Measure in rounds. Each round applies every load with every describer to every system."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import load
from bench.load import Seen, Work
from bench.measure.meter import Cost, Meter
from bench.measure.pictures_1080p import Picture
from bench.plan import (
    BURST,
    BURST_CONNECTIONS,
    CAPACITY_SHARE,
    EIGHT,
    LIST_SECONDS,
    METADATA,
    NOTHING,
    ONE,
    ONE_POLL_SECONDS,
    POISSON,
    POLL_SECONDS,
    THIRTY_TWO,
    WAITING,
    Plan,
)
from bench.results import Sample
from bench.systems import JobPerImage, System

CLIENTS = {ONE: 1, WAITING: 1, EIGHT: 8, THIRTY_TWO: 32}
DESCRIBERS = (METADATA, NOTHING)
"""The describer `nothing` does not decode images, so it shows the time for dispatch alone."""


@dataclass
class Rounds:
    """Applies the loads to the systems in turn, and collects the samples."""

    plan: Plan
    pictures: Sequence[Picture]
    queues: Sequence[System]
    """Systems with a queue. They are measured with every load."""
    patient: System
    """vision-node with clients that wait in place of polling."""
    job_per_image: JobPerImage
    meter: Meter
    samples: list[Sample] = field(default_factory=list)

    async def warm_up(self) -> None:
        """Submit images so that all processes, connections and libraries are ready."""
        for describer in DESCRIBERS:
            for system in self.queues:
                work = Work(system, self.pictures, describer)
                await load.closed_loop(
                    work, clients=8, images=self.plan.warm_up, poll_seconds=POLL_SECONDS
                )

    async def run(self, number: int) -> None:
        """Measure one round."""
        # The order alternates, so that no system is always measured first.
        systems = self.queues if number % 2 == 0 else self.queues[::-1]
        for describer in DESCRIBERS:
            await self._measure(Work(self.patient, self.pictures, describer), WAITING, number)
            for kind in (ONE, EIGHT, THIRTY_TWO, POISSON, BURST):
                for system in systems:
                    await self._measure(Work(system, self.pictures, describer), kind, number)
        for kind, images in self.plan.job_images.items():
            await self._measure_jobs(kind, images, number)

    async def _measure(self, work: Work, kind: str, number: int) -> None:
        per_second = self._arrivals(work) if kind == POISSON else 0.0
        async with self.meter.running() as cost:
            seen = await self._load(work, kind, number, per_second)
        self._keep(work, kind, number, seen, per_second, cost)

    async def _load(self, work: Work, kind: str, number: int, per_second: float) -> Seen:
        if kind == POISSON:
            seconds = self.plan.poisson_seconds
            return await load.poisson(
                work, per_second=per_second, seconds=seconds, poll_seconds=POLL_SECONDS, seed=number
            )

        images = self.plan.images[kind][work.describer]
        if kind == BURST:
            return await load.burst(
                work, images=images, connections=BURST_CONNECTIONS, poll_seconds=LIST_SECONDS
            )

        poll = ONE_POLL_SECONDS if kind == ONE else POLL_SECONDS
        return await load.closed_loop(work, clients=CLIENTS[kind], images=images, poll_seconds=poll)

    async def _measure_jobs(self, kind: str, images: int, number: int) -> None:
        work = Work(self.job_per_image, self.pictures, METADATA)
        async with self.meter.running() as cost:
            seen = await load.closed_loop(
                work, clients=CLIENTS[kind], images=images, poll_seconds=POLL_SECONDS
            )

        self._keep(work, kind, number, seen, 0.0, cost)
        await self.job_per_image.clear()
        await self.meter.wait_until_idle()

    def _arrivals(self, work: Work) -> float:
        """Return the rate of arrivals: a fraction of the throughput measured most recently."""
        wanted = (work.system.name, THIRTY_TWO, work.describer)
        *_, newest = (s for s in self.samples if (s.system, s.load, s.describer) == wanted)
        return CAPACITY_SHARE * newest.images_per_second

    def _keep(
        self, work: Work, kind: str, number: int, seen: Seen, per_second: float, cost: Cost
    ) -> None:
        self.samples.append(
            Sample(
                system=work.system.name,
                load=kind,
                describer=work.describer,
                round=number,
                images=seen.submitted,
                seconds=seen.seconds,
                latencies=seen.latencies,
                per_second=per_second,
                **cost.for_sample(),
            )
        )
