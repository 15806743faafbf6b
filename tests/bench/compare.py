"""`make bench`: start the three systems, measure them, and save the results."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vision_node_contract.clients.bucket_settings import BucketSettings

from bench import load, results
from bench.arena import COLD, REPOSITORY, WARM, Arena
from bench.batch.client import Batches
from bench.batch.photographs import prepare
from bench.batch.rounds import BatchRounds, Contest
from bench.batch.upload_rounds import UploadRounds
from bench.batch.uploads import Uploads
from bench.celery_system.producer import Producer
from bench.celery_system.run import Running as CeleryRunning
from bench.celery_system.run import running as celery_running
from bench.history import cost_per_image
from bench.load import Work
from bench.measure import bucket_access, machine, release_state
from bench.measure.bucket_access import BucketAccess
from bench.measure.meter import Meter
from bench.measure.pictures_1080p import Picture, photographs
from bench.measure.stage import WARM_WORKERS, Stage, staged
from bench.plan import METADATA, POLL_SECONDS, Plan
from bench.results import CELERY, Run
from bench.rounds import Rounds
from bench.systems import Celery, JobPerImage, PatientVisionNode, System, session
from cluster.artifacts import debian

RESULTS = REPOSITORY / "build" / "bench" / "results.json"

JOBS_PICTURE = "bench.jpg"
"""Name in the inbox of the image that the system with one Job per image describes."""


async def measure(plan: Plan) -> None:
    """Measure everything in the plan, and save the results to RESULTS."""
    async with staged() as stage:
        ctx = stage.arena.kind.ctx
        debian.install(ctx, {"redis-server": "redis-server"}, "Install the Redis server.")

        pictures = photographs()
        about = await machine.describe(stage.arena, stage.kube, quick=plan.rounds == 1)
        run = Run(about, picture_bytes=[len(picture.data) for picture in pictures])
        await _measure_idle(stage, plan, run, pictures)

        async with bucket_access.opened(stage.arena, stage.kube) as access:
            with _celery(stage.arena, access.settings) as celery:
                about.versions["Celery's Python"] = celery.python
                async with session(celery.url) as client:
                    rival = Rival(celery, Celery(CELERY, client))
                    await _measure_warm(stage, plan, Material(run, pictures, access), rival)

        await cost_per_image.measure(stage, plan.history_images, plan.warm_up, run)
        results.save(run, RESULTS)


@dataclass(frozen=True)
class Material:
    """The images to describe, the bucket, and where the results go."""

    run: Run
    pictures: list[Picture]
    access: BucketAccess


@dataclass(frozen=True)
class Rival:
    """The Celery system and its client."""

    running: CeleryRunning
    client: Celery


async def _measure_idle(stage: Stage, plan: Plan, run: Run, pictures: list[Picture]) -> None:
    """Measure vision-node without load, and then cold starts."""
    stage.arena.configure(COLD)
    await release_state.no_workers(stage.kube)

    meter = Meter(stage.arena, stage.kube)
    await meter.wait_until_idle()
    run.idle_cores = await meter.idle(plan.idle_seconds)

    work = Work(stage.system, pictures, METADATA)
    for number in range(plan.cold_starts):
        await release_state.no_workers(stage.kube)
        seen = await load.closed_loop(work, clients=1, images=1, poll_seconds=POLL_SECONDS)
        run.cold_seconds += seen.latencies
        stage.say(f"  cold start {number + 1}: {seen.seconds:.2f} s")


async def _measure_warm(stage: Stage, plan: Plan, material: Material, rival: Rival) -> None:
    """Measure all systems under load, in turn, with workers that are already running."""
    stage.arena.configure(WARM)
    await release_state.workers_serve(stage.kube, WARM_WORKERS)
    run, pictures, celery = material.run, material.pictures, rival.running
    key = stage.arena.upload(JOBS_PICTURE, pictures[0].data)

    jobs = JobPerImage(stage.kube, await release_state.worker_pod(stage.kube), key)

    meter = Meter(stage.arena, stage.kube, celery)
    patient = PatientVisionNode(stage.http, stage.kube)
    queues: list[System] = [stage.system, rival.client]
    rounds = Rounds(plan, pictures, queues, patient, jobs, meter, run.samples)
    await rounds.warm_up()
    await _clear(stage, celery)

    with Producer.connected(celery.broker, celery.jobs) as producer:
        contest = await _contest(stage, plan, material, producer, celery)
        batches = BatchRounds(plan, pictures, contest, meter, run, stage.say)
        await batches.prepare()

        sender = Uploads(contest.batches, stage.http, material.access)
        uploads = UploadRounds(plan, pictures, sender, meter, run, stage.say)
        await uploads.prepare()
        await meter.wait_until_idle()

        for number in range(plan.rounds):
            await _measure_round(stage, run, number, rounds, batches)
            await _measure_uploads(stage, run, number, uploads)


async def _measure_round(
    stage: Stage, run: Run, number: int, rounds: Rounds, batches: BatchRounds
) -> None:
    """Measure one round of all loads, and save the results after each part of it."""
    celery, title = batches.contest.celery, f"round {number + 1} of {rounds.plan.rounds}"

    started = time.monotonic()
    await rounds.run(number)
    run.imagejob_bytes = await release_state.imagejob_bytes(stage.kube)
    await _clear(stage, celery)
    await rounds.meter.wait_until_idle()
    run.turned_away = stage.system.turned_away
    results.save(run, RESULTS)
    stage.say(f"  {title}: {_since(started)}")

    started = time.monotonic()
    await batches.measure(number)
    await _clear(stage, celery)
    results.save(run, RESULTS)
    stage.say(f"  {title}, batches: {_since(started)}")


async def _measure_uploads(stage: Stage, run: Run, number: int, uploads: UploadRounds) -> None:
    """Measure uploads in one round, and save the results."""
    started = time.monotonic()
    await uploads.measure(number)
    results.save(run, RESULTS)
    stage.say(f"  round {number + 1} of {uploads.plan.rounds}, uploads: {_since(started)}")


async def _contest(
    stage: Stage, plan: Plan, material: Material, producer: Producer, celery: CeleryRunning
) -> Contest:
    """Store the photographs of the batches in the bucket and on the Celery system's disk."""
    started = time.monotonic()
    access, folder = material.access, celery.folder / "photographs"
    stored, warm_up = [
        await prepare(access.bucket, access.folder, folder, material.pictures, images)
        for images in (plan.batch_images, plan.warm_up)
    ]
    # Otherwise, the kernel would write them while the systems are measured.
    await asyncio.to_thread(os.sync)
    stage.say(f"  {len(stored.keys):,} photographs are in MinIO and on disk: {_since(started)}")

    batches = Batches(stage.kube, stage.http)
    return Contest(batches, stage.system, producer, celery, stored, warm_up)


async def _clear(stage: Stage, celery: CeleryRunning) -> None:
    """Delete the jobs of both systems."""
    await release_state.delete_imagejobs(stage.kube)
    celery.jobs.clear()


def _since(started: float) -> str:
    return f"{time.monotonic() - started:.0f} s"


@contextlib.contextmanager
def _celery(arena: Arena, bucket: BucketSettings) -> Iterator[CeleryRunning]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-celery-") as folder,
        celery_running(Path(folder), arena, bucket) as found,
    ):
        yield found
