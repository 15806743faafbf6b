"""Keep ImageJobs in the indexes that decisions need: by queue, by worker and by end.

In a queue, ImageJobs with a higher priority come first. Among ImageJobs of the same priority, the
next one is the oldest ImageJob of the owner who has the fewest ImageJobs in processing. So ten
thousand images of one owner do not delay a single image of another owner.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heapreplace

from vision_node_contract.models.imagejob import DEFAULT_TTL, ImageJob, Phase
from vision_node_contract.names import OWNER_LABEL

from .object_versions import LONG_AGO, ObjectKey
from .schedule import Place, Schedule, remove_place
from .waiting import Waiting

OwnerQueue = list[Place]
"""One owner's queued ImageJobs of one priority, by creation time."""

DescriberQueue = dict[int, dict[str, OwnerQueue]]
"""One describer's queued ImageJobs, by priority and owner."""

MAX_UNANNOUNCED = 1000
"""Maximum number of failed ImageJobs that wait for their Event. More Events would only be noise."""


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """The data that the operator keeps about a finished ImageJob."""

    name: str
    version: int
    ended: datetime
    """When the ImageJob ended, as far as the operator can know (see JobQueue.end_of)."""
    image_key: str
    phase: Phase = "done"

    @property
    def key(self) -> ObjectKey:
        """The ImageJob's ObjectKey."""
        return ObjectKey("imagejobs", self.name)


