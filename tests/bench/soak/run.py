"""`make soak`: submit images, sample the cluster, and wait until only the history has them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench import load as bench_load
from bench.arena import REPOSITORY, WARM, Values
from bench.errors import BenchError
from bench.measure import machine, release_state
from bench.measure.database import ClusterDatabase
from bench.measure.pictures_1080p import thumbnail
from bench.measure.stage import WARM_WORKERS, Stage, staged
from bench.results import Machine
from bench.soak import etcd, load, results
from bench.soak.client import SoakClient
from bench.soak.history import History, look_for, require_archived
from bench.soak.plan import SoakPlan
from bench.soak.results import AT_END, AT_START, COMPACTED, DEFRAGMENTED, EtcdSize, Reading, Soak
from bench.soak.sampler import Sampler
from bench.soak.sources import ClusterSource, Source
from bench.systems import session

RESULTS = REPOSITORY / "build" / "bench" / "soak.json"

EMPTY_SECONDS = 120.0
"""Maximum seconds until the objects of earlier ImageJobs are deleted."""

EVICTION_SECONDS = 180.0
"""Maximum seconds until everything is evicted, after it should have been."""


class EtcdDatabase(Protocol):
    """Maintenance of etcd's database."""

    async def size(self) -> EtcdSize:
        """Return the size of the database."""
        ...

    async def compact(self) -> None:
        """Forget all old versions of objects."""
        ...

    async def defragment(self) -> None:
        """Return free space to the file system."""
        ...


@dataclass(frozen=True)
class Rig:
    """What a soak test acts on."""

    source: Source
    database: EtcdDatabase
    history: History
    client: SoakClient
    say: Callable[[str], None]


async def measure(plan: SoakPlan) -> Soak:
    """Run a soak test on the benchmark's cluster, and return its results.

    The results are also saved to RESULTS, even if the test is stopped.

    Raises:
        BenchError: The test could not be carried out.
    """
    async with staged() as stage:
        stage.arena.configure(WARM, values(plan))
        await release_state.workers_serve(stage.kube, WARM_WORKERS)
        await release_state.delete_imagejobs(stage.kube)

        about = await machine.describe(stage.arena, stage.kube, quick=plan.quick)
        soak = new_soak(about, plan)

        try:
            await _measure_on(stage, plan, soak)
        finally:
            results.save(soak, RESULTS)

        return soak


def values(plan: SoakPlan) -> Values:
    """Return the chart's values for a soak test.

    Images are deleted once they are archived, so the bucket must become as empty as etcd.
    """
    return {
        "database.enabled": True,
        "retention.imageJobSeconds": plan.imagejob_seconds,
        "retention.imageSeconds": 0,
    }


def new_soak(about: Machine, plan: SoakPlan) -> Soak:
    """Return results without any sample."""
    sizes = (plan.images, plan.imagejob_seconds, plan.clients)
    return Soak(about, *sizes, plan.quick, WARM_WORKERS)


async def _measure_on(stage: Stage, plan: SoakPlan, soak: Soak) -> None:
    history = await ClusterDatabase.of(stage.arena, stage.kube)
    async with etcd.connect(stage.arena) as database, session(stage.arena.url) as http:
        client = SoakClient(http, thumbnail(), soak.tally)
        source = ClusterSource(stage.arena, stage.kube, database, history)
        await exercise(Rig(source, database, history, client, stage.say), plan, soak)


async def exercise(rig: Rig, plan: SoakPlan, soak: Soak) -> None:
    """Carry out a soak test, and record what happens in `soak`.

    Raises:
        BenchError: The cluster is not empty at the start, the first image is not archived, too many
            images fail, or too many samples can't be read.
    """
    await _require_empty(rig, plan, soak)
    await rig.database.compact()
    await rig.database.defragment()
    soak.etcd[AT_START] = await rig.database.size()
    await _require_history(rig, soak)

    sampler = Sampler(rig.source, soak, plan.sample_seconds, rig.say)
    await _load_while_sampling(rig, plan, sampler)
    soak.load_seconds = sampler.seconds
    rig.say(f"  {soak.tally.done:,} of {plan.images:,} images done in {soak.load_seconds:.0f} s")

    await _until_evicted(plan, soak, sampler)
    soak.etcd[AT_END] = await rig.database.size()
    await rig.database.compact()
    soak.etcd[COMPACTED] = await rig.database.size()
    await rig.database.defragment()
    soak.etcd[DEFRAGMENTED] = await rig.database.size()
    soak.found = await look_for(rig.client, rig.history)


def is_empty(reading: Reading, workers: int) -> bool:
    """Return whether nothing is left but the workers that are always kept."""
    counts = (reading.imagejobs, reading.objects)
    return counts == (0, 0) and max(reading.jobs, reading.pods) <= workers


async def _require_empty(rig: Rig, plan: SoakPlan, soak: Soak) -> None:
    """Wait until nothing is left of earlier tests on the same cluster."""
    deadline = asyncio.get_running_loop().time() + EMPTY_SECONDS
    while not is_empty(found := await rig.source.read(count_objects=True), soak.workers):
        if asyncio.get_running_loop().time() > deadline:
            raise BenchError(
                f"soak: the cluster is not empty: {found.imagejobs} ImageJobs, {found.jobs} Jobs "
                f"and {found.pods} pods of workers, {found.objects} objects below images/ and "
                "results/. Run it on a new cluster."
            )
        await asyncio.sleep(plan.sample_seconds)


async def _require_history(rig: Rig, soak: Soak) -> None:
    """Process the first image, and check that it is archived."""
    job = await rig.client.process(1)
    if job is None:
        raise BenchError(f"soak: {soak.tally.messages[0]}")

    await require_archived(rig.history, job)


async def _load_while_sampling(rig: Rig, plan: SoakPlan, sampler: Sampler) -> None:
    async def process() -> None:
        numbers = range(2, plan.images + 1)
        await load.run(rig.client, numbers, clients=plan.clients)
        sampler.stop()

    await bench_load.together([sampler.run(), process()])


async def _until_evicted(plan: SoakPlan, soak: Soak, sampler: Sampler) -> None:
    """Take samples until everything was evicted, or should have been long ago."""
    ended = sampler.seconds
    deadline = ended + plan.imagejob_seconds + EVICTION_SECONDS
    no_imagejobs = False

    while True:
        is_last = sampler.seconds > deadline
        sample = await sampler.take(count_objects=no_imagejobs or is_last)

        if sample and is_empty(sample.reading, soak.workers):
            soak.evicted_seconds = sample.seconds - ended
            return
        if sample and is_last:
            return

        no_imagejobs = bool(sample and not sample.reading.imagejobs)
        await asyncio.sleep(plan.sample_seconds)
