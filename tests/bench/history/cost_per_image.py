"""Measure the CPU time of an image with the history in PostgreSQL, and without a database.

ImageJobs leave etcd after a minute in both cases: they are evicted, or deleted. The measurement
ends when none is left, so it contains all that is done for an image.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from bench import load
from bench.arena import WARM, Values
from bench.errors import BenchError
from bench.load import Work
from bench.measure import release_state
from bench.measure.database import ClusterDatabase
from bench.measure.meter import Meter
from bench.measure.pictures_1080p import thumbnail
from bench.measure.stage import WARM_WORKERS, Stage
from bench.plan import NOTHING, POLL_SECONDS, WITH_HISTORY, WITHOUT_HISTORY
from bench.results import VISION_NODE, Run, Sample
from bench.soak.sources import count_imagejobs

CLIENTS = 8
LEAVE_SECONDS = 60
"""How long finished ImageJobs stay in etcd."""

LEFT_SECONDS = 240.0
"""Maximum seconds until no ImageJob is left."""

LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Setup:
    """One of the two configurations of the release."""

    name: str
    values: Values


SETUPS: Sequence[Setup] = (
    Setup(WITHOUT_HISTORY, {"database.enabled": False, "retention.jobSeconds": LEAVE_SECONDS}),
    # The last one, so that a cluster that is kept has a history.
    Setup(WITH_HISTORY, {"database.enabled": True, "retention.imageJobSeconds": LEAVE_SECONDS}),
)


async def measure(stage: Stage, images: int, warm_up: int, run: Run) -> None:
    """Measure both configurations, and add their samples to the results."""
    for setup in SETUPS:
        stage.arena.configure(WARM, setup.values)
        await release_state.workers_serve(stage.kube, WARM_WORKERS)
        await _describe(stage, warm_up)
        await _until_none_is_left(stage)

        meter = Meter(stage.arena, stage.kube)
        await meter.wait_until_idle()
        async with meter.running() as cost:
            seen = await _describe(stage, images)
            await _until_none_is_left(stage)
            if setup.name == WITH_HISTORY:
                await _write_all(stage)

        sample = Sample(
            system=VISION_NODE,
            load=setup.name,
            describer=NOTHING,
            round=0,
            images=images,
            seconds=cost.seconds,
            latencies=seen.latencies,
            **cost.for_sample(),
        )
        run.samples.append(sample)


async def _describe(stage: Stage, images: int) -> load.Seen:
    work = Work(stage.system, [thumbnail()], NOTHING)
    return await load.closed_loop(work, clients=CLIENTS, images=images, poll_seconds=POLL_SECONDS)


async def _until_none_is_left(stage: Stage) -> None:
    deadline = asyncio.get_running_loop().time() + LEFT_SECONDS
    while count := await count_imagejobs(stage.kube):
        if asyncio.get_running_loop().time() > deadline:
            raise BenchError(
                f"{count} finished ImageJobs are left after {LEFT_SECONDS:g} s, although they "
                f"should leave after {LEAVE_SECONDS} s. See the logs of archiver and operator."
            )
        await asyncio.sleep(LOOK_SECONDS)


async def _write_all(stage: Stage) -> None:
    """Let PostgreSQL write everything to disk now, as it does later in any case."""
    database = await ClusterDatabase.of(stage.arena, stage.kube)
    await database.lines("CHECKPOINT")
