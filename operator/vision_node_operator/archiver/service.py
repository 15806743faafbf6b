"""Create the archiver's components, and run them."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from vision_node_contract.batch_objects import BatchFolder
from vision_node_contract.clients.bucket import Bucket, BucketSettings
from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube
from vision_node_contract.history.database import Database, Limits
from vision_node_contract.history.schema import schema_name
from vision_node_contract.listening import listen
from vision_node_contract.metrics import server as metrics_server

from ..runtime import probe_server
from ..runtime.freshness import Heartbeat
from ..runtime.garbage_collector import GarbageCollector
from ..runtime.storage_ownership import StorageOwnership
from .batch_watch import BatchWatch
from .batches import BatchClient
from .counts import JobCounts
from .folder_cleaner import FolderCleaner
from .freeze_queue import FreezeQueue
from .freezer import Freezer
from .history.link import History, Surroundings
from .history.marks import EvictionMarks
from .history.migrate import migrate
from .history.store import HistoryStore
from .jobs.etcd_jobs import EtcdJobs, delete_periodically
from .jobs.eviction import EvictionLimits
from .jobs.history_jobs import HistoryJobs, Lifetimes
from .jobs.imagejob_watch import ImageJobWatch
from .jobs.live_jobs import LiveJobs
from .jobs.sweep import JobSweep
from .metrics import archiver_metrics
from .settings import HistorySettings, Settings
from .sweep import Sweep

LIMITS = Limits(connections=4, statement_seconds=30.0, answer_seconds=60.0)
"""Limits for the archiver's use of the database. A group of 500 rows takes a fifth of a second, but
nobody waits for it, so it may also succeed on a database that takes seconds for a statement."""

Work = Coroutine[Any, Any, None]


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
        async with image_jobs(around, settings) as (jobs, counts, work):
            metrics = archiver_metrics(kube, bucket, counts, jobs)
            sockets = listen(metrics_server.PORT, metrics_server.ADDRESS_VARIABLE)
            async with metrics_server.serving(sockets, metrics.text):
                await archive(around, settings, heartbeat, work)


async def archive(
    around: Surroundings, settings: Settings, heartbeat: Heartbeat, others: Iterable[Work] = ()
) -> None:
    """Do the archiver's work, and `others`, until cancelled.

    Nothing that concerns ImageBatches waits for the database.
    """
    kube, bucket, ownership = around.kube, around.bucket, around.ownership
    batches = BatchClient(kube, settings.namespace)
    cleaner = FolderCleaner(bucket, ownership)
    freezer = Freezer(bucket, batches, cleaner, settings.max_images)
    watch = BatchWatch(kube, batches, cleaner, bucket.folders)

    async def relist() -> None:
        await watch.relist(queue)

    def delete(uid: str) -> None:
        cleaner.clean(BatchFolder(bucket.folders, uid).prefix)

    queue = FreezeQueue(freezer, delete, relist, heartbeat)
    sweep = Sweep(bucket, batches, ownership, cleaner)

    async with asyncio.TaskGroup() as tasks:
        for work in (watch.run(queue), queue.run(), cleaner.run(), sweep.run(), *others):
            tasks.create_task(work)


@asynccontextmanager
async def image_jobs(
    around: Surroundings, settings: Settings
) -> AsyncIterator[tuple[HistoryJobs | None, JobCounts, list[Work]]]:
    """Yield what the archiver does with single ImageJobs, its counters, and what has to run."""
    counts = JobCounts()
    history, release_id = settings.history, around.bucket.folders.release_id
    if not settings.archives_imagejobs:
        yield None, counts, []
    elif history is None or not release_id:
        yield None, counts, _without_history(around, settings, counts)
    else:
        async with Database.open(history.database, schema_name(release_id), LIMITS) as database:
            jobs = history_jobs(database, around, history, counts)
            yield jobs, counts, [*jobs.work(), around.ownership.run()]


def history_jobs(
    database: Database, around: Surroundings, settings: HistorySettings, counts: JobCounts
) -> HistoryJobs:
    """Return the work on single ImageJobs with a database."""
    history = History(
        HistoryStore(database),
        EvictionMarks(database),
        lambda: migrate(database, settings.api_role),
    )
    limits = EvictionLimits(settings.imagejobs, settings.max_finished, settings.evict_floor)
    lifetimes = Lifetimes(limits, settings.data, settings.images)
    imagejobs = ImageJobClient(around.kube, around.settings.namespace)

    return HistoryJobs(history, around, imagejobs, lifetimes, counts)


def _without_history(around: Surroundings, settings: Settings, counts: JobCounts) -> list[Work]:
    """Return the work on single ImageJobs without a database."""
    kube, bucket, live = around.kube, around.bucket, LiveJobs()
    imagejobs = ImageJobClient(kube, settings.namespace)
    garbage = GarbageCollector(bucket, imagejobs, kube, around.ownership)
    watch = ImageJobWatch(kube, settings.namespace, live, bucket.folders, counts)

    return [
        watch.run(EtcdJobs(garbage, live)),
        JobSweep(garbage, counts, None).run(),
        delete_periodically(garbage, live),
        around.ownership.run(),
    ]