@dataclass
class JobQueue:
    """ImageJobs by name, with an index for each query that decide() makes."""

    ttl: timedelta | None = DEFAULT_TTL
    """How long to keep a finished ImageJob that has no ttlSecondsAfterFinished; None means
    forever."""
    min_kept: timedelta = timedelta(minutes=15)
    """How long to keep every finished ImageJob, however many there are."""

    unfinished: dict[str, ImageJob] = field(default_factory=dict)
    finished: dict[str, FinishedJob] = field(default_factory=dict)
    unannounced: dict[str, ImageJob] = field(default_factory=dict)
    """Failed ImageJobs that have no Event yet, by name."""

    _queues: dict[str, DescriberQueue] = field(default_factory=dict)
    """Queues by describer."""
    _created: dict[str, Schedule] = field(default_factory=dict)
    """Creation times of queued ImageJobs by describer, including those that wait."""
    _cancelled: dict[str, dict[str, None]] = field(default_factory=dict)
    """Names of queued ImageJobs that were cancelled, by describer."""
    _waiting: Waiting = field(default_factory=Waiting)
    """Queued ImageJobs that are in no queue, because they may not be written yet."""
    _queued_total: Counter[str] = field(default_factory=Counter)
    """Number of ImageJobs in the queues by describer."""
    _suspects: set[str] = field(default_factory=set)
    _processing: dict[str, str] = field(default_factory=dict)
    """Workers (pod names) by ImageJob name."""
    _ended: dict[str, None] = field(default_factory=dict)
    """Names of ImageJobs in processing that were cancelled or whose attempt has failed."""
    _deadlines: list[Place] = field(default_factory=list)
    """ImageJobs in processing, sorted by the deadline of their attempt."""
    _in_flight: dict[str, dict[str, None]] = field(default_factory=dict)
    """Names of ImageJobs by worker (pod name)."""
    _processing_by_owner: Counter[str] = field(default_factory=Counter)
    _expiry: Schedule = field(default_factory=Schedule)
    """When finished ImageJobs expire."""
    _evictable: Schedule = field(default_factory=Schedule)
    """From when on finished ImageJobs may be deleted if there are too many."""
    _deleted: set[str] = field(default_factory=set)
    """Finished ImageJobs whose deletion the API server has accepted. They still exist while they
    have a finalizer, or until the watch reports the deletion."""
    _finished_phases: Counter[Phase] = field(default_factory=Counter)
    """Numbers of finished ImageJobs by phase."""
    _images: Counter[str] = field(default_factory=Counter)
    """Number of ImageJobs by image key. Several ImageJobs may name the same image, because a retry
    names the image of the original."""

    @property
    def total(self) -> int:
        """Number of ImageJobs, including those that are being deleted."""
        return len(self.unfinished) + len(self.finished)

    @property
    def deleting(self) -> int:
        """Number of finished ImageJobs whose deletion the API server has accepted."""
        return len(self._deleted)

    def put(self, job: ImageJob, now: datetime, ended: datetime | None = None) -> None:
        """Record the current state of an ImageJob.

        If it is finished, it ended at `ended`, which defaults to end_of(job, now).
        """
        ended = ended or self.end_of(job, now)
        name = job.metadata.name
        self.drop(name)
        self._images[job.spec.image.key] += 1

        if job.finished:
            self._put_finished(job, ended)
            return

        self.unfinished[name] = job
        if job.status.suspect:
            self._suspects.add(name)

        if job.status.phase == "processing":
            self._put_processing(job)
            return

        self._created.setdefault(job.spec.describer, Schedule()).add(name, _place(job)[0])
        if not job.spec.cancel and (job.status.next_attempt_time or now) > now:
            self._waiting.add(name, job.status.next_attempt_time or now)
        else:
            self._put_queued(job)

    def drop(self, name: str) -> ImageJob | None:
        """Forget an ImageJob; return its last known state if it was unfinished, otherwise None."""
        if done := self.finished.pop(name, None):
            self._expiry.remove(name)
            self._evictable.remove(name)
            self._deleted.discard(name)
            self._finished_phases[done.phase] -= 1
            self._drop_image(done.image_key)

        job = self.unfinished.pop(name, None)
        if job is None:
            return None

        self._drop_image(job.spec.image.key)
        self._suspects.discard(name)
        if name in self._processing:
            self._drop_processing(job)
            return job

        self._drop_created(job)
        if name in self._waiting:
            self._waiting.discard(name)
        else:
            self._drop_queued(job)

        return job

    def add_failure(self, job: ImageJob) -> None:
        """Remember an ImageJob that has just failed, so that an Event is written for it."""
        if len(self.unannounced) < MAX_UNANNOUNCED:
            self.unannounced[job.metadata.name] = job

    def announce(self, name: str) -> None:
        """Forget a failed ImageJob whose Event is being written."""
        self.unannounced.pop(name, None)

    def in_flight(self, worker: str) -> int:
        """Return how many ImageJobs are assigned to the worker (pod name)."""
        return len(self._in_flight.get(worker, ()))

    def assigned_to(self, worker: str) -> Iterator[ImageJob]:
        """Yield the ImageJobs that are assigned to the worker (pod name)."""
        return (self.unfinished[name] for name in self._in_flight.get(worker, ()))

    def describers(self) -> list[str]:
        """Return the names of describers that have queued ImageJobs, cancelled ones included."""
        return list(self._queues | self._cancelled)

    @property
    def suspect_total(self) -> int:
        """Number of unfinished ImageJobs that may have caused a worker to end."""
        return len(self._suspects)

    def queued_total(self, describer: str) -> int:
        """Return how many of the describer's ImageJobs are queued and need not wait."""
        return self._queued_total.get(describer, 0)

    def queued(self, describer: str) -> Iterator[ImageJob]:
        """Yield the describer's queued ImageJobs in the order of assignment."""
        priorities = self._queues.get(describer, {})
        taken = Counter(self._processing_by_owner)
        for priority in sorted(priorities, reverse=True):
            for name in _fair_order(priorities[priority], taken):
                yield self.unfinished[name]

    def queued_before(self, describer: str, created: datetime) -> Iterator[ImageJob]:
        """Yield the describer's queued ImageJobs that were created at or before this time.

        The order is by priority and by owner. Younger ImageJobs are not looked at.
        """
        priorities = self._queues.get(describer, {})
        for priority in sorted(priorities, reverse=True):
            for queue in priorities[priority].values():
                for when, name in queue:
                    if when > created:
                        break
                    yield self.unfinished[name]

    def workers(self) -> list[str]:
        """Return the workers (pod names) that have ImageJobs."""
        return list(self._in_flight)

    def ended_attempts(self) -> Iterator[ImageJob]:
        """Yield ImageJobs in processing that were cancelled or whose attempt has failed."""
        return (self.unfinished[name] for name in self._ended)

    def overdue(self, now: datetime) -> Iterator[ImageJob]:
        """Yield ImageJobs in processing whose deadline has passed, ordered by deadline."""
        for deadline, name in self._deadlines:
            if deadline > now:
                return
            yield self.unfinished[name]

    def cancelled(self, describer: str) -> Iterator[ImageJob]:
        """Yield the describer's queued ImageJobs that were cancelled."""
        return (self.unfinished[name] for name in self._cancelled.get(describer, ()))

    def release(self, now: datetime) -> list[str]:
        """Put ImageJobs that no longer have to wait into their queues, and return their names."""
        names = [*self._waiting.release(now)]
        for name in names:
            self._put_queued(self.unfinished[name])

        return names

    def suspects(self) -> Iterator[ImageJob]:
        """Yield unfinished ImageJobs that may have caused a worker to end."""
        return (self.unfinished[name] for name in sorted(self._suspects))

    def expired(self, now: datetime) -> Iterator[FinishedJob]:
        """Yield finished ImageJobs whose time to live has expired, ordered by expiry."""
        return (self.finished[name] for name in self._expiry.due(now))

    def evictable(self, now: datetime) -> Iterator[FinishedJob]:
        """Yield finished ImageJobs that may be deleted if there are too many, ordered by end.

        An ImageJob that could not be deleted is ordered by the time of the next attempt.
        """
        return (self.finished[name] for name in self._evictable.due(now))

    def postpone(self, name: str, until: datetime) -> None:
        """Leave an ImageJob alone until `until`, because it could not be written or deleted."""
        if name in self.unfinished:
            self._wait(self.unfinished[name], until)
            return

        self._expiry.postpone(name, until)
        self._evictable.postpone(name, until)

    def record_deletion(self, name: str) -> None:
        """Record that the API server has accepted a finished ImageJob's deletion."""
        if name in self.finished:
            self._deleted.add(name)
            self._evictable.remove(name)

    def end_of(self, job: ImageJob, now: datetime) -> datetime:
        """Return when an ImageJob that is seen finished at `now` ended.

        Workers write the completion time, so it is untrusted: a worker with a slow clock could get
        a result deleted that no client has read yet. If the operator saw the ImageJob before it was
        finished, the end is the time at which the operator first saw it finished. Otherwise, as
        after a restart, it is the completion time, but not before the ImageJob was created, and not
        in the future. So restarts don't prolong the time for which ImageJobs are kept.
        """
        name, created = job.metadata.name, job.metadata.creation_timestamp or LONG_AGO
        done = self.finished.get(name)
        if done and created <= done.ended:  # otherwise, this is a new ImageJob of the same name
            return done.ended

        if name in self.unfinished:
            return now

        return job.completed(now)

    def by_phase(self) -> dict[Phase, int]:
        """Return the number of ImageJobs in each phase."""
        processing = len(self._processing)
        return {
            "queued": len(self.unfinished) - processing,
            "processing": processing,
            "done": self._finished_phases["done"],
            "failed": self._finished_phases["failed"],
        }

    def oldest_queued(self, describer: str) -> datetime | None:
        """Return when the describer's oldest queued ImageJob was created; None if there is none."""
        created = self._created.get(describer)
        return created.first() if created else None

    def is_image_named(self, key: str) -> bool:
        """Return whether an ImageJob names the image with this object key."""
        return key in self._images

    def _put_finished(self, job: ImageJob, ended: datetime) -> None:
        name, version = job.metadata.name, int(job.metadata.resource_version)
        kept = job.spec.ttl(self.ttl)
        key, phase = job.spec.image.key, job.status.phase
        self.finished[name] = FinishedJob(name, version, ended, key, phase)
        self._finished_phases[phase] += 1

        if job.metadata.deletion_timestamp:
            self._deleted.add(name)
            return

        self._evictable.add(name, ended + self.min_kept)
        if kept is not None:
            self._expiry.add(name, ended + kept)

    def _wait(self, job: ImageJob, until: datetime) -> None:
        """Take an ImageJob out of its queue until the given time."""
        name = job.metadata.name
        if name in self._processing:
            return

        if name not in self._waiting:
            self._drop_queued(job)
        self._waiting.add(name, until)

    def _put_queued(self, job: ImageJob) -> None:
        if job.spec.cancel:
            self._cancelled.setdefault(job.spec.describer, {})[job.metadata.name] = None
            return

        self._queued_total[job.spec.describer] += 1
        priorities = self._queues.setdefault(job.spec.describer, {})
        owners = priorities.setdefault(job.spec.priority, {})
        insort(owners.setdefault(owner_of(job), []), _place(job))

    def _put_processing(self, job: ImageJob) -> None:
        name, worker = job.metadata.name, job.status.worker or ""
        if job.spec.cancel or job.status.error:
            self._ended[name] = None
        elif job.status.attempt_deadline:
            insort(self._deadlines, (job.status.attempt_deadline, name))

        self._processing[name] = worker
        self._in_flight.setdefault(worker, {})[name] = None
        self._processing_by_owner[owner_of(job)] += 1

    def _drop_processing(self, job: ImageJob) -> None:
        name, owner = job.metadata.name, owner_of(job)
        self._processing_by_owner[owner] -= 1
        if not self._processing_by_owner[owner]:
            del self._processing_by_owner[owner]

        if name in self._ended:
            del self._ended[name]
        elif job.status.attempt_deadline:
            remove_place(self._deadlines, (job.status.attempt_deadline, name))

        worker = self._processing.pop(name)
        del self._in_flight[worker][name]
        if not self._in_flight[worker]:
            del self._in_flight[worker]

    def _drop_created(self, job: ImageJob) -> None:
        created = self._created[job.spec.describer]
        created.remove(job.metadata.name)
        if created.first() is None:
            del self._created[job.spec.describer]

    def _drop_queued(self, job: ImageJob) -> None:
        if job.spec.cancel:
            cancelled = self._cancelled[job.spec.describer]
            del cancelled[job.metadata.name]
            if not cancelled:
                del self._cancelled[job.spec.describer]
            return

        priorities = self._queues[job.spec.describer]
        owners = priorities[job.spec.priority]
        queue = owners[owner_of(job)]
        remove_place(queue, _place(job))

        self._queued_total[job.spec.describer] -= 1
        if not queue:
            del owners[owner_of(job)]
        if not owners:
            del priorities[job.spec.priority]
        if not priorities:
            del self._queues[job.spec.describer]
            del self._queued_total[job.spec.describer]

    def _drop_image(self, key: str) -> None:
        self._images[key] -= 1
        if not self._images[key]:
            del self._images[key]


def owner_of(job: ImageJob) -> str:
    """Return the ImageJob's owner, who submitted it; "" if the ImageJob has no owner."""
    return job.metadata.labels.get(OWNER_LABEL, "")


def _fair_order(queues: dict[str, OwnerQueue], taken: Counter[str]) -> Iterator[str]:
    """Yield all names. The next name always belongs to the owner with the lowest count in `taken`.

    Each name that is yielded increases the count of its owner.
    """
    heap = [(taken[owner], queue[0], owner, 0) for owner, queue in queues.items()]
    heapify(heap)
    while heap:
        _, (_, name), owner, index = heap[0]
        yield name

        taken[owner] += 1
        queue = queues[owner]
        if index + 1 < len(queue):
            heapreplace(heap, (taken[owner], queue[index + 1], owner, index + 1))
        else:
            heappop(heap)


def _place(job: ImageJob) -> Place:
    # Times from pydantic have a time zone object each, which makes comparing them 20 times slower.
    created = (job.metadata.creation_timestamp or LONG_AGO).astimezone(UTC)
    return (created, job.metadata.name)
