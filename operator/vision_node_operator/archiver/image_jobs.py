"""Create the archiver's work on single ImageJobs, with and without a database."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.history.database import Database
from vision_node_contract.history.schema import schema_name

from ..runtime.garbage_collector import GarbageCollector
from .counts import JobCounts
from .history.link import History, Surroundings
from .history.marks import EvictionMarks
from .history.migrate import migrate
from .history.store import LIMITS, HistoryStore
from .jobs.etcd_jobs import EtcdJobs, delete_periodically
from .jobs.eviction import EvictionLimits
from .jobs.history_jobs import HistoryJobs, Lifetimes
from .jobs.imagejob_watch import ImageJobWatch
from .jobs.live_jobs import LiveJobs
from .jobs.sweep import JobSweep
from .settings import HistorySettings, Settings
from .sweep_guard import FormerHistory
from .webhooks.deliverer import Deliverer
from .webhooks.setup import webhooks

Work = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class ImageJobWork:
    """The work on single ImageJobs, and what it counts."""

    counts: JobCounts = field(default_factory=JobCounts)
    work: list[Work] = field(default_factory=list)
    """Coroutines that have to run at the same time, until cancelled."""
    jobs: HistoryJobs | None = None
    """The work on the history; None without a database."""
    deliverer: Deliverer | None = None
    """What sends messages to callbacks; None if the release sends none."""


@asynccontextmanager
async def image_jobs(around: Surroundings, settings: Settings) -> AsyncIterator[ImageJobWork]:
    """Yield the archiver's work on single ImageJobs, with a connection to the database if any."""
    counts = JobCounts()
    history, release_id = settings.history, around.bucket.folders.release_id
    if not settings.archives_imagejobs:
        yield ImageJobWork(counts)
    elif history is None or not release_id:
        yield ImageJobWork(counts, _without_history(around, settings, counts))
    else:
        async with Database.open(history.database, schema_name(release_id), LIMITS) as database:
            jobs = history_jobs(database, around, history, counts)
            work = [*jobs.work(), around.ownership.run()]
            with webhooks(database, jobs.store, jobs.link, history) as deliverer:
                sending = [deliverer.run()] if deliverer else []
                yield ImageJobWork(counts, [*work, *sending], jobs, deliverer)


def history_jobs(
    database: Database, around: Surroundings, settings: HistorySettings, counts: JobCounts
) -> HistoryJobs:
    """Return the work on single ImageJobs with a database."""
    store = HistoryStore(database)
    marks = EvictionMarks(database, store.counter)
    history = History(store, marks, lambda: migrate(database, settings.api_role))
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
        JobSweep(garbage, counts, None, FormerHistory(bucket)).run(),
        delete_periodically(garbage, live),
        around.ownership.run(),
    ]
