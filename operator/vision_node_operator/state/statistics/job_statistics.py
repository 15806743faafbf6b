"""Count what happens to ImageJobs, by Describer, while the operator watches.

Each event is counted once: when an ImageJob that was unfinished before is seen with a new status.
Old ImageJobs in a list are therefore never counted, and after a restart all counts start at 0.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vision_node_contract.models.imagebatch import ImageBatch
from vision_node_contract.models.imagejob import ImageJob
from vision_node_contract.models.reasons import Reason

from .durations import PHASE_SECONDS, Durations

MAX_DESCRIBERS = 50
"""Maximum number of Describers that have statistics of their own. Each has some 50 series, which
take 0.2 ms of each scrape."""

OTHER_DESCRIBER = "_other"
"""Stands for all other Describers, and for those that don't exist but that ImageJobs name. No
Describer can have this name."""

DESCRIBED = "Described"
"""Reason of an ImageJob that is done, as in its condition Complete."""

OTHER_REASON = "other"
"""Stands for any reason that this release does not know. Workers write reasons, so there could be
any number of them."""

CREATION_PRECISION = timedelta(seconds=1)
"""Kubernetes cuts off the fractions of a second in creation times."""

_REASONS = frozenset(Reason)


@dataclass(slots=True)
class DescriberStatistics:
    """Statistics about the ImageJobs of one Describer."""

    queued: Durations = field(default_factory=lambda: Durations(PHASE_SECONDS))
    """Time from creation to the first assignment."""
    processing: Durations = field(default_factory=lambda: Durations(PHASE_SECONDS))
    """Time from the first assignment to the end, including further attempts."""
    finished: Counter[tuple[str, str]] = field(
        default_factory=lambda: Counter({("done", DESCRIBED): 0})
    )
    """Numbers of finished ImageJobs by phase and reason."""
    requeued: Counter[str] = field(default_factory=Counter)
    """Numbers of attempts after which the ImageJob was queued again, by reason."""
    lost: Counter[str] = field(default_factory=Counter)
    """Numbers of those attempts that did not count toward maxAttempts, by cause."""
    batch_images: Counter[str] = field(default_factory=lambda: Counter({"done": 0, "failed": 0}))
    """Numbers of images of ImageBatches that were counted, by outcome."""


@dataclass
class JobStatistics:
    """Statistics about all ImageJobs, by Describer or OTHER_DESCRIBER."""

    by_describer: dict[str, DescriberStatistics] = field(default_factory=dict)
    _first_seen: dict[str, datetime] = field(default_factory=dict)
    """When unfinished ImageJobs that were never assigned were first seen, by name."""

    def label(self, describer: str, *, exists: bool) -> str:
        """Return the name under which a Describer's ImageJobs are counted."""
        if not exists:
            return OTHER_DESCRIBER

        known = describer in self.by_describer or len(self.by_describer) < MAX_DESCRIBERS
        return describer if known else OTHER_DESCRIBER

    def add_describer(self, describer: str) -> None:
        """Start to count for a Describer, so that its counters are 0 before its first ImageJob."""
        if self.label(describer, exists=True) == describer:
            self.by_describer.setdefault(describer, DescriberStatistics())

    def drop_describer(self, describer: str) -> None:
        """Forget the statistics of a Describer that was deleted."""
        self.by_describer.pop(describer, None)

    def drop_job(self, name: str) -> None:
        """Forget an ImageJob that was deleted."""
        self._first_seen.pop(name, None)

    def record(self, job: ImageJob, before: ImageJob | None, label: str, now: datetime) -> None:
        """Record the new status of an ImageJob.

        Args:
            job: The ImageJob.
            before: The ImageJob as it was seen before, if it was unfinished; otherwise None.
            label: The name that `label` returned for its Describer.
            now: The current time.
        """
        if before is None:
            self._record_new(job, now)
            return

        found = self.by_describer.get(label)
        if found is None:
            found = self.by_describer[label] = DescriberStatistics()

        start = job.status.start_time
        if start and not before.status.start_time:
            created = self._created(job) or start
            found.queued.add((start - created).total_seconds())
        if job.finished:
            _record_end(found, job, now)
        elif (before.status.phase, job.status.phase) == ("processing", "queued"):
            _record_requeue(found, job, before)

        if job.finished or start:
            self.drop_job(job.metadata.name)

    def record_batch(self, batch: ImageBatch, before: ImageBatch, label: str) -> None:
        """Record how many more images of an ImageBatch have been counted."""
        found = self.by_describer.setdefault(label, DescriberStatistics())
        found.batch_images["done"] += batch.counts.done - before.counts.done
        found.batch_images["failed"] += batch.counts.failed - before.counts.failed

    def _record_new(self, job: ImageJob, now: datetime) -> None:
        if not (job.finished or job.status.start_time):
            self._first_seen[job.metadata.name] = now

    def _created(self, job: ImageJob) -> datetime | None:
        """Return when an ImageJob was created, as precisely as possible.

        The watch usually reports an ImageJob milliseconds after its creation, which is more precise
        than the creation time.
        """
        seen = self._first_seen.get(job.metadata.name)
        created = job.metadata.creation_timestamp
        if created is None or seen is None:
            return created or seen

        return min(max(created, seen), created + CREATION_PRECISION)


def reason_of(job: ImageJob) -> str:
    """Return the reason of an ImageJob's last error, or OTHER_REASON if it is unknown here."""
    reason = job.status.error.reason if job.status.error else ""
    return reason if reason in _REASONS else OTHER_REASON


def _record_end(found: DescriberStatistics, job: ImageJob, now: datetime) -> None:
    status = job.status
    reason = DESCRIBED if status.phase == "done" else reason_of(job)
    found.finished[status.phase, reason] += 1

    if status.start_time:
        # Workers write the completion time, so it is untrusted.
        completed = min(status.completion_time or now, now)
        found.processing.add((completed - status.start_time).total_seconds())


def _record_requeue(found: DescriberStatistics, job: ImageJob, before: ImageJob) -> None:
    reason = reason_of(job)
    found.requeued[reason] += 1

    if job.status.losses > before.status.losses:
        cause = Reason(reason).cause if reason in _REASONS else None
        found.lost[cause or OTHER_REASON] += 1
