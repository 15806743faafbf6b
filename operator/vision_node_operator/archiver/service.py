"""Create the archiver's components, and run them."""

import asyncio
import signal
from collections.abc import Iterable

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.kube import Kube
from vision_node_contract.listening import listen
from vision_node_contract.metrics import server as metrics_server

from ..runtime import probe_server
from ..runtime.freshness import Heartbeat
from ..runtime.storage_ownership import StorageOwnership
from .batch_parts import BatchParts
from .batch_watch import BatchWatch
from .freeze_queue import FreezeQueue
from .freezer import Freezer
from .history.link import Surroundings
from .image_jobs import Work, image_jobs
from .metrics import archiver_metrics
from .settings import Settings
from .sweep import Sweep


async def run(settings: Settings) -> None:
    """Run until SIGTERM, or until an error occurs that only a restart can fix."""
    working = asyncio.create_task(_work(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)

    await asyncio.wait({working})
    if not working.cancelled():
        working.result()


async def _work(settings: Settings) -> None:
    heartbeat = Heartbeat()
    async with (
        Kube.connect("archiver") as kube,
        Bucket.open(BucketSettings.from_env()) as bucket,
        probe_server.serving(listen(probe_server.PORT), heartbeat.check),
    ):
        around = Surroundings(kube, bucket, StorageOwnership(bucket, kube, settings), settings)
        async with image_jobs(around, settings) as image:
            parts = BatchParts.of(around, settings, image.jobs)
            metrics = archiver_metrics(kube, bucket, image, parts.history)
            sockets = listen(metrics_server.PORT, metrics_server.ADDRESS_VARIABLE)
            async with metrics_server.serving(sockets, metrics.text):
                await together([*batch_work(around, settings, heartbeat, parts), *image.work])


async def together(works: Iterable[Work]) -> None:
    """Do all work at the same time until cancelled, or until one ends with an error."""
    async with asyncio.TaskGroup() as tasks:
        for work in works:
            tasks.create_task(work)


def batch_work(
    around: Surroundings, settings: Settings, heartbeat: Heartbeat, parts: BatchParts
) -> list[Work]:
    """Return the work on ImageBatches.

    Nothing that concerns unfinished ImageBatches waits for the database.
    """
    bucket, batches, cleaner, history = around.bucket, parts.batches, parts.cleaner, parts.history
    freezer = Freezer(bucket, batches, cleaner, settings.max_images)
    watch = BatchWatch(around.kube, batches, cleaner, bucket.folders, history)

    async def relist() -> None:
        await watch.relist(queue)

    def clean(uid: str) -> None:
        cleaner.clean(BatchFolder(bucket.folders, uid).prefix)

    delete, miss = (history.observe_deleted, history.observe_missing) if history else (clean, clean)
    queue = FreezeQueue(freezer, delete, miss, relist, heartbeat)
    sweep = Sweep(bucket, batches, parts.ownership, cleaner, parts.guard)
    works = [watch.run(queue), queue.run(), cleaner.run(), sweep.run()]

    return [*works, history.run()] if history else works
