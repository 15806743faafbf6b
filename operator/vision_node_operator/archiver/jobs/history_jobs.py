"""All work on the history of single ImageJobs, and how its parts are connected."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vision_node_contract.clients.imagejobs import ImageJobClient
from vision_node_contract.clients.kube import Kube
from vision_node_contract.names import BATCH_PLURAL, PLURAL, path_of

from ...runtime.garbage_collector import GarbageCollector
from ..counts import JobCounts
from ..history.link import Existing, History, HistoryLink, Surroundings
from .archiver import Archiver
from .deletions import Deletion, Deletions
from .etcd_jobs import delete_periodically
from .eviction import EvictionLimits
from .evictor import Evictor
from .imagejob_watch import ImageJobWatch
from .job_reader import JobReader
from .live_jobs import Content, LiveJob, LiveJobs
from .reconciliation import Reconciliation
from .retention import Retention
from .sweep import HistoryNames, JobSweep


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long ImageJobs, data and images stay."""

    eviction: EvictionLimits
    data: timedelta | None
    """The default time to live of data; None means forever."""
    images: timedelta | None
    """How long images stay after the end of their jobs; None means as long as the data."""


class HistoryJobs:
    """Archives, evicts and deletes ImageJobs."""

    def __init__(
        self,
        history: History,
        around: Surroundings,
        imagejobs: ImageJobClient,
        lifetimes: Lifetimes,
        counts: JobCounts,
    ) -> None:
        kube, bucket, namespace = around.kube, around.bucket, around.settings.namespace
        self.live = LiveJobs()
        self.store = history.store
        self.link = HistoryLink(history, around, self)
        self._kube: Kube = kube
        self._batches = path_of(BATCH_PLURAL, namespace)
        self._imagejobs = path_of(PLURAL, namespace)

        store, reader = history.store, JobReader(kube, namespace)
        names = HistoryNames(store, self.link, bucket.folders)
        self.garbage = GarbageCollector(bucket, imagejobs, kube, around.ownership, names.named)
        self.archiver = Archiver(store, self.link, self.live, reader, bucket)
        self.deletions = Deletions(history, self.link, self.live, reader, self.garbage)
        self.deletions.queue = self.archiver.queue
        self.archiver.counts = self.deletions.counts = counts

        self.evictor = Evictor(
            self.archiver, self.link, history.marks, self.deletions, lifetimes.eviction
        )
        self.reconciliation = Reconciliation(store, self.link, self.live, self.deletions)
        self.retention = Retention(
            store, self.deletions, self.live, lifetimes.data, lifetimes.images
        )
        self.sweep = JobSweep(self.garbage, counts, self.link)
        self.watch = ImageJobWatch(kube, namespace, self.live, bucket.folders, counts)
        self.link.on_lost_rows.append(self.archive_again)

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what has to run at the same time, until cancelled."""
        return [
            self.link.run(),
            self.watch.run(self),
            self.archiver.run(),
            self.evictor.run(),
            self.deletions.run(),
            self.reconciliation.run(),
            self.retention.run(self.link, self.archiver.archived),
            self.sweep.run(),
            delete_periodically(self.garbage, self.live),
        ]

    def finished(self, job: LiveJob, content: Content, *, is_new: bool) -> None:
        """Archive a finished ImageJob."""
        # Those of a list are usually archived already. Its pages don't tell the size of each.
        self.archiver.queue.offer(job, content if is_new else None, may_be_archived=not is_new)

    def deleted(self, job: LiveJob, *, is_seen: bool) -> None:
        """Delete the data of an ImageJob that is gone, unless it was evicted."""
        if not self.was_evicted(job.uid):
            self.deletions.add(Deletion.of(job, is_seen=is_seen))

    def was_evicted(self, uid: str) -> bool:
        """Return whether this process has evicted an ImageJob that is gone."""
        self.archiver.queue.remove(uid)
        return self.deletions.was_evicted(uid)

    def listed(self, version: int, known: int) -> None:
        """Compare the resourceVersion of a complete list with what was known."""
        self.link.listed(version, known)

    def archive_again(self) -> None:
        """Offer all ImageJobs again, because the database may have lost their rows."""
        for job in filter(None, map(self.live.get, self.live.archived)):
            self.archiver.queue.offer(job, None, may_be_archived=True)
        self.live.archived.clear()

    def lag(self, now: datetime) -> timedelta:
        """Return the age of the oldest finished ImageJob that is not archived."""
        waiting = (self.live.get(uid) for uid in self.archiver.queue.uids())
        ends = [it.finished_at for it in waiting if it and it.finished_at]
        return max(timedelta(), now - min(ends, default=now))

    async def existing(self) -> Existing:
        """Return all ImageJobs and ImageBatches whose rows are not to be kept."""
        await self.live.synced.wait()
        found: set[str] = set()
        async for bodies, _ in self._kube.list_pages(self._batches):
            found.update(body["metadata"]["uid"] for body in bodies)

        return Existing(found | self.live.uids(), self.deletions.seen)

    async def current_version(self) -> int:
        """Return the cluster's current resourceVersion."""
        body = await self._kube.request("GET", self._imagejobs, query=[("limit", "1")])
        return int(body["metadata"]["resourceVersion"])
